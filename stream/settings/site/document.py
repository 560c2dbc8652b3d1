"""Converts YAML text to plain data with the line number of every key. It does not interpret the keys.

YAML 1.2: `off` and `18:00` are strings. Duplicate keys, tags and the like are collected as problems, so that all can be
reported at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]  # keys and positions, from the top

_DEEPEST: Final = 12
_LARGEST: Final = 50_000
_PLAIN: Final = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
_OURS: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Problem:
    """A problem, with its line if known; `key` is "" for problems of the whole file."""

    line: int | None
    key: str
    text: str


@dataclass
class Document:
    """`data` is None for an empty file; `lines` has the lines of keys and list items."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """The line of a key, or of the block that contains it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def key_of(path: Path) -> str:
    """Formats a path as `cameras.door.masks[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def parse(text: str) -> Document:
    """Read a YAML document. Its problems are in `problems`."""
    document = Document()
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        if root is not None:
            document.data = _Reader(yaml, document).value(root, ())
    except MarkedYAMLError as error:
        document.problems.append(_not_yaml(error))
    except YAMLError as error:
        document.problems.append(Problem(None, "", f"not YAML: {str(error).splitlines()[0]}"))
    except RecursionError:
        document.problems.append(Problem(None, "", "nested too deeply"))
    return document


def _not_yaml(error: MarkedYAMLError) -> Problem:
    # do not use the error's own text: it quotes the line, which may contain a password
    mark = error.problem_mark or error.context_mark
    if "quoted scalar" in str(error.context):  # never closed: report where it begins, not the end of the file
        mark = error.context_mark
    hint = "; indent with spaces" if "\\t" in str(error.problem) else ""
    if "flow" in str(error.context) and "got '{'" in str(error.problem):
        hint = "; inside braces or brackets, put values with {MGFN_NAME} in quotes"
    said = ", ".join(str(part) for part in (error.context, error.problem) if part)
    return Problem(mark.line + 1 if mark else None, "", f"not YAML: {said}{hint}")


class _TooLargeError(YAMLError):
    pass


class _Reader:
    def __init__(self, yaml: YAML, document: Document) -> None:
        self._yaml = yaml
        self._document = document
        self._count = 0

    def value(self, node: Node, path: Path) -> Any:
        self._count += 1
        if self._count > _LARGEST or len(path) > _DEEPEST:  # aliases can be nested endlessly
            raise _TooLargeError("too large, or nested too deeply")
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, position)) for position, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)  # noqa: S101 -- there is no fourth kind of node
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._complain(line, path, "a key must be a single word")
                continue
            key = str(key_node.value)
            if key == "<<":
                self._complain(line, (*path, key), "merge keys are not supported; use `defaults` for shared settings")
                continue
            if key in found:
                first = self._document.lines[(*path, key)]
                self._complain(line, (*path, key), f"duplicate key, first given in line {first}")
                continue
            self._document.lines[(*path, key)] = line
            found[key] = self.value(value_node, (*path, key))
        return found

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        tag = str(node.tag)
        if not tag.startswith(_OURS):
            hint = "; for secrets write {MGFN_NAME}" if tag == "!secret" else ""
            self._complain(node.start_mark.line + 1, path, f"the tag {tag} is not allowed{hint}")
        return self._yaml.constructor.construct_object(node) if tag in _PLAIN else str(node.value)

    def _complain(self, line: int, path: Path, text: str) -> None:
        self._document.problems.append(Problem(line, key_of(path), text))
