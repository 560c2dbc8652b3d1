"""`mgfn-stream people add`: the site file, the secret, and what is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs.command import called
from stream.archive.store import Store
from stream.base.errors import StreamError, UsageError
from stream.cli.people import add_person
from stream.settings.site.reading import read_site

FILE = """# mine
data: state
http: {address: "0.0.0.0:8123"}   # for the phones
cameras:
  door: {url: rtsp://h/1}   # front
  yard: {url: rtsp://h/2}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(FILE)
    return path


def test_an_operator_and_a_viewer_are_added(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store.open(path.parent / "state").close()  # mgfn-stream has run with this file
    add_person("anna.b", path, viewer=False, cameras=[])
    said = capsys.readouterr().out
    secret = path.parent / "secrets" / "MGFN_ANNA_B_TOKEN"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert f": {secret.read_text()}\n" in said
    assert re.search(r"^Page: http://.+:8123/$", said, re.MULTILINE)
    add_person("anna-b", path, viewer=True, cameras=["yard"])
    text = path.read_text()
    assert all(comment in text for comment in ("# mine", "# for the phones", "# front"))
    people = read_site(path).given.http.people  # type: ignore[union-attr]
    assert people is not None
    other = (path.parent / "secrets" / "MGFN_ANNA_B_2_TOKEN").read_text()
    assert {name: (who.role, who.token, who.cameras) for name, who in people.items()} == {
        "anna.b": ("operator", secret.read_text(), None),
        "anna-b": ("viewer", other, ["yard"]),
    }
    assert other not in text
    with Store.read_only(path.parent / "state") as store:
        assert [(c.what, c.value, c.via) for c in store.audit.latest(9)] == [
            ("person_added", "anna-b", "command line"),
            ("person_added", "anna.b", "command line"),
        ]


def test_refusals_change_nothing(path: Path) -> None:
    for name, viewer, cameras, why in (
        ("anna", True, [], "add an operator first"),
        ("a b", False, [], "a person's name has 1 to 64 characters"),
        ("operator", False, [], "must not be operator"),
        ("anna", False, ["roof"], "--camera roof: not a camera of the site file; must be one of door, yard"),
    ):
        with pytest.raises(UsageError, match=why):
            add_person(name, path, viewer, list(cameras))
    assert path.read_text() == FILE
    assert not (path.parent / "secrets").exists()
    add_person("anna", path, viewer=False, cameras=[])
    with pytest.raises(UsageError, match="is in the site file already"):
        add_person("anna", path, viewer=False, cameras=[])
    path.write_text("cameras: [")
    with pytest.raises(StreamError):
        add_person("bert", path, viewer=False, cameras=[])
    assert [file.name for file in (path.parent / "secrets").iterdir()] == ["MGFN_ANNA_TOKEN"]


@pytest.mark.slow
def test_an_error_is_one_line(path: Path) -> None:
    command = [sys.executable, "-m", "stream.cli", "people", "add", "anna", "--viewer", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.endswith(f"add an operator first: mgfn-stream people add NAME --config {path}\n")


def test_advice_names_the_command_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "my tools" / "mgfn-stream"
    script.parent.mkdir()
    script.touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert called() == f"'{script}'"
    assert called("mgfn-export") == "mgfn-export"  # not beside it
    (script.parent / "mgfn-export").touch(0o755)
    assert called("mgfn-export") == f"'{script.parent}/mgfn-export'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert called() == "mgfn-stream"
