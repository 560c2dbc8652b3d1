"""Code that can be read in one sitting: limits for files and classes, and no class put together from mixins."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FILE_LINES, CLASS_LINES = 350, 200
CODE: Final = {".py", ".js", ".css", ".html", ".sh"}
NOT_OURS: Final = {"tests", "build", "dist", "runs"}
NO_PARTS: Final = {"Protocol", "Generic", "ABC"}  # bases that bring no behaviour


def code() -> dict[str, str]:
    """The text of each code file of the project by its path; tests and hidden folders are left out."""
    found = {}
    for top in ROOT.iterdir():
        if top.name.startswith(".") or top.name in NOT_OURS:
            continue
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.suffix in CODE and path.is_file():
                found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    return found


def problems(name: str, text: str) -> Iterator[str]:
    """What is too large in a file, and its classes with several bases."""
    if (lines := len(text.splitlines())) > FILE_LINES:
        yield f"{name}: {lines} lines, at most {FILE_LINES}"
    for node in ast.walk(ast.parse(text)) if name.endswith(".py") else ():
        if not isinstance(node, ast.ClassDef):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        if (lines := (node.end_lineno or first) - first + 1) > CLASS_LINES:
            yield f"{name}: class {node.name} has {lines} lines, at most {CLASS_LINES}"
        bases = [ast.unparse(base) for base in node.bases]
        if len([base for base in bases if base.partition("[")[0] not in NO_PARTS]) > 1 or "Mixin" in node.name:
            yield f"{name}: class {node.name}({', '.join(bases)}): its parts should be objects of their own"


def test_files_and_classes_are_small() -> None:
    files = code()
    assert {"mgfn/network.py", "stream/web/page/static/app.js", "recipes/field_head/train.py"} <= set(files)
    assert [problem for name in sorted(files) for problem in problems(name, files[name])] == []


def test_what_is_too_large_is_named() -> None:
    body = "    x = 0\n"
    assert not [*problems("a.py", "class A(Protocol, B):\n" + 199 * body + 150 * "\n")]
    assert [*problems("a.py", "class A:\n" + 200 * body)] == ["a.py: class A has 201 lines, at most 200"]
    assert [*problems("a.js", 351 * "\n")] == ["a.js: 351 lines, at most 350"]
    (mixed,) = problems("a.py", "class A(B, C):\n    class D: ...\n")
    assert mixed == "a.py: class A(B, C): its parts should be objects of their own"
