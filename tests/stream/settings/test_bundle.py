"""Which bundle a command takes, and how it is built where it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from engine.default_bundle import default_bundle_path
from engine.manifest import MANIFEST
from stream.base.errors import UsageError
from stream.settings import bundle as model


@pytest.mark.slow
def test_a_folder_named_export_where_the_user_stands_is_not_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["/somewhere/mgfn-extract"])
    with pytest.raises(typer.Exit) as stop:
        model.cached_bundle("videoswin-t")
    assert stop.value.exit_code == 2
    assert "mgfn-extract: backbone videoswin-t has no weights" in capfd.readouterr().err


def test_what_nobody_uses_any_more_goes_from_the_cache(tmp_path: Path) -> None:
    day, now = 86_400.0, 100 * 86_400.0
    ages = {"bundles/old": 61, "bundles/used": 59, "bundles/.old.x1": 2, "bundles/.building.x2": 0.5}
    for name, age in ages.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text("{}")
        for path in (folder / MANIFEST, folder):  # a bundle's own age says nothing of its use
            when = now - (99 if path is folder and not folder.name.startswith(".") else age) * day
            os.utime(path, (when, when))
    (tmp_path / "bundles" / "notes").mkdir()  # no bundle: not ours
    gone = {str(path.relative_to(tmp_path)) for path in model.sweep(tmp_path, now)}
    assert gone == {"bundles/old", "bundles/.old.x1"}
    assert not any((tmp_path / name).exists() for name in gone)


def test_a_bundle_in_a_folder_that_cannot_be_read_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--bundle: the event's bundle"):
        model.bundle_of("0" * 64, [tmp_path / ("x" * 300)])


def test_a_bundle_that_is_used_is_marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    manifest = default_bundle_path() / MANIFEST
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    os.utime(manifest, (0, 0))
    assert model.cached_bundle() == manifest.parent
    assert manifest.stat().st_mtime > 0
