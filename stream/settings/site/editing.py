"""Changes a site file for a person: comments and everything else stay as they are."""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.util import load_yaml_guess_indent

from configs.atomic import replacing
from stream.settings.site.document import parse
from stream.settings.site.reading import SiteError

WRITING: Final = threading.Lock()  # held from reading a site file until it is replaced


def as_yaml(keys: dict[str, Any]) -> str:
    """Keys, to be pasted into a site file."""
    out = io.StringIO()
    _yaml().dump(keys, out)
    return out.getvalue()


def edited(path: Path, content: bytes, fresh: dict[str, Any], change: Callable[[CommentedMap], None]) -> str:
    """The content of the file after `change`, or with the keys `fresh` added if it has no keys yet.

    Raises SiteError if it is not YAML, and if `change` does.
    """
    if not content.strip():
        return as_yaml(fresh)
    try:
        before = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SiteError([f"{path}: not UTF-8 text; nothing was written"]) from None
    if problem := next(iter(parse(before).problems), None):
        raise SiteError([f"{path}:{problem.line or 1}: {problem.text}; nothing was written"])
    try:
        data, indent, offset = load_yaml_guess_indent(before)
        yaml = _yaml(indent or 2, offset or 0)
        data = yaml.load(before)
    except YAMLError:
        raise SiteError([f"{path}: not YAML that can be changed; nothing was written"]) from None
    if data is None:
        return f"{before.rstrip()}\n\n{as_yaml(fresh)}"
    change(data)
    out = io.StringIO()
    yaml.dump(data, out)
    text = out.getvalue()
    return text.replace("\n", "\r\n") if "\r\n" in before else text


def block(path: Path, data: Any, key: str) -> Any:
    """The block `key` of `data`, made if it is missing or empty. Raises SiteError."""
    found = data.setdefault(key, CommentedMap()) if isinstance(data, CommentedMap) else None
    if found is None and isinstance(data, CommentedMap):
        found = data[key] = CommentedMap()
    if not isinstance(found, CommentedMap):
        raise SiteError([f"{path}: {key}: must be a block of keys; nothing was written"])
    if not found:
        found.fa.set_block_style()  # `{}` would put everything on one line
    return found


def replace_file(path: Path, text: str) -> None:
    """Replace the file, or create it, as a whole; it keeps its mode and owner. Raises OSError."""
    path = path.resolve()
    there = path.exists()
    with replacing(path) as partial:
        if there:
            partial.touch(0o600)  # it may hold passwords
        partial.write_bytes(text.encode())
        give_to_owner_of(path if there else path.parent, partial)
        if there:
            shutil.copymode(path, partial)


def give_to_owner_of(model: Path, made: Path) -> None:
    """What root has made is not root's if `model` is not: a service may run as its owner."""
    if os.geteuid() == 0:
        owner = model.stat()
        os.chown(made, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _yaml(indent: int = 4, offset: int = 2) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16  # long lines stay as they are
    yaml.indent(mapping=2, sequence=indent, offset=offset)
    return yaml
