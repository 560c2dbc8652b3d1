"""`mgfn-stream` with a canary whose engine raises while it runs, but not when it is opened."""

from __future__ import annotations

from typing import Any

from engine.arrays import FloatArray, UInt8Array
from engine.engine import Engine
from stream.cli import canary, mgfn_stream


class Failing(Engine):
    def features(self, clips: UInt8Array) -> FloatArray:
        raise MemoryError(f"{len(clips)} clips")

    def fault(self) -> str:
        return ""


def main() -> None:
    opened: Any = canary
    opened.Engine = Failing
    mgfn_stream.main()


if __name__ == "__main__":
    main()
