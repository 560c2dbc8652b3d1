"""Which addresses a device may point to."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from stream.base.errors import UsageError
from stream.discovery.errors import DeviceError
from stream.discovery.targets import Targets, named_host

DEVICE = ip_address("192.168.1.20")


def checked(url: str, *named: str, answered: str = "192.168.1.20") -> str:
    async def run() -> str:
        hosts = tuple([await named_host(host) for host in named])
        targets = Targets(hosts, frozenset({8080, 1883}))
        return await targets.checked(url, ("rtsp", "rtsps", "http"), ip_address(answered))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("rtsp://127.0.0.1/1", "loopback"),
        ("rtsp://localhost/1", "loopback"),
        ("rtsp://0.0.0.0/1", "loopback"),
        ("rtsp://[::1]/1", "loopback"),
        ("rtsp://[::ffff:127.0.0.1]/1", "loopback"),
        ("rtsp://[::127.0.0.1]/1", "loopback"),
        ("rtsp://[64:ff9b::7f00:1]/1", "loopback"),
        ("http://169.254.169.254/latest/meta-data", "metadata"),
        ("http://[::ffff:169.254.169.254]/", "metadata"),
        ("http://[fd00:ec2::254]/", "metadata"),
        ("http://[fd00:ec2::254%251]/", "metadata"),
        ("rtsp://127.0.0.1:8080/", "mgfn-stream itself"),
        ("rtsp://239.255.255.250/1", "single device"),
        ("rtsp://255.255.255.255/1", "single device"),
        ("rtsp://8.8.8.8/1", "public"),
        ("rtsp://100.100.100.200/1", "public"),
        ("file:///etc/passwd", "is not rtsp"),
        ("rtsp://", "is not rtsp"),
        ("rtsp://h:99999/", "is not rtsp"),
        ("rtsp://192.168.1.20/{MGFN_SECRET}", "is not rtsp"),
        ("rtsp://192.168.1.20/a\nb", "is not rtsp"),
        ("rtsp://192.168.1.20/" + "a" * 2000, "is not rtsp"),
    ],
)
def test_refused(url: str, why: str) -> None:
    with pytest.raises(DeviceError, match=why):
        checked(url)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("rtsp://192.168.1.20/1?a=b&c=d", "rtsp://192.168.1.20:554/1?a=b&c=d"),
        ("rtsps://10.1.2.3:9/1", "rtsps://10.1.2.3:9/1"),
        ("rtsp://169.254.7.8/1", "rtsp://169.254.7.8:554/1"),
        ("rtsp://[fe80::7]:8554/1", "rtsp://[fe80::7]:8554/1"),
        ("rtsp://user:pw@192.168.1.20/1", "rtsp://192.168.1.20:554/1"),
    ],
)
def test_allowed_without_login(url: str, allowed: str) -> None:
    assert checked(url) == allowed


def test_named_hosts_are_allowed_and_our_ports_only_if_named_themselves() -> None:
    assert checked("rtsp://127.0.0.1:7/1", "localhost") == "rtsp://127.0.0.1:7/1"
    assert checked("rtsp://8.8.8.8/1", "8.8.8.8:80") == "rtsp://8.8.8.8:554/1"
    assert checked("rtsp://8.8.8.8/1", answered="8.8.8.8") == "rtsp://8.8.8.8:554/1"
    assert checked("http://169.254.169.254/", "169.254.169.254:80") == "http://169.254.169.254:80/"
    with pytest.raises(DeviceError, match="itself"):
        checked("rtsp://127.0.0.1:8080/", "127.0.0.1", "127.0.0.1:9")
    assert checked("rtsp://127.0.0.1:8080/", "127.0.0.1:8080") == "rtsp://127.0.0.1:8080/"


def test_the_url_of_a_stream_names_its_host() -> None:
    host = asyncio.run(named_host("rtsp://localhost/1?a=b"))
    assert (str(host.address), host.port, host.url) == ("127.0.0.1", 554, "rtsp://localhost/1?a=b")
    with pytest.raises(UsageError, match="must not contain a login") as refused:
        asyncio.run(named_host("rtsp://viewer:hunter2@localhost/1"))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["rtsp://", "rtsp://h:0/", "rtsp://{MGFN_X}/", "rtsp://no-such-host.invalid/1"])
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(UsageError):
        asyncio.run(named_host(text))


@pytest.mark.parametrize("text", ["", "http://h/", "u:p@h", "h:0", "h:x", "a b", "h/x", "no-such-host.invalid"])
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(UsageError):
        asyncio.run(named_host(text))
