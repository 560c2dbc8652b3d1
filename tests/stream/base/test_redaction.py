"""Canaries: what was filled in for a placeholder is never shown, wherever it stood and however it is encoded."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import pickle
import re
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest

from stream.base import redaction
from stream.base.addresses import Source, expand, parse_sources
from stream.base.log import configure, log, report_defects
from stream.base.redaction import redact_all, redact_url, shown_url

CANARY = "Tr0ub4dor&3 \"ü%'\\x/y"


@pytest.fixture(autouse=True)
def filled_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_filled_in", set())
    monkeypatch.setenv("MGFN_CAM_PW", CANARY)
    yield
    configure()


def leaks(text: str) -> bool:
    return "Tr0ub4dor" in text


ENCODED = [
    CANARY, quote(CANARY), quote(CANARY, safe=""), quote_plus(CANARY), quote(quote(CANARY, safe=""), safe=""),
    quote(CANARY, safe="").lower().replace("tr0ub4dor", "Tr0ub4dor"), repr(CANARY), ascii(CANARY), json.dumps(CANARY),
    json.dumps(CANARY, ensure_ascii=False), json.dumps(json.dumps(CANARY)), repr(CANARY.encode()),
    quote(CANARY, safe='&ü" '), re.sub("%2F|%27", lambda found: found[0].lower(), quote(CANARY, safe="")),
    html.escape(CANARY), CANARY.replace("&", "&#38;"), unicodedata.normalize("NFD", CANARY),
    CANARY.encode().decode("latin1"),
]  # fmt: skip


@pytest.mark.parametrize("form", ENCODED)
def test_any_encoding_is_redacted(form: str) -> None:
    expand("{MGFN_CAM_PW}", "--rtsp")
    said = redact_all(f"cannot open {form} now")
    assert re.fullmatch(r"""cannot open b?['"\\]*\*\*\*['"\\]* now""", said)


@pytest.mark.parametrize("login", ["admin", "a", "operator1", ""])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_login_in_base64_is_redacted(login: str, encode: Callable[[bytes], bytes]) -> None:
    expand("{MGFN_CAM_PW}", "--rtsp")
    header = encode(f"{login}:{CANARY}".encode()).decode()
    said = redact_all(f"Authorization: Basic {header}")
    assert "***" in said
    assert len(said) < len("Authorization: Basic ***") + len(login) * 2 + 6


def test_what_only_looks_like_a_secret_stays() -> None:
    expand("{MGFN_CAM_PW}", "--rtsp")
    text = "Tr0ub4dor and 3 üx; 100% of 25 & more: C:\\x/y"
    assert redact_all(text) == text


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://h/user=admin_password={MGFN_CAM_PW}_channel=1.sdp", "rtsp://h/{MGFN_CAM_PW}/1",
        "rtsp://h/1?x={MGFN_CAM_PW}",
        "rtsp://u:{MGFN_CAM_PW}@h/1", "rtsp://h/live;{MGFN_CAM_PW}", "rtsps://h:7441/{MGFN_CAM_PW}?enableSrtp",
    ],
)  # fmt: skip
def test_a_source_shows_no_filled_in_value_here_or_in_the_decoder_process(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = parse_sources([f"door={url}"])
    sent = pickle.dumps(source)
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(redaction, "_filled_in", set())  # the decoder process has filled in nothing itself
    arrived: Source = pickle.loads(sent)  # noqa: S301 -- ours
    configure(arrived.secrets)
    log.info("camera online", detail=arrived.shown, error=f"could not open {arrived.url!r}")
    assert not leaks(f"{source} {source.shown} {arrived.shown} {redact_url(url)} {said.getvalue()}")
    assert arrived.shown.startswith(("rtsp://h/", "rtsps://h:7441/", "rtsp://***@h/"))


def test_a_short_value_is_masked_in_addresses_and_tears_no_holes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_PIN", "12")
    (source,) = parse_sources(["rtsp://10.0.0.12/pin12/live"])
    assert source.shown == "rtsp://10.0.0.12/pin12/live"
    (source,) = parse_sources(["rtsp://10.0.0.12/{MGFN_PIN}/live"])
    assert source.shown == "rtsp://10.0.0.12/***/live"
    assert redact_all("12 frames") == "12 frames"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://h/Streaming/Channels/101?x=1#y", "rtsp://h/Streaming/Channels/101"),
        ("rtsp://h/h264Preview_01_main", "rtsp://h/h264Preview_01_main"),
        ("rtsp://h/cam/realmonitor?channel=1&subtype=0", "rtsp://h/cam/realmonitor"),
        ("rtsp://h/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp?real_stream", "rtsp://h/***"),
        ("rtsp://h/user%3Dadmin&password%3Dhunter2/1", "rtsp://h/***/1"),
        ("rtsps://192.168.1.1:7441/AbCdEfGhIjKlMnOp?enableSrtp", "rtsps://192.168.1.1:7441/***"),
        ("rtsp://h/live/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "rtsp://h/live/***"),
        ("rtsp://u:p/w@h/1", "rtsp://***@h/1"),
        ("rtsp://[fe80::1]:554", "rtsp://[fe80::1]:554"),
    ],
)
def test_an_address_is_shown_without_query_and_credentials(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("rtsp:/user:PW12@host/x", "rtsp:/***@host/x"),
        ("rtsp//user:PW12@host/x", "rtsp//***@host/x"),
        ("rtsp;//user:PW12@host/x", "***@host/x"),
        ("rtsp:user:PW12@host/x", "***@host/x"),
        ("//user:PW12@host/x", "//***@host/x"),
        ("user:P/W12@host", "***@host"),
        ("mqtt:/user:PW12@host:1883", "mqtt:/***@host:1883"),
        ("videos/a.mp4", "videos/a.mp4"),
        ("/videos/10:30 door@home.mp4", "/videos/10:30 door@home.mp4"),
        ("../10:30@home.mp4", "../10:30@home.mp4"),
    ],
)
def test_a_mistyped_address_shows_no_password(given: str, shown: str) -> None:
    assert redact_url(given) == shown_url(given) == shown


def test_what_libraries_log_is_redacted_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    expand("{MGFN_CAM_PW}", "--rtsp")
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    configure()
    configure()
    try:
        raise ValueError(f"no such camera: {CANARY}")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application for %s", CANARY)
    (line,) = said.getvalue().splitlines()
    told = json.loads(line)
    assert told["logger"] == "uvicorn.error"
    assert "Traceback" in told["exception"]
    assert not leaks(line)


def test_what_a_thread_or_a_finalizer_dies_of_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    expand("{MGFN_CAM_PW}", "--rtsp")
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    configure()
    report_defects()

    def fail() -> None:
        raise ValueError(f"no such camera: {CANARY}")

    class Failing:
        def __del__(self) -> None:
            fail()

    thread = threading.Thread(target=fail, name="journal")
    thread.start()
    thread.join()
    Failing()
    died, ignored = map(json.loads, said.getvalue().splitlines())
    assert (died["event"], died["thread"]) == ("a thread died", "journal")
    assert ignored["event"] == "error ignored"
    assert all("no such camera: ***" in line["exception"] for line in (died, ignored))
    assert not leaks(said.getvalue())
