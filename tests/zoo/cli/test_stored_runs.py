"""`zoo runs`: list, show, remove and size of runs that exist."""

import json
import shutil
from pathlib import Path

import pytest

from harness.records.find_runs import find_runs
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import read_record
from harness.runs import model_card, remove_run
from harness.runs.unfinished import UNFINISHED, work_folder
from tests.helpers.project import ROOT, Zoo

EVIDENCE = ROOT / "leaderboard" / "records"
ENTRY = "digits-resnet8"
WEIGHTS = next(run.record.parent for run in find_runs(EVIDENCE, ENTRY) if run.name.startswith("weights-"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs with a copy of a committed run."""
    folder = tmp_path / "home" / "runs"
    shutil.copytree(WEIGHTS, folder / ENTRY / WEIGHTS.name)
    return folder


def listed(zoo: Zoo, *args: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(zoo("runs", "list", "--json", *args).out)["runs"]
    return found


def test_a_run_is_listed_with_its_score_and_verdict(zoo: Zoo, runs: Path) -> None:
    (run,) = listed(zoo)
    assert (run["run"], run["state"], run["verdict"]) == (f"{ENTRY}:weights", "finished", "reproduced")
    assert run["value"] == pytest.approx(0.9788419)
    assert f"{ENTRY}:weights" in zoo("runs", "--sort", "size").out


def test_no_runs_are_no_error(zoo: Zoo) -> None:
    done = zoo("runs")
    assert (done.code, done.err) == (0, "")
    assert "no runs" in done.out


def test_damaged_and_stopped_runs_are_listed_with_their_state(zoo: Zoo, runs: Path) -> None:
    (runs / ENTRY / WEIGHTS.name / "record.json").write_text("{")
    stopped = runs / UNFINISHED / "tiny-0123456789ab"
    stopped.mkdir(parents=True)
    (stopped / "checkpoint-1.pt").write_bytes(b"1234")
    assert {run["entry"]: run["state"] for run in listed(zoo)} == {ENTRY: "damaged", "tiny": "stopped"}
    shown = zoo("runs", "show", ENTRY)
    assert shown.code == 4
    assert "not JSON" in shown.err


def test_a_run_whose_predictions_were_changed_is_shown_as_damaged(zoo: Zoo, runs: Path) -> None:
    predictions = next((runs / ENTRY / WEIGHTS.name).glob("predictions-*"))
    predictions.write_bytes(b"other")
    shown = zoo("runs", "show", f"{ENTRY}:weights")
    assert shown.code == 4
    assert "zoo runs remove" in shown.out


def test_removal_needs_an_answer_or_yes(zoo: Zoo, runs: Path) -> None:
    folder = runs / ENTRY / WEIGHTS.name
    assert zoo("runs", "remove", "digits*", "--dry-run").code == 0
    assert folder.exists()
    refused = zoo("runs", "remove", "digits*")
    assert (refused.code, folder.exists()) == (2, True)
    assert "--yes" in refused.err
    assert zoo("runs", "remove", "digits*", "--yes").code == 0
    assert list((runs / ENTRY).iterdir()) == []


def test_a_run_in_progress_is_not_removed(zoo: Zoo, runs: Path) -> None:
    folder = runs / ENTRY / WEIGHTS.name
    record = read_record(folder / "record.json")
    lock = HeartbeatLock(Path(f"{work_folder(runs, ENTRY, record.identity, record.recipe)}.lock"))
    assert lock.try_acquire()
    try:
        done = zoo("runs", "remove", ENTRY, "--yes")
        assert {run["state"] for run in listed(zoo)} == {"finished", "running"}
    finally:
        lock.release()
    assert (done.code, folder.exists()) == (2, True)
    assert "in progress" in done.err


def test_committed_evidence_is_never_removed(zoo: Zoo) -> None:
    done = zoo("runs", "remove", ENTRY, "--yes", "--records", EVIDENCE)
    assert done.code == 2
    assert "committed evidence" in done.err
    assert WEIGHTS.is_dir()


def test_only_runs_of_the_chosen_age_and_state_are_removed(zoo: Zoo, runs: Path) -> None:
    stopped = runs / UNFINISHED / "tiny-0123456789ab"
    stopped.mkdir(parents=True)
    assert "nothing to remove" in zoo("runs", "remove", "--stopped", "--older-than", "30d", "--yes").out
    assert zoo("runs", "remove", "--stopped", "--yes").code == 0
    assert not stopped.exists()
    assert (runs / ENTRY / WEIGHTS.name).exists()
    assert zoo("runs", "remove", "--older-than", "soon").code == 2
    assert zoo("runs", "remove").code == 2


def test_a_pattern_without_a_run_suggests_a_similar_entry(zoo: Zoo, runs: Path) -> None:
    done = zoo("runs", "list", "digits-resnet9")
    assert done.code == 2
    assert f"did you mean {ENTRY}" in done.err


def test_sizes_are_those_of_the_files(zoo: Zoo, runs: Path) -> None:
    data = json.loads(zoo("runs", "size", "--json").out)
    assert data["bytes"] == sum(file.stat().st_size for file in (runs / ENTRY).rglob("*") if file.is_file())


def test_the_name_of_the_model_card_is_that_of_the_module_that_writes_it() -> None:
    assert remove_run.CARD == model_card.CARD
