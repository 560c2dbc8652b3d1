"""What a search found, as JSON between processes: the searching process parses what strangers send, so nothing is
unpickled from it.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from stream.base.addresses import is_rtsp
from stream.base.foreign_json import foreign_json
from stream.discovery.errors import DeviceError
from stream.discovery.finding import Camera, Findings
from stream.discovery.looking import Seen
from stream.discovery.soap import plain

LARGEST: Final = 128 << 20
_MOST: Final = 10_000
_LONGEST: Final = 2_000


def packed(findings: Findings) -> bytes:
    """As JSON."""
    cameras = [
        {
            "name": c.name, "maker": c.maker, "host": c.host, "main": c.main, "sub": c.sub, "sizes": c.sizes,
            "width": c.seen.width, "height": c.seen.height, "jpeg": base64.b64encode(c.seen.jpeg).decode(),
        }
        for c in findings.cameras
    ]  # fmt: skip
    return json.dumps({"cameras": cameras, "problems": findings.problems}).encode()


def unpacked(content: bytes) -> Findings:
    """Raises DeviceError if it is not what `packed` gives."""
    try:
        data = foreign_json(content)
        cameras = [_camera(each) for each in data["cameras"][:_MOST]]
        return Findings(cameras, [plain(problem)[:_LONGEST] for problem in data["problems"][:_MOST]])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DeviceError("the search sent something else than cameras") from None


def _camera(data: dict[str, Any]) -> Camera:
    main, sub = data["main"], data["sub"]
    for url in (main, *([] if sub is None else [sub])):
        if not is_rtsp(url) or not url.isprintable() or len(url) > _LONGEST or "{" in url:
            raise ValueError("not the URL of a camera")
    seen = Seen(int(data["width"]), int(data["height"]), base64.b64decode(data["jpeg"], validate=True))
    texts = [plain(data[key]) for key in ("name", "maker", "host")]
    return Camera(texts[0], texts[1], texts[2], main, sub, seen, plain(data["sizes"]))
