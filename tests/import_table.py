"""An import-linter contract in the form of a table: one line per package with everything that it may import
directly.
"""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class ImportTable(Contract):
    """`table`: lines of `package: package package ...`.

    It is violated by a package without a line, and by an import of a listed package that is not in the importer's line.
    `doors`: single modules with a line of their own.
    """

    table = fields.ListField(subfield=fields.StringField())
    doors = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 -- import-linter's signature
        allowed = _parsed(self.table)
        doors = _parsed(self.doors)
        packages = set(allowed)
        parents = {package.rpartition(".")[0] for package in packages} - {""}
        missing = sorted({child for parent in parents for child in graph.find_children(parent)} - packages)
        broken = [f"{package} stands in no line of the table" for package in missing]
        for module in sorted(graph.modules):
            room = _room(module, packages)
            if room is None:
                continue
            may = allowed[room] | doors.get(module, set()) | {room}
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                other = _room(imported, packages)
                if other is not None and other not in may:
                    broken.append(f"{module} imports {imported}: {room} may import {', '.join(sorted(allowed[room]))}")
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["broken"]:
            output.print_error(line)


def _parsed(lines: Any) -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for line in lines:
        package, _, imports = line.partition(":")
        table[package.strip()] = set(imports.split())
    return table


def _room(module: str, packages: set[str]) -> str | None:
    """The listed package that contains a module."""
    while module and module not in packages:
        module = module.rpartition(".")[0]
    return module or None
