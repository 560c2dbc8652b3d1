"""Structured logs on standard error: readable lines on a terminal, otherwise JSON lines. Secrets are redacted."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import av.logging
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from stream.base.redaction import redact_all, redact_text
from stream.base.standard_error import StandardError

# Our own words, names and numbers. A password that is a common word or a year must not be redacted in them.
FLUSHED_WITHIN: Final = 0.5
_OURS: Final = frozenset({"event", "level", "timestamp", "camera", "id"})


standard_error: Final = StandardError()


def configure(secrets: Sequence[str] = ()) -> None:
    """Set up logging for this process. `secrets` are redacted in every value that may contain foreign text."""
    # FFmpeg's own lines contain complete URLs, and errors come as exceptions. `set_level` would install a callback that
    # takes the GIL in a codec's thread: a deadlock with a thread that holds it while it frees that codec.
    av.logging.set_libav_level(av.logging.PANIC)
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)

    def blot(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            if isinstance(value, str):
                ours = key in _OURS or isinstance(value, StrEnum)
                event[key] = redact_text(str(value), ()) if ours else redact_all(str(value), secrets)
        return event

    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not sys.stderr.isatty()),
            structlog.processors.format_exc_info,
            blot,
            renderer,
        ],
        logger_factory=lambda *_: standard_error,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _Forwarding) for handler in root.handlers):
        root.addHandler(_Forwarding(logging.WARNING))


def serve() -> None:
    """For a service: nobody waits for the log, and the tracebacks of threads and finalizers pass through it, too."""
    standard_error.use_thread()
    atexit.register(standard_error.flush, FLUSHED_WITHIN)
    report_defects()


def report_defects() -> None:
    """Let the tracebacks of threads and finalizers pass through this log and its redaction."""
    threading.excepthook = _thread_died
    sys.unraisablehook = _ignored


def _thread_died(args: threading.ExceptHookArgs) -> None:
    name = "" if args.thread is None else args.thread.name
    log.critical("a thread died", thread=name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _ignored(args: Any) -> None:
    """An error in a finalizer or in a callback of a native library, where nothing can catch it."""
    log.error("error ignored", where=repr(args.object), exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


class _Forwarding(logging.Handler):
    """Sends the log lines of libraries, uvicorn's tracebacks included, through this log and its redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        log.log(
            record.levelno, "library message", logger=record.name, detail=record.getMessage(), exc_info=record.exc_info
        )


log: structlog.stdlib.BoundLogger = structlog.get_logger()
