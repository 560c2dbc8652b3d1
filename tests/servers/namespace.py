"""A network namespace with a cable to this one that can be pulled out. Needs root."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_numbers = itertools.count(os.getpid() % 200 * 64)


class Namespace:
    """Programs whose command begins with `prefix` reach this host at `host`, and nothing else."""

    def __init__(self) -> None:
        number = next(_numbers) % (200 * 64)
        self.name, self._cable = f"mgfn{number}", f"mgfn{number}c"
        self.host, self._inside = f"10.213.{number // 64}.{number % 64 * 4 + 1}", f"10.213.{number // 64}."
        self._inside += str(number % 64 * 4 + 2)

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    @contextmanager
    def running(self) -> Iterator[Namespace]:
        """Skips the test where namespaces cannot be made."""
        if shutil.which("ip") is None or os.geteuid() != 0:
            pytest.skip("needs root and iproute2")
        if not _ip("netns", "add", self.name):
            pytest.skip("network namespaces are not allowed here")
        try:
            for command in (
                f"link add {self._cable} type veth peer name inside netns {self.name}",
                f"addr add {self.host}/30 dev {self._cable}",
                f"link set {self._cable} up",
                f"-n {self.name} addr add {self._inside}/30 dev inside",
                f"-n {self.name} link set inside up",
                f"-n {self.name} link set lo up",
            ):
                assert _ip(*command.split()), command
            yield self
        finally:
            _ip("link", "del", self._cable)
            _ip("netns", "del", self.name)

    def plug(self, *, connected: bool) -> None:
        """Put the cable in, or pull it out: packets vanish, and no connection is told."""
        assert _ip("link", "set", self._cable, "up" if connected else "down")


def _ip(*arguments: str) -> bool:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0
