"""Connects this process to a Ray cluster, or says in one line why that is impossible.

Ray itself tries for more than a minute to reach an address where nothing listens, and fills standard error meanwhile.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
from typing import Final

import ray

from stream.base.errors import UsageError

LOCAL: Final = "local"
_ADDRESS: Final = re.compile(r"[^\s:/@]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}")
_ANSWERS_WITHIN: Final = 60.0  # on a busy machine; else it takes a second or two
_CONNECTS_WITHIN: Final = 5.0
# how a client of HTTP/2, and so of gRPC, begins: the preface of RFC 9113 and an empty SETTINGS frame
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_FRAME, _SETTINGS = 9, 4


def connect(address: str) -> None:
    """Connect to the cluster whose head is at HOST:PORT, or start one on this machine ("local").

    `ray.shutdown` ends either. Raises UsageError if there is no head at the address, or if it runs another version of
    Ray or Python.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address != LOCAL:
        _check_head(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == LOCAL else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except Exception as error:  # noqa: BLE001 -- Ray raises that class itself
        raise UsageError(f"--cluster {address}: {_line(str(error))}") from None
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray's own ends the process with exit code 15


def _check_head(address: str) -> None:
    """Raise UsageError unless a Ray head of this version answers at `address`."""
    if address.startswith("ray://"):
        raise UsageError(f"--cluster {address}: ray:// is for interactive use; give HOST:PORT of the head, without it")
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"--cluster {address}: must be HOST:PORT of a Ray head, or {LOCAL}")
    host, _, port = address.rpartition(":")
    silent = UsageError(f"--cluster {address}: something listens there, but it does not answer as a Ray head")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECTS_WITHIN) as connection:
            if os.environ.get("RAY_USE_TLS") != "1" and not _speaks_grpc(connection):
                raise silent
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"--cluster {address}: no Ray head answers there: {reason}") from None
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWERS_WITHIN, check=False)  # noqa: S603 -- our own command
    except subprocess.TimeoutExpired:
        raise silent from None
    if asked.returncode and "RpcError" in asked.stderr:
        raise silent
    if "AuthenticationError" in asked.stderr:
        raise UsageError(
            f"--cluster {address}: the head wants its token; set RAY_AUTH_MODE=token, and put the token into "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token"
        )
    if asked.returncode:
        last = _line((asked.stderr.strip().splitlines() or ["it is no Ray head"])[-1])
        raise UsageError(f"--cluster {address}: {last.partition('Error: ')[2] or last}")


def _speaks_grpc(connection: socket.socket) -> bool:
    """Whether the server begins as one of gRPC does; unlike Ray, this notices a web server at once."""
    connection.settimeout(_ANSWERS_WITHIN)
    answer = b""
    try:
        connection.sendall(_PREFACE)
        while len(answer) < _FRAME:
            if not (part := connection.recv(_FRAME - len(answer))):
                return False
            answer += part
    except OSError:
        return False
    return answer[3] == _SETTINGS


def _line(text: str) -> str:
    return " ".join(text.split())
