"""The cameras being watched: they are added, changed and removed while the others continue with their windows.

Used only by the scoring loop; nothing here waits for a process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from stream.alarm.modes import Mode
from stream.base.errors import StreamError
from stream.base.log import log
from stream.camera.messages import ClipClosed, SnapshotTaken
from stream.settings.settings import CameraConfig
from stream.watch.decoder_process import DecoderProcess, received
from stream.watch.reporter import Reporter

# A decoder that goes closes its clips; afterwards it is ended by force.
_GONE_WITHIN: Final = 3.0


class CameraChanges(Protocol):
    """Source of changed cameras while the service runs."""

    def run(self) -> None:
        """Body of a thread: look for changes until stopped."""

    def stop(self) -> None: ...

    def retry(self) -> None:
        """Look again later, because there were not enough resources for what was taken."""

    def take(self) -> Sequence[CameraConfig] | None:
        """The new cameras, or None if nothing has changed; returns at once."""

    def modes(self) -> Mapping[str, Mode]:
        """The modes that go with the cameras that were taken last."""


class Fleet:
    """`decoders` is the service's list of decoders in use, in the order of the configuration; `begin` starts one.

    `begin` is told whether a camera may wait, offline, for resources. At the start of the service each may, so that one
    takes no other along. Later, the new cameras are begun all together or not at all.
    """

    def __init__(
        self,
        decoders: list[DecoderProcess],
        begin: Callable[[CameraConfig, bool], DecoderProcess],
        report: Reporter,
        shared: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self._decoders = decoders
        self._begin = begin
        self._report = report
        self._shared = shared
        self._leaving: dict[DecoderProcess, float] = {}  # until when they have time

    @property
    def names(self) -> list[str]:
        """The cameras, without the self-test's."""
        return [decoder.camera.name for decoder in self._decoders if not decoder.config.is_self_test]

    @property
    def leaving(self) -> list[DecoderProcess]:
        """Decoders that are being closed."""
        return list(self._leaving)

    def configure(self, cameras: Sequence[CameraConfig]) -> None:
        """Replace the set of cameras; unchanged ones are not affected.

        Raises StreamError, with nothing changed, if there are not enough resources for a new one beside those in use.
        """
        self_test = [decoder for decoder in self._decoders if decoder.config.is_self_test]
        before = {decoder.config.name: decoder for decoder in self._decoders if decoder not in self_test}
        staying = {c.name: before[c.name] for c in cameras if c.name in before and before[c.name].serves(c)}
        begun = self._begun([camera for camera in cameras if camera.name not in staying], waits=not before)
        removed = [name for name in before if name not in {camera.name for camera in cameras}]
        for name, decoder in before.items():
            if name not in staying:
                self.dismiss(decoder, "removed" if name in removed else "reconfigured")
        changed = [c for c in cameras if c.name in staying and staying[c.name].config != c]
        for camera in changed:
            self._report.overrides.configure(staying[camera.name], camera)
        self._decoders[:] = [*(staying.get(camera.name) or begun[camera.name] for camera in cameras), *self_test]
        for name in removed:
            if before[name].camera.silent:
                continue
            if self._shared(name):
                self._report.leave(before[name].camera)
            else:
                self._report.forget(name)
        for decoder in begun.values():
            if not decoder.camera.silent:
                self._report.introduce(decoder.camera)
        if before:
            log.info(
                "cameras reconfigured",
                added=[name for name in begun if name not in before],
                removed=removed,
                restarted=[name for name in begun if name in before],
                changed=[camera.name for camera in changed],
                unchanged=len(staying) - len(changed),
            )

    def _begun(self, cameras: Sequence[CameraConfig], *, waits: bool) -> dict[str, DecoderProcess]:
        begun: dict[str, DecoderProcess] = {}
        try:
            for camera in cameras:
                begun[camera.name] = self._begin(camera, waits)
        except StreamError:
            for decoder in begun.values():
                decoder.close()
            raise
        return begun

    def dismiss(self, decoder: DecoderProcess, reason: str) -> None:
        """End what is open of a decoder that is no longer in use, and let it close its files."""
        self._report.events.close(decoder, reason)
        decoder.pending_clips.clear()
        decoder.stop()
        self._leaving[decoder] = time.monotonic() + _GONE_WITHIN

    def see_off(self) -> None:
        """Receive what closing decoders still write, and release those that have finished or take too long."""
        done = {decoder for decoder, until in self._leaving.items() if time.monotonic() > until}
        for decoder, message in received(self.leaving, 0):
            if isinstance(message, SnapshotTaken | ClipClosed):
                self._report.events.file_written(decoder, message)
            elif message is None:
                done.add(decoder)
        for decoder in done:
            decoder.close()
            decoder.pending_messages.lost()
        for decoder in self.leaving:
            self._report.events.release(decoder)
            if decoder in done:
                del self._leaving[decoder]
