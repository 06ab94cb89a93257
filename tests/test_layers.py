"""The architecture, read off the imports: three rooms, one direction; leaves never import the spine."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

MODULES = sorted(
    path.relative_to(ROOT) for room in ("zoo", "harness", "leaderboard") for path in (ROOT / room).rglob("*.py")
)
LAZY = ("zoo/cli", "zoo/api")
"""The folders that import all three packages, heavy ones inside functions."""
SPINE = (
    "batching", "canary", "compare", "environment", "evaluate", "explain", "export", "first_token", "gradients",
    "interrupt", "jobs", "judgement", "judging", "label_order", "layout", "log", "memory", "objective", "once", "own",
    "recall", "record", "recording", "reproduce", "retraining", "rules", "run", "shared", "stage", "state", "study",
    "submission", "subset", "sweep", "teacher", "train", "training_log", "verdict",
)  # fmt: skip
HEAVY = ("torch", "transformers", "datasets", "pandas", "numpy", "sklearn", "scipy", "evaluate", "accelerate")


def imports(path: Path, inside_functions: bool = False) -> Iterator[str]:
    """The modules a file imports, `from a import b` as both `a` and `a.b`."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inner = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if inside_functions and id(node) not in inner:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", [path for path in MODULES if not path.as_posix().startswith(LAZY)], ids=str)
def test_rooms_import_only_to_their_left(path: Path) -> None:
    rooms = ("zoo", "harness", "leaderboard")
    right = rooms[rooms.index(path.parts[0]) + 1 :]
    assert not [name for name in imports(path) if name.split(".")[0] in right]


@pytest.mark.parametrize("path", [path for path in MODULES if not path.as_posix().startswith(LAZY)], ids=str)
def test_only_the_command_line_imports_inside_functions(path: Path) -> None:
    assert not list(imports(path, inside_functions=True))


@pytest.mark.parametrize("folder", ["zoo/models", "zoo/tasks", "harness/losses"])
def test_leaves_never_import_the_spine(folder: str) -> None:
    spine = {f"harness.{name}" for name in SPINE} | {
        "zoo.cli.app",
        "zoo.api",
        "zoo.recipes.build",
        "zoo.recipes.catalogue",
        "zoo.recipes.schema",
    }
    for path in MODULES:
        if path.is_relative_to(folder):
            assert not spine & set(imports(path)), path


LIGHT = (
    "harness.judging.judge_runs",
    "harness.runs.cache",
    "harness.runs.verify",
    "leaderboard.page",
    "leaderboard.site",
    "zoo.recipes.changes",
    "zoo.doctor",
)


@pytest.mark.parametrize("module", LIGHT)
def test_judging_and_telling_never_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "command", [["--help"], ["list"], ["list", "--json"], ["show", "digits-resnet8"], ["verify", "--help"]]
)
def test_light_commands_import_nothing_heavy(command: list[str]) -> None:
    code = f"""
import sys
from zoo.cli import main
sys.argv = ["zoo", *{command!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\nheavy:", *sorted({set(HEAVY)!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "heavy:"
