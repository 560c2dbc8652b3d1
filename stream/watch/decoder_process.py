"""The decoder processes as the service sees them: one for each camera, replaced when it dies or falls silent."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, Final

from engine.manifest import Manifest
from stream.base.errors import StreamError
from stream.base.processes import StartProcess
from stream.camera.clip_ring import ClipRing
from stream.camera.decoder import STOP, CameraSettings, run_camera
from stream.camera.messages import ClipClosed, ClipReady, Message, Order, SnapshotTaken
from stream.settings.settings import CameraConfig
from stream.watch.pending_messages import PendingMessages
from stream.watch.watched_camera import WatchedCamera

PENDING_CLIPS: Final = 3
SILENT_AFTER: Final = 20.0
# Sixteen processes that load their libraries at once on two busy cores take longer than SILENT_AFTER.
STARTED_WITHIN: Final = 180.0


class DecoderProcess:
    """A camera's decoder process, its ring, the clips that it finished and nobody has scored, and its camera.

    Raises StreamError where there is no room for one more.
    """

    def __init__(
        self, config: CameraConfig, camera: WatchedCamera, manifest: Manifest, replay: bool, start_process: StartProcess
    ) -> None:
        self.config = config
        self.camera = camera
        self.ring = ClipRing.create(PENDING_CLIPS + 2, manifest.crops)
        self.pending_messages = PendingMessages()
        self.pending_clips: deque[ClipReady] = deque()
        self._manifest = manifest
        self._replay = replay
        self._settings = self._settings_for(config)
        self._start_process = start_process
        try:
            self.start()
        except OSError as error:
            self.ring.close()
            raise StreamError(f"no process for {config.name}: {error.strerror}") from None

    def _settings_for(self, config: CameraConfig) -> CameraSettings:
        return CameraSettings(
            config.source,
            self._manifest.geometry,
            self.ring,
            replay=self._replay,
            transport=config.transport,
            pre_roll=config.clip.pre_roll,
            fps=config.fps,
            stride=config.stride,
            hwaccel=config.hwaccel,
            motion_threshold=config.motion_threshold,
            view=config.view,
            sub_stream=config.sub_stream,
        )

    def serves(self, config: CameraConfig) -> bool:
        """Whether this process may go on with the camera's other settings."""
        return self._settings_for(config) == self._settings

    def start(self) -> None:
        self.process, self.pipe = self._start_process(run_camera, (self._settings,), f"mgfn-{self.camera.name}")
        self.last_sign, self._patience = time.monotonic(), STARTED_WITHIN
        self.finished = False

    def gave_sign(self, now: float) -> None:
        """It said something at monotonic time `now`."""
        self.last_sign, self._patience = now, SILENT_AFTER

    def silent(self, now: float) -> float | None:
        """For how many seconds it has hung, by monotonic time `now`, None if it does not.

        What it said while a batch took long still waits in the pipe.
        """
        silence = now - self.last_sign
        return silence if silence > self._patience and not self.pipe.poll() else None

    def give_back(self, slot: int) -> None:
        self._tell(slot)

    def shed_pending(self) -> None:
        """Give back every clip that waits to be scored."""
        while self.pending_clips:
            self.give_back(self.pending_clips.popleft().slot)

    def order(self, order: Order) -> None:
        """Ask for a picture or a clip."""
        self._tell(order)

    def stop(self) -> None:
        """Ask it to end; it closes its clips first."""
        self._tell(STOP)

    def _tell(self, message: int | Order) -> None:
        with suppress(OSError):  # the decoder may be gone; the supervisor notices
            self.pipe.send(message)

    def restart(self) -> None:
        """End the process by force and start another."""
        self.pending_clips.clear()
        self.pending_messages.lost()
        self.camera.restarted()
        self.process.kill()
        self.end()
        self.start()

    def end(self, within: float = 0.5) -> None:
        """Let the process end by itself within so many seconds, else by force."""
        self.process.join(within)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


def received(decoders: Sequence[DecoderProcess], timeout: float) -> Iterator[tuple[DecoderProcess, Message | None]]:
    """Every message that is there, waiting up to `timeout` seconds for the first; None where a process has ended."""
    by_pipe: dict[Any, DecoderProcess] = {decoder.pipe: decoder for decoder in decoders}
    for pipe in wait(by_pipe, timeout):
        decoder = by_pipe[pipe]
        try:
            while decoder.pipe.poll():
                yield decoder, decoder.pipe.recv()
        except (EOFError, OSError):
            yield decoder, None


def hear_out(
    decoders: Sequence[DecoderProcess],
    within: float,
    file_written: Callable[[DecoderProcess, SnapshotTaken | ClipClosed], None],
) -> None:
    """Hear what they close on their way out, having been told to stop; after so many seconds the others are killed."""
    deadline = time.monotonic() + within
    running = [decoder for decoder in decoders if not decoder.finished]
    while running and (rest := deadline - time.monotonic()) > 0:
        for decoder, message in received(running, rest):
            if isinstance(message, SnapshotTaken | ClipClosed):
                file_written(decoder, message)
            elif message is None:
                running.remove(decoder)
    for decoder in running:
        decoder.process.kill()
