"""The import rules of the house (docs/design/path.md), read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = {"mgfn", "export", "engine", "stream"}
MAY_IMPORT: dict[str, set[str]] = {
    "mgfn": set(),
    "export": {"mgfn", "engine"},
    "engine": set(),
    "stream": {"engine"},
}
TORCH = {"torch", "safetensors", "onnxscript"}
# The reference backend is the one door from the engine to PyTorch.
DOOR = Path("engine/backends/torch.py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def files() -> list[Path]:
    return [p.relative_to(ROOT) for name in sorted(HOUSE) for p in sorted((ROOT / name).rglob("*.py"))]


@pytest.mark.parametrize("path", files(), ids=str)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    room = path.parts[0]
    allowed = MAY_IMPORT[room] | {room} | ({"mgfn"} if path == DOOR else set())
    names = set(imported(ROOT / path))
    assert not (names & HOUSE) - allowed
    if room in ("engine", "stream") and path != DOOR:
        assert not names & TORCH


WITHOUT_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "safetensors", "mgfn", "export"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
import pathlib, numpy
import stream.cli.mgfn_stream, stream.service.service, stream.cli.check, stream.camera.decoder, stream.cli.demo.__main__
import stream.extract.cli, stream.extract.extraction
import stream.settings.flags, stream.settings.site.watching, stream.settings.site.schema
from engine.engine import Engine
for name in ("openvino", "onnxruntime"):
    with Engine.open(pathlib.Path(sys.argv[1]), name, "cpu") as engine:
        features = engine.features(numpy.zeros((1, 1, 16, 224, 224, 3), numpy.uint8))
        assert engine.scores([features[0][None]])[0].shape == (1,)
assert "torch" not in sys.modules
assert sys.modules["openvino_telemetry"] is None  # OpenVINO reports nothing home
"""


def test_stream_and_engine_run_with_torch_unimportable(tiny_bundle: Path) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(tiny_bundle)], check=True, cwd=ROOT)
