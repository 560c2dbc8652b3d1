"""Commands that another process, such as `mgfn-events`, has written into the database."""

from __future__ import annotations

from typing import Final

from stream.alarm.requests import AUTO, Acknowledge, GiveVerdict, Origin, SetThreshold, Verdict
from stream.sinks.command_listener import CommandListener
from stream.watch.decoder_process import DecoderProcess

_OTHERS: Final = Origin(via="command line")  # the other process has noted who it was


class SettingsOfOthers:
    """Settings written by another process (`mgfn-events suggest-threshold --apply`, `verdict`, `ack`); reported by the
    journal's thread.
    """

    def __init__(self, decoders: list[DecoderProcess], commands: CommandListener | None) -> None:
        self._decoders = decoders
        self._commands = commands

    def changed(self, camera: str, name: str, value: str) -> None:
        known = any(decoder.camera.name == camera for decoder in tuple(self._decoders))
        if not known or self._commands is None:
            return
        if name == "threshold":
            self._commands.post(SetThreshold(camera, AUTO if value == AUTO else float(value), origin=_OTHERS))
        elif name == "verdict":
            event, said = value.split()[:2]
            verdict: dict[str, Verdict | None] = {"true": "true", "false_alarm": "false_alarm", "none": None}
            self._commands.post(GiveVerdict(camera, event, verdict[said], origin=_OTHERS))
        elif name == "ack":
            event, _, by = value.split(" ", 2)
            self._commands.post(Acknowledge(camera, event, by, origin=_OTHERS))
