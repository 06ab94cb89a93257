"""Folders of runs of several machines become one, and what does not fit together is named."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.fleet import collect
from harness.fleet.collect import merge, read_collection
from harness.fleet.plan_file import Plan
from harness.fleet.units import plan_units
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import FILE, Record, read_record
from harness.records.run_folder import new_folder
from harness.runs.unfinished import work_folder
from tests.helpers.project import Zoo
from zoo import paths
from zoo.errors import IntegrityError, SourceError
from zoo.fetch.checksum import sha256
from zoo.recipes import catalogue
from zoo.recipes.options import RunOptions, SourceOptions

ENTRY = "digits-resnet8"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two machines with committed runs; one run is on both."""
    runs = sorted(path.parent for path in (paths.evidence() / ENTRY).glob(f"*/{FILE}"))[:3]
    for name, chosen in (("a", runs[:2]), ("b", runs[1:])):
        for run in chosen:
            shutil.copytree(run, tmp_path / name / ENTRY / run.name)
    return tmp_path / "a", tmp_path / "b"


def test_each_run_is_copied_once(folders: tuple[Path, Path], tmp_path: Path) -> None:
    found = read_collection(folders)
    assert (len(found.runs), len(found.copies), found.conflicts) == (3, 1, ())
    assert len(merge(found, tmp_path / "all")) == 3
    again = read_collection([tmp_path / "all", *folders])
    assert merge(again, tmp_path / "all") == []
    assert len(read_collection([tmp_path / "all"]).runs) == 3


def sealed(record: Record, path: Path, **changes: Any) -> None:
    """Write a record that differs from another one, and whose digests are right."""
    path.write_text(replace(record, **changes).sealed(record.files).to_json())


def test_one_run_with_two_scores_is_refused_by_name(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """One more prediction is wrong in one of the folders, and its record says so."""
    (path,) = (file for file in folders[1].glob(f"*/*/{FILE}") if (folders[0] / ENTRY / file.parent.name).exists())
    record = read_record(path)
    (result,), file = record.results, path.parent / record.results[0].predictions["file"]
    arrays = dict(np.load(file))
    right = int(np.flatnonzero(arrays["predictions"] == arrays["labels"])[0])
    arrays["logits"][right] = -arrays["logits"][right]
    arrays["predictions"][right] = arrays["logits"][right].argmax()
    np.savez(file, **arrays)
    score = {"value": result.metrics["accuracy"]["value"] - 1 / result.n, "one_prediction": 1 / result.n}
    predictions = {**result.predictions, "sha256": sha256(file)}
    sealed(record, path, results=(replace(result, metrics={"accuracy": score}, predictions=predictions),))
    found = read_collection(folders)
    assert len(found.conflicts) == 1
    with pytest.raises(IntegrityError, match=f"nothing was merged.*{found.conflicts[0][0]} and {path}"):
        merge(found, tmp_path / "all")
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("entry", ["../../evil", "a/b", "other"])
def test_a_run_of_another_entry_than_its_folder_is_refused(
    folders: tuple[Path, Path], entry: str, zoo: Zoo, tmp_path: Path
) -> None:
    path = next(folders[0].glob(f"*/*/{FILE}"))
    sealed(read_record(path), path, entry=entry)
    done = zoo("collect", *folders, "--to", tmp_path / "mine" / "runs")
    assert done.code == 5
    assert f"{path}: a run of '{entry}' lies in the folder of '{ENTRY}'" in done.err
    assert not (tmp_path / "mine").exists()


def test_only_the_files_of_a_run_are_copied(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    run = next(folders[0].glob("*/*"))
    (run / "link").symlink_to(tmp_path / "secret")
    (run / "more").mkdir()
    (run / "more" / "file").write_text("not listed")
    (run / "README.md").write_text("card")
    merge(read_collection(folders), tmp_path / "all")
    copied = tmp_path / "all" / ENTRY / run.name
    assert {file.name for file in copied.iterdir()} == {FILE, "predictions-test.npz", "README.md"}


@pytest.mark.parametrize("name", ["README.md", "predictions-test.npz"])
def test_a_link_in_a_run_is_refused(folders: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    run = next(folders[0].glob("*/*"))
    (run / name).touch()
    (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match=f"{run / name}: not a file that a run has written into its folder"):
        read_collection(folders)


def test_a_run_that_a_process_makes_is_left_to_it(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "WAIT", 0.0)
    found, target = read_collection(folders), tmp_path / "all"
    _, record = found.runs[0]
    folder = target / ENTRY / record.identity.folder
    lock = HeartbeatLock(Path(f"{work_folder(target, ENTRY, record.identity, record.recipe)}.lock"))
    assert lock.try_acquire()
    with new_folder(folder, record.identity.key) as partial:
        (partial / "half").write_text("")
        with pytest.raises(
            SourceError, match=rf"2 runs were copied, but {folder} is being made by process {os.getpid()}"
        ):
            merge(found, target)
        assert (partial / "half").exists()
    lock.release()
    shutil.rmtree(folder)
    assert merge(found, target) == [folder]


def test_a_folder_that_cannot_be_read_is_named(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> list[Path]:
        if folder.name == ENTRY:
            raise PermissionError(13, "Permission denied", str(folder))
        return list(listed(folder))

    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match=f"{folders[0] / ENTRY}: cannot be read: Permission denied"):
        read_collection(folders)


def test_a_run_with_other_options_than_those_of_the_plan_is_missing(folders: tuple[Path, Path]) -> None:
    entry, seeds = (
        catalogue.select_one(ENTRY),
        [read_record(path).identity.seed for path in folders[0].glob(f"*/*/{FILE}")],
    )

    def missing(**options: Any) -> int:
        chosen = RunOptions(train=True, seeds=1, first_seed=seeds[0] or 0, records=folders[0], **options)
        return len(read_collection(folders, plan_units([entry], chosen, SourceOptions())).missing)

    assert [missing(), missing(device="cpu")] == [0, 0]
    assert [missing(device="cuda"), missing(precision="bf16"), missing(strict=True), missing(micro_batch=8)] == [1] * 4


def test_a_changed_file_is_refused(folders: tuple[Path, Path], zoo: Zoo) -> None:
    record = next(folders[0].glob(f"*/*/{FILE}"))
    record.write_text(record.read_text().replace('"n": ', '"n": 1'))
    done = zoo("collect", *folders, "--to", "all")
    assert done.code in (2, 5)
    assert str(record) in done.err
    assert not Path("all").exists()


def test_missing_runs_of_a_plan_are_listed(folders: tuple[Path, Path], zoo: Zoo) -> None:
    options = RunOptions(train=True, seeds=2, first_seed=5000, records=Path("runs").absolute())
    plan: Plan = plan_units([catalogue.select_one(ENTRY)], options, SourceOptions())
    done = zoo("collect", *folders, "--plan", plan.write(), "--check")
    assert done.code == 3
    assert "2 runs of the plan missing" in done.out
    assert f"unit 1: {ENTRY}, seed 5001" in done.out
    assert not (Path("home") / "runs").exists()
    data = json.loads(zoo("collect", *folders, "--plan", plan.home, "--to", "all", "--json").out)
    assert [unit["seed"] for unit in data["missing"]] == [5000, 5001]
    assert len(data["copied"]) == 3


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: no such folder of runs"):
        read_collection([tmp_path / "nowhere"])


def test_a_folder_without_runs_is_an_error_that_names_the_one_below(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "gpu1").mkdir()
    shutil.copytree(paths.evidence() / "digits-resnet14", tmp_path / "gpu1" / "runs" / "digits-resnet14")
    for folder, hint in (("gpu1", "gpu1: no runs there; did you mean gpu1/runs?"), ("gpu2", "no such folder of runs")):
        done = zoo("collect", folder, "--check", "--to", "all")
        assert done.code == 4
        assert hint in done.err
    assert zoo("collect", "gpu1/runs", "--check", "--to", "all").code == 0
