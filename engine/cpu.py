"""INT8 instructions of this CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_INT8_FLAGS: Final = {"amx_int8": "AMX", "avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX-VNNI"}


def int8_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """The instructions that multiply and add INT8 in one step, by name; None if there are none.

    OpenVINO's own list of capabilities names INT8 on every CPU, so the kernel's flags are used.
    """
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return next((name for flag, name in _INT8_FLAGS.items() if flag in flags), None)
