"""An authority and its certificates, made by OpenSSL."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """A certificate authority in a folder; `ca` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.ca, self._key = folder / "ca.pem", folder / "ca.key"
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self._key, "-out", self.ca, "-days", 30,
                 "-subj", f"/CN=authority {folder.name}", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip

    def issue(self, name: str, subject: str = "IP:127.0.0.1", *, expired: bool = False) -> tuple[Path, Path]:
        """A certificate for `subject` and its key."""
        certificate, key, request = (self._folder / f"of-{name}.{kind}" for kind in ("pem", "key", "csr"))
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}",
                 "-addext", f"subjectAltName={subject}")  # fmt: skip
        days = -1 if expired else 30
        _openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial",
                 "-copy_extensions", "copy", "-out", certificate, "-days", days)  # fmt: skip
        key.chmod(0o644)  # the server may run as another user
        return certificate, key


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
