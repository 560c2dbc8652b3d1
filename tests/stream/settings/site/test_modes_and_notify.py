"""Modes, webhooks and escalation in the site file."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from stream.alarm.modes import CameraMode
from stream.settings.flags import Flags, options
from stream.sinks.notifications import EscalateSettings, NotifySettings
from stream.sinks.webhook import WebhookSettings
from tests.stream.settings.site.site_texts import problems, site

MODES = """
time_zone: Europe/Berlin
notify: {targets: ["json://h/"]}
modes:
  night:
    schedule: [{from: "22:00", to: "06:00"}]
    every: {false_alarms_per_day: 3}
    cameras: {door: {threshold_on: 0.6}}
    recipients: [notify-1]
  off: {every: {enabled: false}, recipients: []}
cameras: {door: {url: rtsp://h/1}}
"""


def test_modes() -> None:
    night, off = site(MODES).modes().values()
    assert night.of("door") == CameraMode(threshold_on=0.6)
    assert night.recipients == frozenset({"notify-1"})
    assert night.schedule is not None
    assert (len(night.schedule.periods), night.schedule.zone) == (7, ZoneInfo("Europe/Berlin"))
    assert (off.of("door"), off.recipients, off.schedule) == (CameraMode(enabled=False), frozenset(), None)


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("{door: {threshold_on: 0.6}}", "{dor: {threshold_on: 0.6}}", "not a camera of this file; did you mean door?"),
        ("[notify-1]", "[notify-2]", "notify-2: not a recipient of this file; did you mean notify-1?"),
        ("{enabled: false}", "{enabled: false, threshold: 1}", "modes.off.every.threshold: unknown key"),
        ("{threshold_on: 0.6}", "{threshold_on: 0.6, false_alarms_per_day: 1}", "both were given; use only one"),
        ("  off:", "  auto:", "the name of a mode must not be auto"),
        ("  off:", "  Off 1:", "the name of a mode has 1 to 32 characters of a-z 0-9 _ -"),
        ("[{from", "[] #", "at least"),
    ],
)
def test_wrong_modes(was: str, becomes: str, says: str) -> None:
    found = problems(MODES.replace(was, becomes, 1))
    assert any(says in problem for problem in found), found


def test_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_HOOK", "0123456789abcdef")
    text = (
        'notify: {webhooks: [{url: "https://h/in?k=1", secret: "{MGFN_HOOK}"}]}\ncameras: {door: {url: rtsp://h/1}}\n'
    )
    given = options(Flags(), site(text))
    assert given.notify == NotifySettings((), webhooks=(WebhookSettings("https://h/in?k=1", "0123456789abcdef"),))
    assert {"https://h/in?k=1", "0123456789abcdef"} <= set(given.secrets)
    assert "0123456789abcdef" not in repr(given)
    for was, becomes, says in (
        ('"{MGFN_HOOK}"', "short", "has 5 characters; must have at least 16"),
        ("https://h", "ftp://h", "must be an http:// or https:// URL"),
        ("webhooks: [{", "per_hour: 3 #", "has no recipient; `targets`, `webhooks` or `escalate` is required"),
    ):
        found = problems(text.replace(was, becomes).replace("#", "}\n#"))
        assert any(says in problem for problem in found), found


def test_escalation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGFN_BOSS", "json://boss-token/")
    text = 'notify: {escalate: {after: 5m, to: ["{MGFN_BOSS}"]}}\ncameras: {door: {url: rtsp://h/1}}\n'
    given = options(Flags(), site(text))
    assert given.notify == NotifySettings((), escalate=EscalateSettings(300.0, ("json://boss-token/",)))
    assert "json://boss-token/" in given.secrets
    assert "boss-token" not in repr(given)
    for becomes, says in (("5", "without"), ("5d", "such as 90s, 5m or 1h"), ("0s", "such as 90s, 5m or 1h")):
        found = problems(text.replace("5m", becomes))
        assert any("notify.escalate.after" in problem for problem in found), (says, found)
