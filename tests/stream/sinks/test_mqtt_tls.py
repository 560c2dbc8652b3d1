"""The MQTT sink and TLS: certificates, and the reason for each refusal."""

from __future__ import annotations

import gc
import subprocess
from pathlib import Path

import pytest

from stream.base.addresses import BrokerAddress
from stream.base.errors import UsageError
from stream.sinks.broker_visit import BrokerVisit, NoBrokerError
from stream.sinks.mqtt_client import TlsFiles, make_client
from tests.servers.certificates import Authority
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import until
from tests.stream.sinks.delivering import delivering


def test_certificates_are_looked_at_first(tmp_path: Path) -> None:
    plain, encrypted = BrokerAddress("h", 1883, tls=False), BrokerAddress("h", 8883, tls=True)
    with pytest.raises(UsageError, match=r"not encrypted; use mqtts://"):
        make_client(plain, TlsFiles(ca=tmp_path / "ca.pem"), "test")
    with pytest.raises(UsageError, match=r"x: not usable certificates: .*File name too long"):
        make_client(encrypted, TlsFiles(ca=tmp_path / ("x" * 300)), "test")
    with pytest.raises(UsageError, match=r"ca\.pem: no such certificate file"):
        make_client(encrypted, TlsFiles(ca=tmp_path / "ca.pem"), "test")
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="not usable certificates"):
        make_client(encrypted, TlsFiles(ca=tmp_path / "ca.pem"), "test")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a failed socket to the GC
def test_trouble_with_tls_has_a_reason_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    command: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-keyout", key, "-out", certificate]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    ca.write_bytes(certificate.read_bytes())
    lines = (f"certfile {certificate}", f"keyfile {key}")
    required = (*lines, f"cafile {certificate}", "require_certificate true")

    def reason(broker: Mosquitto, files: TlsFiles, *, tls: bool) -> str:
        with pytest.raises(NoBrokerError) as caught:
            BrokerVisit(BrokerAddress("127.0.0.1", broker.port, tls=tls), files, "test")
        return str(caught.value)

    said = ""

    def told(text: str) -> bool:
        nonlocal said
        said += "".join(capsys.readouterr())
        return text in said

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Mosquitto(tmp_path / "a", extra=required).running() as strict:
        assert "may require a client certificate" in reason(strict, TlsFiles(ca=ca), tls=True)
    with Mosquitto(tmp_path / "b", extra=lines).running() as broker:
        assert "self-signed certificate" in reason(broker, TlsFiles(), tls=True)
        assert "if it expects TLS, use mqtts://" in reason(broker, TlsFiles(), tls=False)
        address = BrokerAddress("127.0.0.1", broker.port, tls=True)
        with delivering(address, tls=TlsFiles(ca=ca)) as sink:
            until(lambda: sink.connected, what="the connection")
            ca.unlink()  # it is renewed while the broker restarts
            broker.kill()
            until(lambda: told("no such certificate file"), what="the reason")
            broker.start()
            ca.write_bytes(certificate.read_bytes())
            until(lambda: sink.connected, what="the connection after the renewal")
        assert said.count("no such certificate file") == 1
    gc.collect()  # paho leaves the socket of a failed handshake; it must not warn in another test


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a failed socket to the GC
def test_only_the_brokers_own_certificate_and_a_client_certificate_of_ours_connect(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    ours_client, others_client = ours.issue("client"), others.issue("client")
    for name, (certificate, key), ca, client, refusal in (
        ("right", ours.issue("right"), ours.ca, ours_client, ""),
        ("ca", ours.issue("ca"), others.ca, ours_client, "certificate"),
        ("host", ours.issue("host", "DNS:broker.example"), ours.ca, ours_client, "IP address mismatch"),
        ("expired", ours.issue("expired", expired=True), ours.ca, ours_client, "certificate has expired"),
        ("client", ours.issue("broker"), ours.ca, others_client, "client certificate"),
    ):
        (tmp_path / name).mkdir()
        lines = (f"certfile {certificate}", f"keyfile {key}", f"cafile {ours.ca}", "require_certificate true")
        with Mosquitto(tmp_path / name, extra=lines).running() as broker:
            address = BrokerAddress("127.0.0.1", broker.port, tls=True, user="mgfn", password="hunter2")
            files = TlsFiles(ca, *client)
            if not refusal:
                with BrokerVisit(address, files, "test"):
                    continue
            with pytest.raises(NoBrokerError) as caught:
                BrokerVisit(address, files, "test")
            assert refusal in str(caught.value), name
            assert "hunter2" not in str(caught.value)
    gc.collect()  # paho leaves the socket of a failed handshake; it must not warn in another test
