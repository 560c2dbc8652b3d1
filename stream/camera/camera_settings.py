"""The settings of a camera's decoder process, and what they let it read and write."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stream.base.addresses import Source, port_of
from stream.base.clock import SteadyClock
from stream.camera.clip_ring import ClipRing
from stream.camera.clips import TRAINED_RATE, Stride
from stream.camera.confinement import confine, unreadable
from stream.camera.hwaccel import Hwaccel
from stream.camera.view import View


@dataclass(frozen=True)
class CameraSettings:
    """Settings of a decoder process. In a `replay` no clip is dropped, and times are media times.

    `media` is the folder for images and clips, or None if none are written. `mask_saved`: the masks of `view` apply to
    them, too.
    """

    source: Source
    geometry: str
    ring: ClipRing
    clock: SteadyClock
    replay: bool = False
    transport: str = "tcp"
    pre_roll: float = 5.0
    fps: float = TRAINED_RATE
    stride: Stride = 16
    hwaccel: Hwaccel = "none"
    skip_still: bool = False
    eco: bool = False
    view: View = field(default_factory=View)
    mask_saved: bool = True
    sub_stream: Source | None = None
    media: Path | None = None

    @property
    def hides(self) -> View | None:
        """The view whose masks apply to saved images and clips."""
        return self.view if self.mask_saved else None

    def confined(self) -> int:
        """Confine this process to what it needs; see `confine`."""
        ports = {port_of(stream.url) for stream in self._streams if stream.live}
        files = [Path(stream.url).absolute() for stream in self._streams if not stream.live]
        return confine(ports, [*files, *self._certificates], self._written)

    def unreadable(self) -> list[Path]:
        """Those of its files that this process may not read; one that was replaced since it was confined is another."""
        return unreadable([Path("/etc/resolv.conf"), *self._certificates, *self._written])

    @property
    def _written(self) -> list[Path]:
        return [] if self.media is None else [self.media]

    @property
    def _streams(self) -> list[Source]:
        return [self.source, *([] if self.sub_stream is None else [self.sub_stream])]

    @property
    def _certificates(self) -> list[Path]:
        return [path for stream in self._streams if stream.tls is not None for path in stream.tls.files]
