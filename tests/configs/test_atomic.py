"""Files and folders are there whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from configs.atomic import partial_path, replacing, replacing_folder, write_file


def test_a_file_is_replaced_at_the_end_of_the_block(tmp_path: Path) -> None:
    target = tmp_path / "new" / "figures.json"  # the folder is made
    write_file(target, "old")
    with replacing(target) as partial:
        partial.write_text("ne")
        assert target.read_text() == "old"
        assert partial.suffix == ".json"
        partial.write_text("new")
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["figures.json"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    write_file(target, b"\x00old")
    with pytest.raises(RuntimeError, match="half way"), replacing(target) as partial:  # noqa: PT012 -- what is tested
        partial.write_text("half")
        raise RuntimeError("half way")
    assert target.read_bytes() == b"\x00old"
    assert list(tmp_path.iterdir()) == [target]


def test_text_is_utf8_without_translated_line_ends(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "ü\r\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xbc\r\n"


def test_a_block_that_writes_nothing_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


def test_a_full_or_read_only_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_file(tmp_path / "file" / "inside", "")


def test_two_processes_do_not_share_a_partial_file(tmp_path: Path) -> None:
    code = "from pathlib import Path; from configs.atomic import partial_path; print(partial_path(Path('a')))"
    root = Path(__file__).parents[2]
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root)
    assert other.stdout.strip() != str(partial_path(Path("a")))


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    write_file(tmp_path / "a.txt", "old")
    code = (
        "import os, signal; from pathlib import Path; from configs.atomic import replacing\n"
        "with replacing(Path(os.environ['TARGET'])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"TARGET": str(tmp_path / "a.txt")}
    died = subprocess.run([sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[2])
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "bundle"
    for content in ("first", "second"):
        with replacing_folder(target) as folder:
            (folder / "file").write_text(content)
        assert (target / "file").read_text() == content
        assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o755
    with pytest.raises(RuntimeError), replacing_folder(target) as folder:  # noqa: PT012 -- what is tested
        (folder / "file").write_text("third")
        raise RuntimeError
    assert (target / "file").read_text() == "second"
    assert list(target.parent.iterdir()) == [target]


def test_a_link_goes_on_to_lead_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with replacing_folder(tmp_path / "link") as folder:
        (folder / "file").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "new"
