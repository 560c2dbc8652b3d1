"""Builds a bundle from networks: one artefact after the other, each compared with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from configs.atomic import replacing_folder
from engine.arrays import UInt8Array
from export.bundle import ExportError, Sources, write_artefacts, write_manifest
from export.verify import Comparison, compare, reference, verify


class VerificationError(ExportError):
    """An artefact differs from PyTorch. `rows` are all comparisons."""

    def __init__(self, rows: list[Comparison]) -> None:
        failed = [row for row in rows if not row.passed]
        super().__init__(
            f"verification failed on {', '.join(row.backend for row in failed)}: required {failed[0].allowed}; "
            "no bundle was written"
        )
        self.rows = rows


@dataclass(frozen=True)
class Wanted:
    """What a bundle contains besides the float32 graphs.

    `footage`: calibration clips for INT8, and held-out clips, as returned by `calibration.read_footage`; None: no INT8.
    """

    footage: tuple[UInt8Array, UInt8Array] | None = None
    half: bool = False
    plans: bool = False
    verified: bool = True


def build(
    sources: Sources, head: Path, wanted: Wanted, target: Path, say: Callable[[str], None]
) -> tuple[list[Comparison], list[str]]:
    """Write the whole bundle at `target`, or nothing; `say` is called with each step.

    `head` is the checkpoint of the head. Returns the comparisons, and notes for the user. Raises VerificationError if
    float32 or half precision fails, and BackendError if a plan cannot be built. An INT8 form that fails is omitted,
    with a note.
    """
    with replacing_folder(target) as folder:
        say("exporting to ONNX")
        write_artefacts(sources, folder, wanted.half or wanted.plans)
        manifest = write_manifest(sources, folder, head)
        if wanted.plans:
            from export.trt import write_plans

            say("building TensorRT plans (minutes)")
            write_plans(folder, manifest)
            write_manifest(sources, folder, head)
        rows: list[Comparison] = []
        if wanted.verified:
            say("comparing with PyTorch")
            rows = verify(sources, folder, say=lambda name: say(f"verifying {name} against PyTorch"))
            if not all(row.passed for row in rows):
                raise VerificationError(rows)
        if wanted.footage is None:
            return rows, []
        say("quantising to INT8")
        judged, note = _add_int8(sources, folder, head, wanted.footage, wanted.verified)
        write_manifest(sources, folder, head)
    return rows + judged, [note]


def _add_int8(
    sources: Sources, folder: Path, head: Path, footage: tuple[UInt8Array, UInt8Array], verified: bool
) -> tuple[list[Comparison], str]:
    from export.int8 import add_int8, quantise_until_it_holds

    calibration, held_out = footage
    if not verified:
        add_int8(folder, calibration)
        return [], f"INT8: calibrated on {len(calibration)} clips, not verified"
    expected = reference(sources, held_out)

    def judge() -> Comparison:
        write_manifest(sources, folder, head)
        return compare("openvino-int8", folder, expected)

    rows = quantise_until_it_holds(folder, calibration, judge)
    judged = f"INT8: calibrated on {len(calibration)} clips, verified on {len(held_out)} others; required:"
    if not rows[-1].passed:
        return rows, f"{judged} {rows[-1].allowed}; it failed, also with some layers in float32, so float32 is used"
    spared = "; the most sensitive layers stay in float32" if len(rows) > 1 else ""
    return rows, f"{judged} {rows[-1].allowed}{spared}"
