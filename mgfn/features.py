"""Feature files: one .npy for each video, float32 (clips, crops, C), like the published UCF-Crime features."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
MOST_CROPS: Final = 10
BACKBONE_CHANNELS: Final = (768, 1024, 2048)


class FeatureError(Exception):
    """A feature file that cannot be read or has another shape; the message is one line for the user."""


def read_features(path: Path, channels: int | None = None) -> FloatArray:
    """Memory-mapped features, float32 (clips, crops, C); a file of (clips, C) is read as one crop.

    Raises FeatureError for a missing, truncated or foreign file, another type or shape, no clips, axes in another
    order, and for another number of channels than `channels` if given. Values are not checked: see `check_finite`.
    """
    array = _mapped(path)
    check_axes(path, array.shape, channels)
    shaped = array if array.ndim == 3 else array[:, None]
    return shaped if shaped.dtype == np.float32 else shaped.astype(np.float32)


def feature_shape(path: Path, channels: int | None = None) -> tuple[int, int, int]:
    """(clips, crops, C) of a file, from its header. Raises FeatureError like `read_features`."""
    shape = _mapped(path).shape
    check_axes(path, shape, channels)
    return (shape[0], shape[1] if len(shape) == 3 else 1, shape[-1])


def check_axes(path: Path, shape: tuple[int, ...], channels: int | None = None) -> None:
    """Raise FeatureError unless `shape` can be (clips, crops, C) or (clips, C): at most ten crops, `channels` channels.

    Axes in another order, and a magnitude as an additional channel, are named.
    """
    crops = shape[1] if len(shape) == 3 else 1
    known = BACKBONE_CHANNELS if channels is None else (channels,)
    swapped = [axis for axis, size in enumerate(shape[:-1]) if size in known and shape[-1] not in known]
    problem = ""
    if channels is not None and shape[-1] != channels:
        problem = f"{shape[-1]} channels, expected {channels}"
    elif crops > MOST_CROPS:
        problem = f"{crops} crops of {shape[-1]} channels, at most {MOST_CROPS} crops are plausible"
    if shape[-1] - 1 in known:
        problem = problem or f"{shape[-1]} channels"
        problem += f"; {shape[-1] - 1} and the magnitude, which the network computes itself: remove the last one"
    elif problem and swapped:
        problem += f"; axis {swapped[-1]} has {shape[swapped[-1]]}: are the axes in another order?"
    if problem:
        raise FeatureError(f"features {path}: shape {shape}: {problem}; expected (clips, crops, C) or (clips, C)")


def _mapped(path: Path) -> NDArray[np.floating]:
    """The array of a file, mapped; any float type. Raises FeatureError."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise FeatureError(f"features {path}: {error.strerror or 'cut short'}") from None
    except (ValueError, EOFError):  # NumPy's own message describes its internals, and how to read a pickle unsafely
        raise FeatureError(f"features {path}: not a complete .npy file of numbers") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim not in (2, 3) or 0 in array.shape:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise FeatureError(f"features {path}: {found}, expected float (clips, crops, C) or (clips, C)")
    return array


def listed_file(entry: str, folder: Path | None, listing: Path) -> Path:
    """The location of the feature file named by a list; if there is none, the place to name in an error.

    Published lists contain the paths of another machine (also Windows). A file is searched in `folder` by its listed
    path, then by its name alone; without `folder`, beside the list, below the current folder, and at its absolute path.
    `.npy` may be missing. The names end in `_i3d`, which `mgfn-extract` does not add: a file without it is found, too.
    """
    relative = entry.replace("\\", "/").removesuffix(".npy") + ".npy"
    name = PurePosixPath(relative).name
    if folder is None:
        places = [listing.parent / relative, Path(relative), listing.parent / name]
    else:
        places = [folder / relative.lstrip("/"), folder / name]
    extracted = places[-1].with_name(video_name(name) + ".npy")
    return next((place for place in (*places, extracted) if is_there(place)), places[-1])


def is_there(file: Path) -> bool:
    """Whether the file exists; an invalid file name does not."""
    try:
        return file.is_file()
    except OSError:  # a line of another kind of file may be longer than any file name
        return False


def video_name(file: str) -> str:
    """A video's name: without folder, `.npy`, and the `_i3d` at the end of the released UCF-Crime features."""
    return PurePosixPath(file.replace("\\", "/")).name.removesuffix(".npy").removesuffix("_i3d")


def check_finite(path: Path, features: FloatArray) -> None:
    """Raise FeatureError that names the first clip with NaN or infinity."""
    bad = ~np.isfinite(features).all(axis=(1, 2))
    if bad.any():
        raise FeatureError(
            f"features {path}: {int(bad.sum())} clips hold NaN or infinity, first clip {int(bad.argmax())}"
        )
