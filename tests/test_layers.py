"""The architecture: the imports follow the picture in docs/architecture.md, and light commands stay light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

PACKAGES = ("zoo", "harness", "leaderboard")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
HEAVY = ("torch", "transformers", "datasets", "pandas", "numpy", "sklearn", "scipy", "evaluate", "accelerate")
ENTRY_POINTS = ("zoo/__init__", "zoo/__main__", "zoo/api", "zoo/cli")


def picture() -> dict[str, list[list[str]]]:
    """The layers of each package from top to bottom, as docs/architecture.md draws them."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```text\n(zoo/\n.*?)```", text, re.DOTALL)
    layers: dict[str, list[list[str]]] = {}
    for line in block.splitlines():
        names = [name.removesuffix(".py").strip("/") for name in re.split(r", |\s{2,}", line.strip())]
        if not line.startswith(" "):
            layers[names[0]] = []
        else:
            files = takewhile(lambda word: re.fullmatch(r"\w+(/|\.py)", word), re.split(r", |\s{2,}", line.strip()))
            layers[next(reversed(layers))].append([name.removesuffix(".py").strip("/") for name in files])
    return layers


LAYERS = picture()


def imports(path: Path, *, inside_functions: bool = False) -> Iterator[str]:
    """The modules that a file imports; `from a import b` counts as `a` and `a.b`, import_module("a.b") as `a.b`."""
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
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and not inside_functions:
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant))


def layer(package: str, name: str) -> int:
    """The number of a layer, from the top."""
    return next(number for number, names in enumerate(LAYERS[package]) if name in names)


def is_entry_point(path: Path) -> bool:
    return path.as_posix().startswith(ENTRY_POINTS)


def test_the_picture_has_every_module_and_folder() -> None:
    for package in ("zoo", "harness"):
        drawn = {name for names in LAYERS[package] for name in names}
        there = {path.stem for path in (ROOT / package).glob("*.py")} | {
            path.parts[1] for path in MODULES if path.parts[0] == package and len(path.parts) > 2
        }
        assert there - {"__init__"} == drawn - {"__init__"}


@pytest.mark.parametrize("path", [path for path in MODULES if not is_entry_point(path)], ids=str)
def test_modules_import_only_their_own_layer_and_those_below(path: Path) -> None:
    package, name = path.parts[0], Path(path.parts[1]).stem
    forbidden = PACKAGES[PACKAGES.index(package) + 1 :]
    for imported in imports(path):
        parts = imported.split(".")
        assert parts[0] not in forbidden, imported
        if package in LAYERS and LAYERS[package] and parts[0] == package and len(parts) > 1 and name != "__init__":
            assert layer(package, parts[1]) >= layer(package, name), imported


@pytest.mark.parametrize("path", [path for path in MODULES if not is_entry_point(path)], ids=str)
def test_only_entry_points_import_inside_functions(path: Path) -> None:
    assert not list(imports(path, inside_functions=True))


@pytest.mark.process
@pytest.mark.parametrize("folder", ["harness/judging", "harness/records", "leaderboard", "zoo/doctor"])
def test_judging_and_reporting_never_import_torch(folder: str) -> None:
    names = [".".join(path.with_suffix("").parts) for path in MODULES if path.is_relative_to(folder)]
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.process
@pytest.mark.parametrize(
    "command", [["--help"], ["list"], ["list", "--json"], ["show", "digits-resnet8"], ["verify", "--help"]]
)
def test_light_commands_import_nothing_heavy(command: list[str]) -> None:
    code = f"""
import sys
from zoo.cli.app import main
sys.argv = ["zoo", *{command!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\nheavy:", *sorted({set(HEAVY)!r} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "heavy:"
