"""The architecture: the imports follow the picture in docs/architecture.md, and light commands stay light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

PACKAGES = ("zoo", "harness", "leaderboard")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "pandas",
    "numpy",
    "sklearn",
    "scipy",
    "evaluate",
    "accelerate",
    "matplotlib",
)
ENTRY_POINTS = ("zoo/__init__", "zoo/__main__", "zoo/pytest_plugin", "zoo/api", "zoo/cli")
BELOW_ENTRY_POINTS = [path for path in MODULES if not path.as_posix().startswith(ENTRY_POINTS)]


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


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imports(path: Path, *, inside_functions: bool = False) -> Iterator[str]:
    """The modules that a file imports; `from a import b` counts as `a` and `a.b`, import_module("a.b") as `a.b`."""
    tree = parse(path)
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


def test_the_picture_has_every_module_and_folder() -> None:
    for package in ("zoo", "harness"):
        drawn = {name for names in LAYERS[package] for name in names}
        there = {path.stem for path in (ROOT / package).glob("*.py")} | {
            path.parts[1] for path in MODULES if path.parts[0] == package and len(path.parts) > 2
        }
        assert there - {"__init__"} == drawn - {"__init__"}


def breaches(path: Path) -> Iterator[str]:
    """The imports of a file that lead to another package above its own, or to a layer above its own."""
    package, name = path.parts[0], Path(path.parts[1]).stem
    above = PACKAGES[PACKAGES.index(package) + 1 :]
    for imported in imports(path):
        parts = imported.split(".")
        is_layered = bool(LAYERS.get(package)) and parts[0] == package and len(parts) > 1 and name != "__init__"
        if parts[0] in above or (is_layered and layer(package, parts[1]) < layer(package, name)):
            yield f"{path} imports {imported}"


def test_modules_import_only_their_own_layer_and_those_below() -> None:
    assert [breach for path in BELOW_ENTRY_POINTS for breach in breaches(path)] == []


def test_only_entry_points_import_inside_functions() -> None:
    assert {path: found for path in BELOW_ENTRY_POINTS if (found := [*imports(path, inside_functions=True)])} == {}


def test_running_a_recipe_imports_torchvision_and_transformers_only_if_the_recipe_names_them() -> None:
    """They take seconds. `zoo explain`, `zoo import --prove` and `zoo upload` need them, and annotations do."""
    slow = ("torchvision", "transformers", "zoo.tokenizers", "zoo.models.")
    slow += tuple(f"zoo.tasks.{name}" for name in ("cifar", "image_folder", "images", "segmentation", "transforms"))
    importing = {
        path for path in MODULES for name in imports(path) if path.parts[0] == "harness" and name.startswith(slow)
    }
    of_explain = {f"harness/diagnosis/explain/{name}.py" for name in ("image_settings", "model_factors")}
    of_proof = {f"harness/import_proof/{name}.py" for name in ("boxes", "made_batch")}
    of_upload = {"harness/publishing/local_data.py"}
    others = {path.as_posix() for path in importing} - of_explain - of_proof - of_upload
    assert others == {"harness/models/text_inputs.py"}


@pytest.mark.process
def test_judging_reporting_and_comparing_never_import_torch() -> None:
    folders = (
        "harness/attestation", "harness/auditing", "harness/judging", "harness/pictures", "harness/records",
        "leaderboard", "zoo/claims", "zoo/doctor",
    )  # fmt: skip
    files = ("harness/diagnosis/diff/text_report.py", "harness/diagnosis/diff/find_record.py")
    paths = [path for path in MODULES if path.as_posix().startswith((*folders, *files))]
    names = [".".join(path.with_suffix("").parts) for path in paths]
    code = f"""
import sys
from importlib import import_module
for name in {names!r}:
    import_module(name)
    if "torch" in sys.modules:
        sys.exit(name + " imports torch")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
def test_light_commands_import_nothing_heavy() -> None:
    commands = [["--help"], ["list"], ["list", "--json"], ["show", "digits-resnet8"], ["verify", "--help"]]
    code = f"""
import sys
from zoo.cli.app import main
for command in {commands!r}:
    sys.argv = ["zoo", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
    heavy = {set(HEAVY)!r} & sys.modules.keys()
    assert not heavy, (command, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
