"""Measure a checkout: `python -m benchmarks.structure [ROOT]` prints its measures as the rows of a table."""

import ast
import statistics
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGES = ("zoo", "harness", "leaderboard")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def modules(root: Path) -> dict[str, ast.Module]:
    """Return the syntax tree of every module of the packages, by dotted name."""
    trees = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a syntax tree imports; `from a import b` yields both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import(tree: ast.Module) -> ast.Module:
    """Return the statements of a module that run when it is imported, without `if TYPE_CHECKING` and functions."""
    body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    return ast.Module([node for node in body if not isinstance(node, FUNCTIONS)], [])


def has_cycle(trees: dict[str, ast.Module]) -> bool:
    """Return whether modules import each other in a circle; a package may import its own modules."""
    graph = {}
    for name, tree in trees.items():
        known = {other for other in imported(at_import(tree)) if other in trees}
        graph[name] = {other for other in known if other != name and not name.startswith(f"{other}.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return False


def measure(root: Path) -> dict[str, str]:
    """Return each row of the table with its value."""
    trees = modules(root)
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    lengths = [len(range(node.lineno, (node.end_lineno or node.lineno) + 1)) for node in functions]
    longest = max(functions, key=lambda node: (node.end_lineno or 0) - node.lineno)
    files = {name: (tree.body[-1].end_lineno or 0) if tree.body else 0 for name, tree in trees.items()}
    largest = max(files, key=lambda name: files[name])
    inner = sum(isinstance(node, ast.Import | ast.ImportFrom) for f in functions for node in ast.walk(f))
    return {
        "modules": str(len(trees)),
        "lines": f"{sum(files.values()):,}",
        "modules directly in `harness/`": str(len(list((root / "harness").glob("[!_]*.py")))),
        "longest module": f"{files[largest]} lines (`{largest}`)",
        "median function": f"{statistics.median(lengths):g} lines",
        "longest function": f"{max(lengths)} lines (`{longest.name}`)",
        "import cycles": "yes" if has_cycle(trees) else "none",
        "imports inside functions": str(inner),
    }


if __name__ == "__main__":
    for row, value in measure(Path(sys.argv[1] if len(sys.argv) > 1 else ".")).items():
        print(f"| {row} | {value} |")
