"""What the program refuses is in the table of refusals of the page, in both languages; seen in a real Chromium, too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

import stream
from stream.web import page as page_package
from tests.servers.processes import until
from tests.stream.web.desks import desk, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TABLE: Final = (Path(page_package.__file__).parent / "static" / "refusals.js").read_text()
ROOT: Final = Path(stream.__file__).parent
ASKED: Final = [  # what answers the page
    *sorted((ROOT / "web" / "page").glob("*.py")), ROOT / "web" / "access.py", ROOT / "web" / "rules.py",
    ROOT / "service" / "camera_search.py", ROOT / "service" / "mode_editor.py", ROOT / "alarm" / "drawing.py",
    *sorted((ROOT / "discovery").glob("*.py")),
]  # fmt: skip
REFUSE: Final = {
    "HTTPException", "StreamError", "UsageError", "DeviceError", "ValueError", "CameraError", "_RefusalError", "_refuse"
}  # fmt: skip
BY_COMMAND: Final = {"not the URL of a camera"}  # of what our own process sends
PAIRS: Final = re.findall(r'^  \["(.*)", "(.*)"\],$', TABLE, re.MULTILINE)
GENERAL: Final = ("{where}: {why}", "{one}; {other}", "must be {allowed}")


def said(node: ast.expr) -> str | None:
    """The text of a string, with 7 for each of its values."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return None


def refusals(path: Path) -> Iterator[str]:
    """Every sentence with which the code of a file refuses something."""
    for node in ast.walk(ast.parse(path.read_text())):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            found = node.args if name in REFUSE else []
        elif isinstance(node, ast.Dict):
            found = [
                v for k, v in zip(node.keys, node.values, strict=True) if k is not None and said(k) in {"detail", "why"}
            ]
        elif isinstance(node, ast.Return) and path.name in ("drawing.py", "targets.py", "camera_search.py", "soap.py"):
            found = [node.value] if node.value is not None else []
        yield from (
            text for each in found if (text := said(each)) is not None and " " in text.strip() and "<" not in text
        )


def in_table(text: str) -> bool:
    """Whether an entry fits the whole text, or else its part behind what it is about."""
    for english, _ in PAIRS:
        pattern = re.sub(r"\\\{\w+\\\}", ".+?", re.escape(english))
        if english not in GENERAL and re.fullmatch(pattern, text, re.DOTALL):
            return True
    return text in ("7: 7", "7: must be 7", "7; 7") or (": " in text and in_table(text.partition(": ")[2]))


def test_whatever_the_page_is_refused_has_words_in_both_languages() -> None:
    assert len(PAIRS) == len(re.findall(r'^  \["', TABLE, re.MULTILINE)) == len({english for english, _ in PAIRS})
    for english, german in PAIRS:
        values = set(re.findall(r"\{\w+\}", english))
        assert german, english
        assert set(re.findall(r"\{\w+\}", german)) <= values, english
    found = {text: path for path in ASKED for text in refusals(path)}
    assert len(found) > 60
    assert {"somebody else has changed it meanwhile; open it again", "no such host"} <= {
        text.rpartition(": ")[2] for text in found
    }
    missing = [(path.name, text) for text, path in found.items() if text not in BY_COMMAND and not in_table(text)]
    assert missing == []


@pytest.mark.slow
def test_the_german_page_refuses_in_german(day: Path, browser: Browser) -> None:
    with desk(day, cameras=("door",)) as (site, address):
        page, _ = opened(browser, f"{address}#tuning", language="de-DE")
        until(lambda: page.locator("#what-value").inner_text() == "0,80", what="the threshold in force")
        site.changes = {"door": {"threshold": {"at": 9.5, "who": "anna", "via": "page", "value": "0.6"}}}
        page.locator("#what-threshold").fill("0.5")
        page.locator("#what-apply").click()
        page.get_by_text("Schwelle: anna hat inzwischen 0.6 gesetzt; Ihre Änderung wurde nicht übernommen").wait_for()
        page.locator("#what-duration").fill("4000")
        page.keyboard.press("Tab")
        page.get_by_text("Mindestdauer: muss kleiner oder gleich 3600 sein").wait_for()
        for refused, german in said_in_german(address):
            assert page.evaluate(REFUSED, refused) == german
        page.context.close()


REFUSED: Final = "text => import('/page/refusals.js').then(({ refused }) => refused(text))"


def said_in_german(address: str) -> Iterator[tuple[str, str]]:
    """What an operator can cause, as the program says it, and in German."""
    with httpx.Client(base_url=address) as client:

        def asked(url: str, body: object) -> str:
            return str(client.post(url, json=body).json()["detail"])

        bow = [[0, 0], [1, 1], [1, 0], [0, 1]]
        yield (
            asked("/api/cameras/door/view", {"view": {"masks": [bow]}}),
            "Maske 0 (von 0 an gezählt): kreuzt sich selbst: Die Kante von Ecke 1 nach 2 trifft die von Ecke 3 nach 4; "
            "verschieben Sie eine dieser Ecken",
        )
        yield (
            asked("/api/cameras/door/snooze", {"minutes": 5_256_000}),
            "Minuten: muss kleiner oder gleich 10080 sein",
        )
        yield asked("/api/cameras/yard/test", {}), "Diese Kamera gibt es nicht"
        yield (
            asked("/api/mode", {"mode": "holiday"}),
            "Diesen Modus gibt es nicht: 'holiday'; muss sein: home, away, auto",
        )
    yield (
        "camera name 'a b': must be 1 to 64 characters of a-z A-Z 0-9 _ -",
        ("Kameraname 'a b': muss aus 1 bis 64 Zeichen von a-z A-Z 0-9 _ - bestehen"),
    )
    yield (
        "192.168.1.9: ONVIF at port 80: no connection; RTSP at port 554: wrong user or password",
        ("192.168.1.9: ONVIF an Port 80: Keine Verbindung; RTSP an Port 554: Benutzer oder Passwort falsch"),
    )
    yield (
        "10.0.0.5 Yard: it points to 127.0.0.1:80, this machine (loopback); name it if that is intended",
        (
            "10.0.0.5 Yard: Das Gerät verweist auf 127.0.0.1:80, diesen Rechner (Loopback); ist das gewollt, "
            "nennen Sie ihn"
        ),
    )
