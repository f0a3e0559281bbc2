"""A contract for import-linter: some modules import nothing but the standard library and named others.

The agent runs on the bare python3 of any sandbox, and a list of what it must not import would always be
too short.
"""

from __future__ import annotations

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

NEWER_THAN_THE_AGENT = {"tomllib"}
"""Modules of the standard library that Python 3.9 does not have."""


class BareContract(Contract):
    """Holds `modules`, and all below them, to the standard library, each other, and `allowed_modules`."""

    type_name = "bare"

    modules: Any = fields.ListField(subfield=fields.StringField())
    allowed_modules: Any = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        allowed = [*self.modules, *(self.allowed_modules or ())]
        strays = [
            (importer, imported)
            for importer in sorted(graph.modules)
            if _is_within(importer, self.modules)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not _is_within(imported, allowed) and not _is_standard(imported)
        ]
        return ContractCheck(kept=not strays, metadata={"strays": strays})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["strays"]:
            output.print_error(
                f"{importer} must run on a bare Python 3.9, and imports {imported}.", bold=False
            )


def _is_within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _is_standard(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names and top not in NEWER_THAN_THE_AGENT
