"""A folder of runs that cannot be written: runs that exist are found, and an error says where a missing run can go."""

import os
import shutil
from pathlib import Path

import pytest

from harness.fleet.journal import Journal
from harness.fleet.units import plan_units
from tests.helpers.device import device
from tests.helpers.project import Zoo
from tests.helpers.read_only import read_only
from zoo.errors import SourceError
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

ENTRY, MISSING = "digits-resnet8", "entail-bert-l2h32"


@pytest.fixture
def plan(zoo: Zoo, tmp_path: Path) -> Path:
    """The folder of a plan of two units; only the first is made, and the run cache does not know it."""
    options = RunOptions(records=tmp_path / "runs", device=device())
    made = plan_units([catalogue.select_one(name) for name in (ENTRY, MISSING)], options, SourceOptions())
    made.write()
    assert zoo("verify", ENTRY, "--records", "runs", "--device", device()).code == 0
    shutil.rmtree("runs/.cache")
    return made.home


def files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_a_run_that_exists_is_found_without_writing(zoo: Zoo, plan: Path) -> None:
    before, (record,) = files(Path("runs")), Path("runs").resolve().glob("*/*/record.json")
    with read_only(Path("runs").resolve()):
        found = zoo("run-unit", plan, "--index", "0")
        assert (found.code, found.out) == (0, f"{record}\n")
        for how in ((), ("--on", "local"), ("--jobs", "2", "--device", "cpu")):
            done = zoo("verify", ENTRY, "--records", "runs", "--device", device(), *how)
            assert (done.code, done.err) == (0, "")
    assert files(Path("runs")) == before


def test_a_missing_run_is_an_error_that_names_the_folder_and_a_way_out(zoo: Zoo, plan: Path) -> None:
    verify = ("verify", MISSING, "--on", "local", "--device", device(), "--records")
    with read_only(Path("runs").resolve()):
        for command in (("run-unit", plan, "--index", "1"), (*verify, "runs")):
            refused = zoo(*command)
            assert refused.code == 4
            assert "runs/.unfinished/" in refused.err
            assert "make the folder writable, or pass another folder to --records" in refused.err
        made = zoo("run-unit", plan, "--index", "1", "--records", "mine")
        assert made.code == 0, made.err
    copy = Path("mine", ".fleet", plan.name)
    assert made.out.startswith(f"{Path.cwd() / 'mine' / MISSING}{os.sep}")
    assert "1 done, 1 waiting" in zoo("status", copy).out
    assert zoo("verify", MISSING, "--device", device(), "--records", "mine").code == 0


def test_a_plan_that_cannot_be_written_is_an_error_and_one_that_exists_is_shown(zoo: Zoo, plan: Path) -> None:
    command = ("plan", "--device", device(), "--records", "runs")
    with read_only(Path("runs").resolve()):
        refused = zoo(*command, ENTRY)
        shown = zoo(*command, ENTRY, MISSING)
    assert refused.code == 4
    assert "runs/.fleet/" in refused.err
    assert "the plan cannot be written into this folder: " in refused.err
    assert "; make the folder writable, or pass another folder to --records" in refused.err
    assert (shown.code, shown.err) == (0, "")
    assert str(plan) in " ".join(shown.out.split())
    assert zoo("plan", ENTRY, "--records", "other").code == 0


def test_collected_runs_are_written_elsewhere_by_the_option_to(zoo: Zoo, plan: Path) -> None:
    with read_only(Path("runs").resolve()):
        other = Path("other")
        other.mkdir()
        assert zoo("collect", "runs", "--to", "other").code == 0
        shutil.rmtree("other")
    other.mkdir()
    with read_only(other):
        refused = zoo("collect", "runs", "--to", "other")
    assert (refused.code, "1 different run with intact files" in refused.out) == (4, True)
    assert "make the folder writable, or pass another folder to --to. 1 run was not copied\n" in refused.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_journal_on_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(Path("/dev/full"))
    with pytest.raises(SourceError, match=r"No space left on device; free some space, then repeat this command\. Runs"):
        journal.start(1)
