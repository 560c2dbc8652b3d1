"""An import-linter contract that is a table: one line for each package, naming all that it may import directly."""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class ImportTable(Contract):
    """`table`: lines of `package: package package ...`. A package that stands in no line fails, as does an import of
    a listed package that the importer's line does not name. `doors`: single modules with a line of their own."""

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
    """The listed package that holds a module."""
    while module and module not in packages:
        module = module.rpartition(".")[0]
    return module or None
