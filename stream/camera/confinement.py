"""Confines a process that parses hostile video, with Landlock (Linux 5.13 and later): it can read its libraries, write
its images and clips, and open TCP connections to its camera's port, whatever code runs in it.

It applies to the thread that calls it and to everything that this thread starts, so it must be the first thread
(`without_thread_pools`).
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the numbers of the system calls, the same on all architectures
_VERSION: Final = 1  # flag: return the version of the interface
_BENEATH, _PORT = 1, 2
_NO_NEW_PRIVILEGES: Final = 38
_EXECUTE, _WRITE, _READ, _LIST, _REMOVE, _CREATE_FILE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 5, 1 << 8
_TRUNCATE: Final = 1 << 14
_OF_FILES: Final = _EXECUTE | _WRITE | _READ | _TRUNCATE
_READING: Final = _EXECUTE | _READ | _LIST
_WRITING: Final = _READ | _LIST | _WRITE | _REMOVE | _CREATE_FILE | _TRUNCATE
_BIND_TCP, _CONNECT_TCP = 1, 2
_NETWORK_FROM, _SCOPES_FROM = 4, 6  # versions
_SCOPES: Final = 3  # neither signals to, nor abstract sockets of, processes outside
_DNS: Final = 53
# what name resolution and TLS read, besides the libraries
_SYSTEM: Final = (
    "/usr", "/lib", "/lib64", "/opt", "/nix", "/dev/urandom", "/dev/random", "/dev/zero", "/proc/self", "/proc/cpuinfo",
    "/proc/meminfo", "/proc/sys", "/sys", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf",
    "/etc/gai.conf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/ld.so.cache", "/etc/localtime",
    "/etc/services", "/etc/protocols",
)  # fmt: skip


def landlock_version() -> int:
    """The version of Landlock in this kernel; 0 if there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, _syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)))


def confine(ports: Iterable[int] | None, read: Iterable[Path] = (), write: Iterable[Path] = ()) -> int:
    """Confine this thread: TCP to `ports` alone (None: to any), and no other files than libraries, `read` and `write`.

    Returns the version of Landlock that is in force: 0 nothing, below 4 only files. No core dump is written either way.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    version = landlock_version()
    if version == 0:
        return 0
    every = (1 << (13 + (version > 1) + (version > 2))) - 1
    handled = (every, 0 if ports is None else _BIND_TCP | _CONNECT_TCP, _SCOPES)
    size = 8 * (1 + (version >= _NETWORK_FROM) + (version >= _SCOPES_FROM))
    rules = _syscall(_CREATE, struct.pack("QQQ", *handled), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if rules < 0:
        return 0
    try:
        libraries = [*map(Path, _SYSTEM), *map(Path, filter(None, sys.path)), Path(sys.prefix), Path(sys.base_prefix)]
        for path in (*libraries, *read):
            _allow_path(rules, path, _READING & every)
        for path in (Path("/dev/null"), Path("/dev/shm"), *write):  # noqa: S108 -- semaphores
            _allow_path(rules, path, _WRITING & every)
        for port in (_DNS, *ports) if ports is not None and version >= _NETWORK_FROM else ():
            _syscall(_ADD, rules, _PORT, struct.pack("QQ", _CONNECT_TCP, port), ctypes.c_uint32(0))
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return version if _syscall(_RESTRICT, rules, ctypes.c_uint32(0)) == 0 else 0
    finally:
        os.close(rules)


def unreadable(paths: Iterable[Path]) -> list[Path]:
    """Those that exist and may not be read. What `confine` allows is a file, not its name: a file that is renamed into
    its place may not be read.
    """
    found = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except PermissionError:
            found.append(path)
        except OSError:
            pass
    return found


def _allow_path(rules: int, path: Path, rights: int) -> None:
    """Skips a path that does not exist."""
    with suppress(OSError):
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            allowed = rights if path.is_dir() else rights & _OF_FILES
            _syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", allowed, beneath), ctypes.c_uint32(0))
        finally:
            os.close(beneath)


def _syscall(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments))
