"""The import tables (pyproject.toml, checked by import-linter), and running without PyTorch."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from grimp import ImportGraph

from tests.import_table import ImportTable

ROOT = Path(__file__).parents[1]


def rooms() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    table: list[str] = next(contract["table"] for contract in contracts if contract["name"] == "rooms of stream/")
    return table


def graph(*imports: tuple[str, str]) -> ImportGraph:
    found = ImportGraph()
    for line in rooms():
        found.add_module(line.partition(":")[0])
    found.add_module("stream")
    for importer, imported in imports:
        for module in (importer, imported):
            found.add_module(module)
        found.add_import(importer=importer, imported=imported)
    return found


def broken(table: list[str], checked: ImportGraph) -> list[str]:
    contract = ImportTable("rooms", {}, {"table": table})
    lines: list[str] = contract.check(checked, verbose=False).metadata["broken"]
    return lines


def test_what_the_table_allows_is_kept() -> None:
    assert not broken(rooms(), graph(("stream.camera.capture", "stream.base.errors")))


def test_an_import_that_the_table_does_not_name_is_broken() -> None:
    (line,) = broken(rooms(), graph(("stream.camera.capture", "stream.archive.store")))
    assert line.startswith("stream.camera.capture imports stream.archive.store")


@pytest.mark.parametrize("line", rooms())
def test_a_room_without_a_line_is_broken(line: str) -> None:
    rest = [other for other in rooms() if other != line]
    room = line.partition(":")[0]
    assert f"{room} stands in no line of the table" in broken(rest, graph())


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


@pytest.mark.slow
def test_stream_and_engine_run_with_torch_unimportable(tiny_bundle: Path) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(tiny_bundle)], check=True, cwd=ROOT)
