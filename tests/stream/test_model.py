"""Which bundle a command takes, and how it is built where it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from stream import model


@pytest.mark.slow
def test_a_folder_named_export_where_the_user_stands_is_not_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(typer.Exit) as stop:
        model.cached_bundle("videoswin-t")
    assert stop.value.exit_code == 2
    assert "mgfn-export: backbone videoswin-t has no weights" in capfd.readouterr().err
