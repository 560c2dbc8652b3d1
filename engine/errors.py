"""Errors of the engine; each message is one line for the user.

EngineError
├── BundleError              a bundle that is missing, damaged, newer than this program or does not fit
└── BackendError             an engine that is not installed, a device that is not there, arrays of a wrong shape
    └── OutOfMemoryError     the GPU's memory is full: a smaller batch may fit
"""


class EngineError(Exception):
    """Base of what the engine raises."""


class BundleError(EngineError):
    """The bundle cannot be used."""


class BackendError(EngineError):
    """The backend cannot be used, or was given arrays that it does not take."""


class OutOfMemoryError(BackendError):
    """The GPU has no memory left for this batch."""
