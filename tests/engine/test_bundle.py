"""Opening bundles: only whole and known ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.bundle import Bundle
from engine.errors import BundleError
from engine.manifest import Manifest


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def edit(bundle: Path, **changes: Any) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))


def test_a_whole_bundle_opens(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.manifest.channels == 64
    assert opened.file("backbone.onnx").is_file()
    assert len(opened.sha256) == 64


@pytest.mark.parametrize("name", ["backbone.onnx", "head.onnx", "head.safetensors"])
def test_a_changed_byte_is_noticed(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=rf"{name} was changed: SHA-256"):
        Bundle.open(bundle)


def test_a_missing_file(bundle: Path) -> None:
    (bundle / "head.onnx").unlink()
    with pytest.raises(BundleError, match=r"head\.onnx: No such file"):
        Bundle.open(bundle)


def test_a_newer_schema_is_named_before_anything_else(bundle: Path) -> None:
    edit(bundle, schema_version=2, something_new=True)
    with pytest.raises(BundleError, match="schema version 2 is newer than this program's 1"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/passwd", "a/b.onnx", ".hidden"])
def test_files_outside_the_folder(bundle: Path, name: str) -> None:
    edit(bundle, files={name: "0" * 64})
    with pytest.raises(BundleError, match="files"):
        Bundle.open(bundle)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"schema_version": "x"}'])
def test_garbage_manifests(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(bundle)


@pytest.mark.parametrize("content", [b'{"schema_version": 1, "backbone": "\xff"}', b"[" * 100_000])
def test_a_manifest_that_is_no_text(bundle: Path, content: bytes) -> None:
    (bundle / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json is not JSON"):
        Bundle.open(bundle)


def test_crops_that_the_geometry_does_not_cut(bundle: Path) -> None:
    edit(bundle, geometry="ends")
    with pytest.raises(BundleError, match="crops is 1, but geometry ends has 2"):
        Bundle.open(bundle)


def test_thresholds_in_the_wrong_order(bundle: Path) -> None:
    edit(bundle, thresholds={"on": 0.4, "off": 0.6, "chosen": "badly"})
    with pytest.raises(BundleError, match=r"off 0\.6 is above on 0\.4"):
        Bundle.open(bundle)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        Bundle.open(tmp_path)


def test_a_file_that_is_not_listed(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no backbone-int4\.onnx"):
        Bundle.open(bundle).file("backbone-int4.onnx")


@contextmanager
def paths_opened() -> Iterator[list[Path]]:
    """The paths that are opened."""
    opened: list[Path] = []
    original = Path.open

    def noted(path: Path, *arguments: Any, **more: Any) -> Any:
        opened.append(path)
        return original(path, *arguments, **more)

    def read_bytes(path: Path) -> bytes:
        with noted(path, "rb") as file:
            return bytes(file.read())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", noted)
        patch.setattr(Path, "read_bytes", read_bytes)
        yield opened


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
KEYS = sorted(Manifest.model_fields)
PATHS = st.text(st.sampled_from("./\\~:ab\0 %"), min_size=1, max_size=20)


FILES = st.dictionaries(PATHS, st.just("0" * 64), max_size=2)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3), FILES)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_manifest_is_read_or_refused_and_no_path_leaves_the_folder(
    tiny_bundle: Path, tmp_path: Path, changes: dict[str, Any], files: dict[str, str]
) -> None:
    manifest = json.loads((tiny_bundle / "manifest.json").read_text()) | changes
    if files:
        manifest["files"] = files
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with suppress(BundleError), paths_opened() as read:
        Bundle.open(tmp_path)
    assert read
    assert all(path.parent == tmp_path for path in read), read
