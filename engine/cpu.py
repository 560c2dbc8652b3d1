"""This CPU: its name, and its INT8 instructions."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")
_INT8_FLAGS: Final = {"amx_int8": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX-VNNI"}
_MODEL: Final = ("vendor_id", "cpu family", "model", "stepping")


def int8_instructions(cpuinfo: Path = CPUINFO) -> str | None:
    """The instructions that multiply and add INT8 in one step, by name; None if there are none.

    OpenVINO's own list of capabilities names INT8 on every CPU, so the kernel's flags are used.
    """
    flags = _first_core(cpuinfo).get("flags", "").split()
    return next((name for flag, name in _INT8_FLAGS.items() if flag in flags), None)


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """The name of the CPU, as its maker gives it."""
    return _first_core(cpuinfo).get("model name") or platform.processor() or platform.machine()


def cpu_model(cpuinfo: Path = CPUINFO) -> str:
    """What distinguishes this CPU from one on which other code is fast: its name alone often says nothing."""
    core = _first_core(cpuinfo)
    numbers = [core[key] for key in _MODEL if key in core]
    return ", ".join([cpu_name(cpuinfo), *numbers, int8_instructions(cpuinfo) or "no INT8"])


def _first_core(cpuinfo: Path) -> dict[str, str]:
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
