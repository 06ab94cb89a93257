"""The wheel, the source distribution, and the version that all files agree on."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.helpers.project import ROOT

LARGEST_WHEEL = 3_000_000
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
ALWAYS_INCLUDED = {"pyproject.toml", "README.md", "LICENSE", ".gitignore"}
"""Files that hatchling always puts into a source distribution."""
TYPES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
"""The sections of a version in Keep a Changelog."""


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    versions = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert versions
    assert all(
        re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", name) for name in versions if name != "[Unreleased]"
    )
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= TYPES


def test_the_version_is_in_the_changelog_and_in_the_citation() -> None:
    """A development version has its changes under Unreleased; the citation names the last release."""
    newest = re.findall(r"^## \[(\d.*)\]", CHANGELOG, re.MULTILINE)[0]
    if ".dev" in PROJECT["version"]:
        assert "## [Unreleased]" in CHANGELOG
        assert tuple(map(int, newest.split("."))) < tuple(map(int, PROJECT["version"].split(".dev")[0].split(".")))
    else:
        assert PROJECT["version"] == newest
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (newest, PROJECT["license"])


def test_the_lower_bound_of_every_package_that_make_lowest_installs_is_in_the_constraints() -> None:
    lowest = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", lowest, re.MULTILINE))
    for requirement in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]):
        name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,.*)?", requirement).groups()
        name = name.lower().replace("_", "-")
        assert name in pinned, f"make lowest does not pin {name}; run: make lowest"
        given, used = (tuple(map(int, text.split("."))) for text in (bound, pinned[name]))
        assert used[: len(given)] == given, f"{requirement}, but make lowest tests {used}; run: make lowest"


def files_of_git() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(filter(None, listed.split("\0")))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone knows which files are committed")
def test_the_source_distribution_has_every_file_that_make_reproduce_and_make_test_need() -> None:
    included = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    left_out = files_of_git() - included - ALWAYS_INCLUDED
    assert {name for name in left_out if not name.startswith(".ci/")} == {".gitattributes"}


@pytest.mark.slow
@pytest.mark.process
def test_the_wheel_of_a_clean_copy_is_small_and_that_of_the_source_distribution_is_the_same(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in files_of_git():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    wheel = built(WheelBuilder, copy, tmp_path / "wheel")
    source = built(SdistBuilder, copy, tmp_path / "sdist")
    shutil.unpack_archive(source, tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert {path.name for path in unpacked.iterdir()} >= ALWAYS_INCLUDED
    assert built(WheelBuilder, unpacked, tmp_path / "again").read_bytes() == wheel.read_bytes()
    assert wheel.stat().st_size < LARGEST_WHEEL
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"zoo", "harness", "leaderboard"}
    wrong = re.compile(
        r"__pycache__|\.pyc$|(^|/)tests/|leaderboard/records|record\.json|\.npz$|_cache/|(^|/)\.|runs/.*\.json"
    )
    assert [name for name in names if wrong.search(name)] == []
    recipes = {path.relative_to(ROOT / "configs").as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert {name.removeprefix("zoo/configs/") for name in names if name.endswith(".yaml")} == recipes
    needed = {
        "zoo/py.typed", "zoo/configs/zoo.lock", "zoo/recipes/recipe.schema.json", "harness/records/record.schema.json",
        "leaderboard/templates/index.html", "zoo/starter/digits-resnet8.safetensors",
    }  # fmt: skip
    assert needed <= set(names)


def built(builder: type, folder: Path, out: Path) -> Path:
    """Build a distribution in a process of its own, as `python -m build` does."""
    code = "import sys, json; from hatchling.builders import sdist, wheel; k, r, o = sys.argv[1:];"
    code += "b = {'SdistBuilder': sdist.SdistBuilder, 'WheelBuilder': wheel.WheelBuilder}[k](r);"
    code += "print(json.dumps(list(b.build(directory=o, versions=['standard']))))"
    command = [sys.executable, "-c", code, builder.__name__, folder, out]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return Path(json.loads(done.stdout.splitlines()[-1])[0])
