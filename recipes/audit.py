"""Compares pinned versions with known vulnerabilities, without a network.

    python -m recipes.audit ADVISORIES [--pins constraints.txt]

ADVISORIES is a .json file, a folder or a .zip of advisories in the OSV format, copied from a machine that has a network
(OSV publishes one archive for PyPI). Exits 1 if a pinned version is affected, and 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


def pins(text: str) -> dict[str, Version]:
    """The versions in a constraints or lock file, by canonical name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


def advisories(path: Path) -> Iterator[dict[str, Any]]:
    """Every advisory of a file, folder or archive."""
    if path.is_dir():
        texts = [file.read_bytes() for file in sorted(path.rglob("*.json"))]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            texts = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".json")]
    else:
        texts = [path.read_bytes()]
    for text in texts:
        content = json.loads(text)
        yield from content if isinstance(content, list) else [content]


def affected(advisory: dict[str, Any], pinned: dict[str, Version]) -> Iterator[tuple[str, Version]]:
    """Names and versions among `pinned` that the advisory affects."""
    if advisory.get("withdrawn"):
        return
    for part in advisory.get("affected", ()):
        package = part.get("package", {})
        name = canonicalize_name(package.get("name", ""))
        version = pinned.get(name)
        if version is None or package.get("ecosystem") != "PyPI":
            continue
        listed = any(_parsed(each) == version for each in part.get("versions", ()))
        if listed or any(_within(version, each) for each in part.get("ranges", ()) if each.get("type") == "ECOSYSTEM"):
            yield name, version


def _within(version: Version, span: dict[str, Any]) -> bool:
    inside = False
    for event in span.get("events", ()):
        if (begin := event.get("introduced")) is not None and (begin == "0" or version >= _parsed(begin)):
            inside = True
        if (end := event.get("fixed")) is not None and version >= _parsed(end):
            inside = False
        if (last := event.get("last_affected")) is not None and version > _parsed(last):
            inside = False
    return inside


def _parsed(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0.dev0")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("advisories", type=Path)
    parser.add_argument("--pins", type=Path, default=Path("constraints.txt"))
    given = parser.parse_args()
    try:
        pinned = pins(given.pins.read_text(encoding="utf-8"))
        known = list(advisories(given.advisories))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"audit: {given.advisories}: {error}", file=sys.stderr)
        return 2
    if not pinned or not any(advisory.get("affected") for advisory in known):
        print(f"audit: {len(pinned)} pinned versions, {len(known)} advisories: nothing to compare", file=sys.stderr)
        return 2
    found = sorted({(name, str(version), str(each.get("id")), str(each.get("summary", ""))[:80])
                    for each in known for name, version in affected(each, pinned)})  # fmt: skip
    for name, version, identifier, summary in found:
        print(f"{name} {version}: {identifier} {summary}".rstrip())
    print(f"{len(pinned)} pinned versions, {len(known)} advisories, {len(found)} matches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
