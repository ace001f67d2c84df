"""Data flow one way: a module imports only modules of lower rank or of its own folder, and no
imports form a cycle.
"""

import ast
from pathlib import Path

import pytest

import flowtuple

ROOT = Path(flowtuple.__file__).parent

# Ranks by the first part of a module's name below `flowtuple`; "" is the package's own `__init__`.
RANKS = {
    "errors": 0,
    "samples": 0,
    "runtime": 1,
    "data": 2,
    "analysis": 3,
    "io": 3,
    "lattice": 3,
    "transforms": 3,
    "comparison": 4,
    "codec": 4,
    "baseline": 5,
    "file": 5,
    "model": 5,
    "dask": 6,
    "flows": 6,
    "simulation": 6,
    "training": 6,
    "reporting": 7,
    "advice": 8,
    "benchmark": 8,
    "api": 9,
    "": 10,
    "batch": 11,
    "cli": 12,
    "__main__": 13,
}

Imports = dict[str, set[str]]


def modules(root: Path, package: str = "flowtuple") -> dict[str, Path]:
    """Every module below a package's folder by its full name, packages by theirs."""
    names = {}
    for path in sorted(root.rglob("*.py")):
        parts = [package, *path.relative_to(root).with_suffix("").parts]
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(tree: ast.AST, name: str, is_package: bool, known: set[str]) -> set[str]:
    """The modules among `known` that a module names anywhere in its text, in functions and under
    TYPE_CHECKING too.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".") if is_package else name.split(".")[:-1]
                base = ".".join(
                    parts[: len(parts) - node.level + 1] + ([base] if base else [])
                )
            submodules = {f"{base}.{alias.name}" for alias in node.names} & known
            found |= submodules
            if len(submodules) < len(node.names):
                # something of the package itself, not only its modules
                found.add(base)
    return {other for other in found if other in known and other != name}


def imports_of(root: Path, package: str = "flowtuple") -> Imports:
    names = modules(root, package)
    return {
        name: imported(
            ast.parse(path.read_text(encoding="utf-8")),
            name,
            path.name == "__init__.py",
            set(names),
        )
        for name, path in names.items()
    }


def part(module: str) -> str:
    """`io` for flowtuple.io.root, `errors` for flowtuple.errors, empty for the package."""
    return ([*module.split("."), ""])[1]


def folder(module: str, imports: Imports) -> str:
    """The folder that a module lives in: a package with modules of its own is one, the top is
    another.
    """
    is_folder = any(other.startswith(f"flowtuple.{part(module)}.") for other in imports)
    return part(module) if part(module) and is_folder else ""


def violations(imports: Imports) -> list[str]:
    """Imports that point up, or sideways into another folder."""
    found = []
    for module, others in imports.items():
        for other in sorted(others):
            up = RANKS[part(other)] - RANKS[part(module)]
            if up > 0 or (up == 0 and folder(module, imports) != folder(other, imports)):
                found.append(
                    f"{module} (rank {RANKS[part(module)]}) imports {other} (rank {RANKS[part(other)]})"
                )
    return found


def cycles(imports: Imports) -> list[str]:
    """One line for each import that closes a circle."""
    done: set[str] = set()
    found = []

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for other in sorted(imports[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in imports:
        visit(module, [])
    return found


IMPORTS = imports_of(ROOT)


def test_every_module_has_a_rank():
    unknown = sorted({part(module) for module in IMPORTS} - set(RANKS))
    assert not unknown, (
        f"no rank for {', '.join(unknown)}: add them to RANKS here and to the table in CONTRIBUTING.md"
    )


def test_imports_point_down():
    assert {part(module) for module in IMPORTS} <= set(RANKS)
    assert violations(IMPORTS) == []


def rank_table() -> str:
    """The table of CONTRIBUTING.md: ranks, parts, and the first lines of their docstrings."""
    lines = ["| rank | part | purpose |", "|---|---|---|"]
    names = modules(ROOT)
    for name, rank in RANKS.items():
        module = f"flowtuple.{name}".rstrip(".")
        purpose = (
            ast.get_docstring(ast.parse(names[module].read_text(encoding="utf-8"))) or ""
        ).split("\n")[0]
        lines.append(f"| {rank} | `{name or 'flowtuple'}` | {purpose} |")
    return "\n".join(lines)


def test_contributing_shows_the_ranks():
    page = ROOT.parents[1] / "CONTRIBUTING.md"
    if not page.is_file():
        pytest.skip("no checkout")
    assert rank_table() in page.read_text(encoding="utf-8")


def test_no_import_cycle():
    assert cycles(IMPORTS) == []


def test_the_walk_sees_imports_at_all():
    assert "flowtuple.errors" in IMPORTS["flowtuple.file.layout"]
    # from flowtuple.codec import coder
    assert "flowtuple.codec.coder" in IMPORTS["flowtuple.codec.column"]
    assert "flowtuple.codec" not in IMPORTS["flowtuple.codec.column"]
    # inside a function
    assert "flowtuple.training.train" in IMPORTS["flowtuple.training.fit"]
    assert len(IMPORTS) > 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import p.a", {"p.a"}),
        ("import p.b.c as c", {"p.b.c"}),
        ("from p import a", {"p.a"}),
        ("from p import a, VERSION", {"p.a", "p"}),
        ("from p.a import name", {"p.a"}),
        ("from .. import a", {"p.a"}),
        ("from . import c", {"p.b.c"}),
        ("from .c import name", {"p.b.c"}),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import name",
            {"p.a"},
        ),
        ("def f():\n    import p.a", {"p.a"}),
        ("import numpy\nfrom os import path", set()),
    ],
)
def test_every_way_to_import_is_seen(text, expected):
    known = {"p", "p.a", "p.b", "p.b.c", "p.b.me"}
    assert imported(ast.parse(text), "p.b.me", False, known) == expected


def test_upward_sideways_and_circular_imports_are_found():
    imports = {
        "flowtuple.data.schema": {"flowtuple.data.table"},
        "flowtuple.data.table": {"flowtuple.data.awkward"},
        "flowtuple.data.awkward": {"flowtuple.data.schema"},
        "flowtuple.reporting": set(),
        "flowtuple.reporting.plots": {"flowtuple.comparison.fidelity"},
        "flowtuple.comparison.fidelity": {"flowtuple.training.plan"},
        "flowtuple.training.plan": set(),
    }
    assert violations(imports) == [
        "flowtuple.comparison.fidelity (rank 4) imports flowtuple.training.plan (rank 6)",
    ]
    assert cycles(imports) == [
        "flowtuple.data.schema -> flowtuple.data.table -> flowtuple.data.awkward -> flowtuple.data.schema"
    ]
