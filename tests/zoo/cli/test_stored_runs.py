"""`zoo runs`: list, show, remove and size of runs that exist."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from harness.records.find_runs import find_runs
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import read_record
from harness.runs import model_card, remove_run, run_files
from harness.runs.stored_runs import stored_runs
from harness.runs.unfinished import UNFINISHED, work_folder
from tests.helpers.device import device
from tests.helpers.project import ROOT, Write, Zoo
from zoo import paths
from zoo.errors import UsageError
from zoo.files import partial_file

EVIDENCE = ROOT / "leaderboard" / "records"
ENTRY = "digits-resnet8"
TRAINED = f"{ENTRY}:[0-4]"
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
    shown = zoo("runs", "show", f"{ENTRY}:weights", "--records", runs)
    assert shown.code == 4
    intact = runs / ENTRY / "weights-0123456789ab"  # has the same name in the list
    shutil.copytree(WEIGHTS, intact)
    _, command, _ = shown.out.splitlines()[-1].split("`")
    assert zoo(*shlex.split(command)[1:], "--yes").code == 0
    assert (predictions.parent.exists(), intact.exists()) == (False, True)


def test_a_damaged_run_that_is_committed_is_not_offered_for_removal(
    zoo: Zoo, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs / ENTRY / WEIGHTS.name / "record.json").write_text("{")
    monkeypatch.setattr(paths, "evidence", lambda: runs)
    assert zoo("runs", "show", ENTRY).out.endswith("it cannot be removed with zoo: it is committed evidence\n")


@pytest.mark.parametrize(
    ("entry", "hint"), [(ENTRY, f"`zoo train {ENTRY} --seed N`; its seed is unknown"), ("mine", "with the same recipe")]
)
def test_a_stopped_run_is_shown_with_the_recipe_to_resume(zoo: Zoo, runs: Path, entry: str, hint: str) -> None:
    name = f"{entry}-0123456789ab"
    (runs / UNFINISHED / name).mkdir(parents=True)
    assert hint in zoo("runs", "show", name).out


def test_the_verdict_of_a_run_does_not_depend_on_what_is_shown(zoo: Zoo, tmp_path: Path) -> None:
    everything = {run["folder"]: run["verdict"] for run in listed(zoo, "--records", EVIDENCE, TRAINED)}
    assert len(everything) > 1
    (run,) = listed(zoo, "--records", EVIDENCE, TRAINED, "--limit", "1")
    assert run["verdict"] == everything[run["folder"]]
    assert set(everything.values()) == {"reproduced"}


def test_a_pattern_that_is_too_long_for_a_path_matches_no_run(zoo: Zoo, runs: Path) -> None:
    done = zoo("runs", "list", "x" * 300)
    assert done.code == 2
    assert "no run matches" in done.err


def test_runs_in_progress_are_skipped_if_stopped_ones_are_removed(zoo: Zoo, runs: Path) -> None:
    lock = HeartbeatLock(runs / UNFINISHED / "tiny-0123456789ab.lock")
    assert lock.try_acquire()
    try:
        done = zoo("runs", "remove", "--stopped", "--yes")
    finally:
        lock.release()
    assert (done.code, done.out) == (0, "nothing to remove\n")
    assert "skipped, because a command makes this run now" in done.err


def test_everything_that_a_stopped_training_wrote_is_removed(zoo: Zoo, runs: Path) -> None:
    stopped = runs / UNFINISHED / "tiny-0123456789ab"
    stopped.mkdir(parents=True)
    for name in ("checkpoint-1.pt", "checkpoint-0.damaged", "log.jsonl", "curves.svg", "trackers.json"):
        (stopped / name).write_text("{}")
    with partial_file(stopped / "checkpoint-0.pt") as partial:
        pass
    partial.write_text("what a killed process left")
    assert zoo("runs", "remove", "--stopped", "--yes").code == 0
    assert not stopped.exists()


def test_a_folder_of_checkpoints_with_only_files_of_the_user_is_no_run(zoo: Zoo, runs: Path) -> None:
    left = runs / UNFINISHED / "tiny-0123456789ab"
    left.mkdir(parents=True)
    (left / "notes.txt").write_text("mine")
    assert [run["state"] for run in listed(zoo)] == ["finished"]
    assert zoo("runs", "remove", "--stopped", "--yes").out == "nothing to remove\n"


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


def test_a_run_that_was_made_after_the_listing_is_not_removed(runs: Path) -> None:
    (listed,) = stored_runs(runs)
    record = listed.folder / "record.json"
    record.write_text(record.read_text() + "\n")  # another command has written it again
    os.utime(record, (2**31, 2**31))
    with pytest.raises(UsageError, match="has changed since it was listed"):
        remove_run.remove_run(listed, runs, EVIDENCE)
    assert record.exists()


def test_files_of_the_user_are_kept_beside_every_folder(zoo: Zoo, runs: Path) -> None:
    stopped = runs / UNFINISHED / "tiny-0123456789ab"
    stopped.mkdir(parents=True)
    damaged = runs / "tiny" / "weights-0123456789ab"
    damaged.mkdir(parents=True)
    (damaged / "record.json").write_text("{")
    (stopped / "checkpoint-1.pt").write_bytes(b"1234")
    folders = (runs / ENTRY / WEIGHTS.name, damaged, stopped)
    for folder in folders:
        (folder / "notes.txt").write_text("mine")
    done = zoo("runs", "remove", "*", "--yes")
    assert done.code == 0
    for folder in folders:
        assert not folder.exists()
        kept = folder.with_name(f"{folder.name}.kept") / "notes.txt"
        assert kept.read_text() == "mine"
        assert f"kept: {kept}" in done.err
    assert listed(zoo) == []


@pytest.mark.slow  # a training
def test_a_removed_run_can_be_made_again_if_files_of_the_user_were_in_its_folder(
    zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    runs = tmp_path / "home" / "runs"
    for command in (("verify", ENTRY), ("train", recipe_file(), "--device", device())):
        for _ in range(2):
            assert zoo(*command).code == 0
            (run,) = stored_runs(runs)
            (run.folder / "notes.txt").write_text("mine")
            assert zoo("runs", "remove", "*", "--yes").code == 0
        kept = sorted(path.name for path in run.folder.parent.iterdir() if not path.name.startswith("."))
        assert kept == [f"{run.folder.name}.kept", f"{run.folder.name}.kept-2"]


@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_a_folder_with_files_that_no_run_wrote_is_refused_before_the_run(
    zoo: Zoo, runs: Path, fresh: list[str]
) -> None:
    folder = runs / ENTRY / WEIGHTS.name
    (folder / "record.json").unlink()
    names = sorted(path.name for path in folder.iterdir())
    done = zoo("verify", ENTRY, *fresh)
    assert f"{folder} holds files, but no run" in done.err
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_damaged_run_stays_while_a_run_of_its_entry_is_made(zoo: Zoo, runs: Path) -> None:
    record = runs / ENTRY / WEIGHTS.name / "record.json"
    record.write_text("{")
    lock = HeartbeatLock(runs / UNFINISHED / f"{ENTRY}-0123456789ab.lock")
    assert lock.try_acquire()
    try:
        done = zoo("runs", "remove", f"{ENTRY}/{WEIGHTS.name}", "--yes")
    finally:
        lock.release()
    assert (done.code, record.exists()) == (2, True)
    assert "a command makes a run of this entry" in done.err
    assert zoo("runs", "remove", f"{ENTRY}/{WEIGHTS.name}", "--yes").code == 0


def test_what_a_killed_removal_left_is_deleted_by_the_next_one(zoo: Zoo, runs: Path) -> None:
    leftover = runs / "tiny" / f".weights-{'a' * 12}-{'0' * 32}.removed"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"123")
    mine = leftover.with_name(".mine.removed")
    mine.mkdir()
    assert zoo("runs", "remove", ENTRY, "--yes").code == 0
    assert (leftover.exists(), mine.exists()) == (False, True)


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
    assert run_files.CARD == model_card.CARD
