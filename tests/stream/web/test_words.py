"""The table of words, and the size of what a browser loads."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from stream import desk as desk_package
from stream.base.errors import Reason
from stream.service.self_test import Stage
from stream.watch.presence import CORRUPT, DAMAGED, ENGINE_CHANGED, OVERLOADED, UNSCORABLE
from stream.web import page as page_package
from tests.stream.web.sites import Site

STATIC = Path(page_package.__file__).parent / "static"


def test_every_word_is_in_the_table_in_both_languages() -> None:
    table = (STATIC / "words.js").read_text()
    entries = re.findall(r'^  (\w+): \["(.*)", "(.*)"\],$', table, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^  \w+: \[", table, re.MULTILINE)) == len({key for key, _, _ in entries})
    for key, english, german in entries:
        assert english, key
        assert german, key
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", german)), key
    known = {key for key, _, _ in entries}
    html = (STATIC / "index.html").read_text()
    used = set(re.findall(r'data-t(?:-label|-hint)?="(\w+)"', html))
    for module in STATIC.glob("*.js"):
        used |= set(re.findall(r'\bt\("(\w+)"', module.read_text()))
        used |= {key for pair in re.findall(r'\bt\([^()"]*\? "(\w+)" : "(\w+)"', module.read_text()) for key in pair}
    assert used <= known, used - known
    desk = Path(desk_package.__file__).parent / "static"
    everything = html + "".join(file.read_text() for file in desk.iterdir())
    everything += "".join(module.read_text() for module in STATIC.glob("*.js"))
    told: tuple[str, ...] = ("quiet_", "camera_added", "cameras_searched", "person_added")  # named by the program
    told += ("problem_", "self_test_", "who_", "by_", "value_", "mode_name_")
    for why in (OVERLOADED, UNSCORABLE, DAMAGED, ENGINE_CHANGED, CORRUPT, *Reason):
        assert "problem_" + re.sub(r"\W+", "_", why.lower()) in known, why
    for stage in Stage:
        assert "self_test_" + re.sub(r"\W+", "_", stage.lower()) in known, stage
    assert not {key for key in known if len(re.findall(rf"\b{key}\b", everything)) < 2 and not key.startswith(told)}


@pytest.mark.slow
def test_it_is_small(day: Path) -> None:
    total = 0
    with Site(day).serving() as client:
        for name in ("index.html", *(file.name for file in STATIC.iterdir() if file.suffix in (".js", ".css"))):
            with client.stream("GET", f"/page/{name}", headers={"Accept-Encoding": "gzip"}) as answer:
                raw = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip"
            assert gzip.decompress(raw) == client.get(f"/page/{name}", headers={"Accept-Encoding": ""}).content
            total += len(raw)
    print(f"{total} bytes compressed")
    assert total < 60_000
