"""What of the state, health and metrics somebody sees who sees only some cameras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from stream.base.people import Person

_CAMERA: Final = re.compile(r'[{,]camera="([^"\\]*)"')


def seen_state(person: Person, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state or health without other cameras, and without failed topics of other cameras."""
    seen = dict(state)
    if person.cameras is None:
        return seen
    if "cameras" in seen:
        seen["cameras"] = {name: told for name, told in seen["cameras"].items() if person.sees(name)}
    if "delivery" in seen:
        failed = seen["delivery"]["failed"].items()
        mine = {topic: why for topic, why in failed if person.cameras & set(topic.split("/"))}
        if len(mine) < len(failed):
            mine["other topics"] = "do not get through"
        seen["delivery"] = dict(seen["delivery"]) | {"failed": mine}
    return seen


def seen_metrics(person: Person, text: bytes) -> bytes:
    """Only the series of the person's cameras: totals over all cameras would tell of the others."""
    if person.cameras is None:
        return text

    def kept(line: str) -> bool:
        found = _CAMERA.search(line)
        return line.startswith("#") or (found is not None and person.sees(found[1]))

    return "".join(line for line in text.decode().splitlines(keepends=True) if kept(line)).encode()
