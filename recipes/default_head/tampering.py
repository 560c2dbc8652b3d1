"""Camera tampering and harmless disturbances, rendered on ordinary crops (uint8 (frames, 224, 224, 3) RGB).

Tampering (anomalous): covering, shaking, defocus, flash. Harmless (ordinary): a cut, a frozen image.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Tamper = Callable[[UInt8Array, int, np.random.Generator], UInt8Array]


def cover(frames: UInt8Array, onset: int, rng: np.random.Generator) -> UInt8Array:
    """A hand, cloth or spray slides in from one side within a few frames and stays, not quite still."""
    out = frames.copy()
    side = frames.shape[1]
    texture = rng.integers(0, 60, (8, 8, 3)) + rng.integers(0, 140)
    cloth = cv2.resize(texture.astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    arrives, share, turn = rng.integers(2, 12), rng.uniform(0.8, 1.0), int(rng.integers(4))
    for index in range(onset, len(frames)):
        width = int(side * share * min(1.0, (index - onset + 1) / arrives))
        shifted = np.roll(cloth, (int(rng.integers(-3, 4)), int(rng.integers(-3, 4))), (0, 1))
        picture = np.rot90(out[index], turn).copy()
        dimmed = (picture * 0.6).astype(np.uint8)
        picture[:, :width] = shifted[:, :width]
        picture[:, width:] = dimmed[:, width:]
        out[index] = np.rot90(picture, -turn)
    return out


def shake(frames: UInt8Array, onset: int, rng: np.random.Generator) -> UInt8Array:
    """The camera is hit or turned: large shifts and rotations from frame to frame, blurred along the motion."""
    out = frames.copy()
    side = frames.shape[1]
    reach, speed = rng.uniform(12, 45), rng.uniform(0.6, 2.2)
    phases = rng.uniform(0, 2 * np.pi, 3)
    for index in range(onset, len(frames)):
        t = (index - onset) * speed
        dx, dy = reach * np.sin(t + phases[0]), reach * np.sin(1.3 * t + phases[1])
        turn = 0.25 * reach * np.sin(0.8 * t + phases[2])
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, 1.0)
        matrix[:, 2] += (dx + rng.normal(0, 3), dy + rng.normal(0, 3))
        moved = cv2.warpAffine(out[index], matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
        blur = max(1, int(reach * speed / 6))
        out[index] = cv2.blur(moved, (blur, 1) if abs(np.cos(t)) > abs(np.cos(1.3 * t)) else (1, blur))
    return out


def defocus(frames: UInt8Array, onset: int, rng: np.random.Generator) -> UInt8Array:
    """The lens loses focus within a few frames."""
    out = frames.copy()
    strength, arrives = rng.uniform(6, 16), rng.integers(3, 20)
    for index in range(onset, len(frames)):
        sigma = strength * min(1.0, (index - onset + 1) / arrives)
        out[index] = cv2.GaussianBlur(out[index], (0, 0), sigma)
    return out


def flash(frames: UInt8Array, onset: int, rng: np.random.Generator) -> UInt8Array:
    """A lamp blinds the camera: overexposed and flickering."""
    out = frames.copy()
    strength, flicker = rng.uniform(120, 255), rng.uniform(0.1, 0.6)
    side = frames.shape[1]
    yy, xx = np.mgrid[0:side, 0:side]
    centre, width = rng.uniform(0, side, 2), rng.uniform(80, 400)
    glow = np.exp(-((yy - centre[0]) ** 2 + (xx - centre[1]) ** 2) / width**2)[..., None]
    for index in range(onset, len(frames)):
        light = strength * (1 - flicker * rng.uniform())
        out[index] = np.clip(out[index] * (1 + light / 200) + light * (0.3 + 0.7 * glow), 0, 255)
    return out


TAMPERS: dict[str, Tamper] = {"cover": cover, "shake": shake, "defocus": defocus, "flash": flash}


def ping_pong(frames: UInt8Array, length: int) -> UInt8Array:
    """`length` frames: the recording forwards, backwards, forwards, ... (no cut)."""
    period = np.concatenate([frames, frames[-2:0:-1]])
    return np.asarray(period[np.arange(length) % len(period)])


def cut(before: UInt8Array, after: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A clip of 16 frames in which one scene follows another."""
    at = int(rng.integers(2, 15))
    return np.concatenate([before[-at:], after[: 16 - at]]).astype(np.uint8, copy=False)


def frozen(frames: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A clip of 16 frames in which only the sensor's noise changes."""
    still = frames[int(rng.integers(len(frames)))].astype(np.float32)
    noise = rng.normal(0, rng.uniform(0, 4), (16, *still.shape))
    return np.clip(still + noise, 0, 255).astype(np.uint8)
