"""`--help`: panels, defaults in words, and options that are declared once."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from harness.models.provenance import git_commit
from tests.helpers.project import ROOT, Zoo
from zoo.cli.app import COMMANDS
from zoo.cli.command import PANELS
from zoo.cli.command_function import FIELDS, command
from zoo.errors import UsageError
from zoo.recipes.options import RunOptions, SourceOptions, SweepOptions

NAMES = [name for commands in COMMANDS.values() for name in commands]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each option on one line."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 300)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_in_a_panel_and_says_its_default_in_words(name: str, zoo: Zoo) -> None:
    completed = zoo(name, "--help")
    assert completed.code == 0
    titles = re.findall(r"^╭─ (.+?) ─", completed.out, re.MULTILINE)
    assert titles == [title for title in ("Arguments", *PANELS) if title in titles]
    rows = [line for line in completed.out.splitlines() if re.match(r"│ [* ]+--|│ --", line)]
    undocumented = [row for row in rows if "Default: " not in row and "[required]" not in row and "--help" not in row]
    assert undocumented in ([], [row for row in rows if "Required unless" in row])
    assert not re.search(r"\[default|<bool>|<list|x>=", completed.out)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_shows_an_example_that_names_it(name: str, zoo: Zoo) -> None:
    assert re.search(rf"^ Example: zoo {name}( |$)", zoo(name, "--help").out, re.MULTILINE)


def test_the_program_lists_its_commands_in_panels(zoo: Zoo) -> None:
    completed = zoo("--help")
    titles = re.findall(r"^╭─ (.+?) ─", completed.out, re.MULTILINE)
    assert titles == ["Options", *COMMANDS]
    for name in NAMES:
        assert re.search(rf"^│ {name} ", completed.out, re.MULTILINE)


def test_no_argument_shows_the_help_and_is_exit_2(zoo: Zoo) -> None:
    completed = zoo()
    assert (completed.code, "Check published models" in completed.out) == (2, True)


def test_version_prints_a_number_and_the_commit_of_a_checkout(zoo: Zoo) -> None:
    pattern = r"\d+\.\d+\.\d+( \(commit [0-9a-f]{12}(, with uncommitted changes)?\))?\n"
    version = zoo("--version").out
    assert re.fullmatch(pattern, version)
    assert ("commit" in version) == (git_commit(ROOT)[0] is not None)


def test_every_shared_option_has_the_name_of_its_field() -> None:
    assert {field.name for kind in (RunOptions, SourceOptions, SweepOptions) for field in fields(kind)} == set(FIELDS)


def test_a_dataclass_parameter_becomes_one_option_for_each_field(tmp_path: Path) -> None:
    @command
    def example(entry: str, options: RunOptions, sources: SourceOptions) -> tuple[str, RunOptions, SourceOptions]:
        return entry, options, sources

    names = list(inspect.signature(example).parameters)
    of_sweeps = {field.name for field in fields(SweepOptions)}
    assert names == ["entry", *(name for name in FIELDS if name not in of_sweeps), "verbose", "quiet"]
    values = dict.fromkeys(names) | {
        "verbose": False,
        "quiet": True,
        "entry": "x",
        "train": True,
        "seeds": 3,
        "data": [f"cifar10={tmp_path}"],
        "trust": ["own"],
    }
    entry, options, sources = example(**values)
    assert (entry, options) == ("x", RunOptions(train=True, seeds=3))
    assert (sources.trust, sources.data) == (("own",), {"cifar10": tmp_path})


def test_environment_variables_are_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    monkeypatch.setenv("ZOO_LOCK", "a.lock")
    monkeypatch.setenv("ZOO_MIRROR", "mirror")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    options = SourceOptions()
    assert (options.lock, options.mirror) == (Path("a.lock"), Path("mirror"))
    assert options.data == {"cifar10": tmp_path / "cifar10"}
    assert SourceOptions(lock=Path("b.lock")).lock == Path("b.lock")


def test_a_data_folder_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        SourceOptions(data={"cifar10": tmp_path / "nowhere"})
