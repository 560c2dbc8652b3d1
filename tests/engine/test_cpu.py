"""Whether INT8 pays on a CPU, from the kernel's flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import default_bundle
from engine.cpu import int8_instructions
from engine.default_bundle import default_bundle_path, default_export


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("fpu sse2 avx avx2 fma", None),
        ("avx512f avx512bw avx512_vnni", "AVX-512 VNNI"),
        ("avx2 avx_vnni", "AVX-VNNI"),
        ("avx512_vnni amx_bf16 amx_tile amx_int8", "AMX"),
    ],
)
def test_flags(tmp_path: Path, flags: str, name: str | None) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: A CPU\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: {flags}\n")
    assert int8_instructions(file) == name


def test_a_system_without_cpuinfo(tmp_path: Path) -> None:
    assert int8_instructions(tmp_path / "none") is None
    (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: asimd i8mm\n")
    assert int8_instructions(tmp_path / "arm") is None


def test_the_default_bundle_is_int8_where_it_pays_and_lies_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_bundle, "gpu_present", lambda: False)
    monkeypatch.setattr(default_bundle, "int8_instructions", lambda: None)
    assert default_export() == ([], "float32, because this CPU has neither VNNI nor AMX")
    plain = default_bundle_path()
    monkeypatch.setattr(default_bundle, "int8_instructions", lambda: "AMX")
    assert default_export() == (["--int8"], "INT8, because this CPU has AMX")
    quantised = default_bundle_path()
    assert default_export("i3d-r50")[0] == []
    monkeypatch.setattr(default_bundle, "gpu_present", lambda: True)
    assert default_export()[0] == ["--fp16"]
    assert len({plain, quantised, default_bundle_path()}) == 3
