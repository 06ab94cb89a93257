"""Folders of runs of several machines become one, and what does not fit together is named."""

import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.fleet import merge as merging
from harness.fleet.collect import read_collection
from harness.fleet.merge import merge
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
    for name, chosen in (("machine a", runs[:2]), ("machine b", runs[1:])):
        for run in chosen:
            shutil.copytree(run, tmp_path / name / ENTRY / run.name)
    return tmp_path / "machine a", tmp_path / "machine b"


def test_each_run_is_copied_once(folders: tuple[Path, Path], tmp_path: Path) -> None:
    found = read_collection(folders)
    assert (len(found.runs), len(found.copies), found.conflicts) == (3, 1, ())
    assert len(merge(found, tmp_path / "all").copied) == 3
    again = read_collection(folders, target=tmp_path / "all")
    assert (len(again.already_there), again.copies) == (4, ())
    assert merge(again, tmp_path / "all").copied == ()
    assert len(read_collection([tmp_path / "all"]).runs) == 3


def sealed(record: Record, path: Path, **changes: Any) -> None:
    """Write a record that differs from another one, and whose digests are right."""
    path.write_text(replace(record, **changes).sealed(record.files).to_json())


def run_in_both(folders: tuple[Path, Path]) -> Path:
    """Return the record in the second folder of the run that is in both."""
    (path,) = (file for file in folders[1].glob(f"*/*/{FILE}") if (folders[0] / ENTRY / file.parent.name).exists())
    return path


@pytest.fixture
def conflict(folders: tuple[Path, Path]) -> tuple[Path, Path]:
    """The records of one run in both folders; in the second, from another machine, one more prediction is wrong."""
    path = run_in_both(folders)
    record = read_record(path)
    (result,), file = record.results, path.parent / record.results[0].predictions["file"]
    arrays = dict(np.load(file))
    right = int(np.flatnonzero(arrays["predictions"] == arrays["labels"])[0])
    arrays["logits"][right] = -arrays["logits"][right]
    arrays["predictions"][right] = arrays["logits"][right].argmax()
    np.savez(file, **arrays)
    score = {"value": result.metrics["accuracy"]["value"] - 1 / result.n, "one_prediction": 1 / result.n}
    changed = replace(result, metrics={"accuracy": score}, predictions={**result.predictions, "sha256": sha256(file)})
    packages = {**record.environment["packages"], "torch": "2.9.0"}
    environment = {**record.environment, "cpu": "AVX2", "threads": 8, "packages": packages}
    sealed(record, path, results=(changed,), environment=environment)
    return folders[0] / ENTRY / path.parent.name / FILE, path


def test_one_run_with_two_scores_is_refused_by_name(
    folders: tuple[Path, Path], conflict: tuple[Path, Path], tmp_path: Path
) -> None:
    found = read_collection(folders)
    assert [tuple(run.path for run in each.runs) for each in found.conflicts] == [conflict]
    with pytest.raises(IntegrityError, match=r"nothing was copied: 1 run has different scores.*--prefer DIR"):
        merge(found, tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_conflict_shows_the_scores_and_the_environments_that_differ(
    folders: tuple[Path, Path], conflict: tuple[Path, Path], zoo: Zoo
) -> None:
    done = zoo("collect", *folders, "--to", "all")
    assert done.code == 5
    assert all(f"\n  {path}\n" in done.out for path in conflict)
    first, second = (read_record(path).results[0].metrics["accuracy"]["value"] for path in conflict)
    environment = read_record(conflict[0]).environment
    assert f"scores: accuracy on 'test', last epoch: {first} | {second}" in done.out
    assert f"environment: threads: {environment['threads']} | 8" in done.out
    assert f"environment: packages.torch: {environment['packages']['torch']} | 2.9.0" in done.out
    assert "numpy" not in done.out
    (data,) = json.loads(zoo("collect", *folders, "--to", "all", "--check", "--json").out)["conflicts"]
    assert data["environment"]["cpu"] == [environment["cpu"], "AVX2"]
    assert list(data["scores"].values()) == [[first, second]]
    suggested = [shlex.split(line)[1:] for line in done.out.splitlines() if line.startswith("  --prefer ")]
    assert suggested == [[str(folder), "takes", "its", "run"] for folder in folders]
    shutil.copytree(folders[0], "kept")
    assert f"  --prefer {Path('kept').absolute()} keeps its run" in zoo("collect", folders[1], "--to", "kept").out
    for folder, *_ in suggested:
        assert zoo("collect", *folders, "--to", f"all of {Path(folder).name}", "--prefer", folder).code == 0


@pytest.mark.parametrize("preferred", [0, 1])
def test_the_run_of_the_preferred_folder_replaces_that_of_the_target(
    folders: tuple[Path, Path], conflict: tuple[Path, Path], preferred: int, zoo: Zoo
) -> None:
    target, taken = Path("all"), conflict[preferred]
    shutil.copytree(folders[1 - preferred], target)
    expected = taken.read_bytes()
    run = target / ENTRY / taken.parent.name
    before = (run / FILE).read_bytes()
    assert zoo("collect", folders[preferred], "--to", target).code == 5
    assert (run / FILE).read_bytes() == before != expected
    done = zoo("collect", folders[preferred], "--to", target, "--prefer", folders[preferred])
    assert done.code == 0, done.err
    assert f"taken: {taken}" in done.out
    assert f"left out, and replaced in {target}: {run.resolve() / FILE}" in done.out
    assert (run / FILE).read_bytes() == expected
    assert read_collection([target]).damaged == ()


@pytest.fixture
def three(folders: tuple[Path, Path], conflict: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path, Path, str]:
    """A target, two folders that have one run with other scores than the target, and the name of the run."""
    shutil.copytree(folders[1], tmp_path / "c")
    return folders[0], folders[1], tmp_path / "c", conflict[1].parent.name


def test_of_folders_with_the_same_scores_the_preferred_one_is_taken(three: tuple[Path, Path, Path, str]) -> None:
    target, *others, name = three
    for prefer in (*others, target):
        found = read_collection(others, target=target, prefer=prefer)
        (conflict,) = found.conflicts
        assert conflict.taken is not None
        assert conflict.taken.path == prefer / ENTRY / name / FILE
        assert conflict.taken in conflict.runs


def test_a_copy_of_a_run_that_the_target_has_with_other_scores_is_not_already_there(
    three: tuple[Path, Path, Path, str],
) -> None:
    target, *others, name = three
    found = read_collection(others, target=target)
    copies = {folder: folder / ENTRY / name / FILE for folder in others}
    assert copies[others[1]] in found.copies
    assert not {*copies.values()} & {*found.already_there}


def test_a_preferred_folder_that_is_not_collected_is_refused(folders: tuple[Path, Path], zoo: Zoo) -> None:
    done = zoo("collect", folders[0], "--to", "all", "--prefer", folders[1])
    assert (done.code, f"--prefer {folders[1]}: not one of the folders" in done.err) == (2, True)


def test_all_damaged_runs_and_conflicts_are_listed_at_once(
    folders: tuple[Path, Path], conflict: tuple[Path, Path], zoo: Zoo
) -> None:
    """A record that is no JSON, and a file of predictions that was changed, are both code 5."""
    first, second = (next(path for path in folder.glob(f"*/*/{FILE}") if path not in conflict) for folder in folders)
    first.write_text("{")
    predictions = next(second.parent.glob("predictions*"))
    predictions.write_bytes(b"")
    done = zoo("collect", *folders, "--to", "all")
    assert done.code == 5
    assert f"damaged: {first}: not JSON" in done.out
    assert f"damaged: {predictions}: expected sha256" in done.out
    assert "the same run with different scores" in done.out
    assert done.lines[-1].startswith("nothing was copied: 2 runs are damaged and 1 run has different scores")
    assert zoo("collect", *folders, "--to", "all", "--skip-damaged").code == 5  # the conflict is left
    assert not Path("all").exists()
    done = zoo("collect", *folders, "--to", "all", "--skip-damaged", "--prefer", folders[0])
    assert (done.code, "1 run copied to" in done.out) == (0, True)


@pytest.mark.parametrize("content", ["{", "{}", ""])
def test_a_damaged_record_alone_is_code_5(folders: tuple[Path, Path], content: str, zoo: Zoo) -> None:
    record = next(folders[0].glob(f"*/*/{FILE}"))
    record.write_text(content)
    checked = zoo("collect", *folders, "--check")
    assert (checked.code, checked.err.startswith("nothing was copied: 1 run is damaged")) == (5, True)
    for options in (("--check",), ()):
        done = zoo("collect", *folders, "--skip-damaged", "--to", "all", *options)
        assert (done.code, f"damaged: {record}" in done.out) == (0, True)


def test_a_damaged_run_of_the_target_is_not_taken_for_a_copy(folders: tuple[Path, Path], zoo: Zoo) -> None:
    shutil.copytree(folders[0], "all")
    record = next(Path("all").glob(f"*/*/{FILE}"))
    record.write_text("{")
    advice = f"{record.parent} is damaged: delete it, then run the same command again"
    for options in (("--check",), ()):
        done = zoo("collect", *folders, "--to", "all", "--skip-damaged", "--json", *options)
        data = json.loads(done.out)
        assert (done.code, done.err, data["problems"]) == (4, f"{advice}\n", [advice])
        assert len(data["copied"]) == (0 if options else 1)
    shutil.rmtree(record.parent)
    assert zoo("collect", *folders, "--to", "all").code == 0


def test_runs_of_the_target_are_already_there_and_not_copies(folders: tuple[Path, Path], zoo: Zoo) -> None:
    shutil.copytree(folders[0], "home/runs")
    done = zoo("collect", folders[0])
    assert done.code == 0
    assert "2 different runs with intact files in the given folders" in done.out
    assert f"2 runs are already in {Path('home/runs').absolute()}" in done.out
    assert "cop" not in done.out.replace("0 runs copied", "")
    data = json.loads(zoo("collect", *folders, "--json").out)
    assert [len(data[name]) for name in ("already_there", "copies", "copied")] == [3, 0, 1]


def test_runs_of_one_seed_are_shown_with_the_conditions_that_differ(folders: tuple[Path, Path], zoo: Zoo) -> None:
    path = run_in_both(folders)
    record = read_record(path)
    numerics = {**record.identity.numerics, "precision": "bf16"}
    metric_code = dict.fromkeys(record.identity.metric_code, "0" * 64)
    sealed(record, path, identity=replace(record.identity, numerics=numerics, metric_code=metric_code))
    done = zoo("collect", *folders, "--to", "all", "--check")
    assert "the same entry and seed under different conditions:" in done.out
    assert "conditions: precision: fp32 | bf16" in done.out
    code = record.identity.metric_code["accuracy"]
    assert f"conditions: code of accuracy: {code[:12]} | {'0' * 12}" in done.out
    assert "device" not in done.out


@pytest.mark.parametrize("entry", ["../../evil", "a/b", "other"])
def test_a_run_of_another_entry_than_its_folder_is_refused(
    folders: tuple[Path, Path], entry: str, zoo: Zoo, tmp_path: Path
) -> None:
    path = next(folders[0].glob(f"*/*/{FILE}"))
    sealed(read_record(path), path, entry=entry)
    done = zoo("collect", *folders, "--to", tmp_path / "mine" / "runs")
    assert done.code == 5
    assert f"{path}: a run of '{entry}' lies in the folder of '{ENTRY}'" in done.out
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
    (damaged,) = read_collection(folders).damaged
    assert f"{run / name}: not a file that a run has written into its folder" in damaged.why


def test_a_run_that_a_process_makes_is_left_to_it(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "WAIT", 0.0)
    found, target = read_collection(folders), tmp_path / "all"
    record = found.runs[0].record
    folder = target / ENTRY / record.identity.folder
    lock = HeartbeatLock(Path(f"{work_folder(target, ENTRY, record.identity, record.recipe)}.lock"))
    assert lock.try_acquire()
    with new_folder(folder, record.identity.key) as partial:
        (partial / "half").write_text("")
        merged = merge(found, target)
        assert len(merged.copied) == 2
        assert merged.problems[0].startswith(f"{folder} is being made by process {os.getpid()}")
        assert (partial / "half").exists()
    lock.release()
    shutil.rmtree(folder)
    assert merge(found, target).copied == (folder,)


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


def test_a_check_lists_the_runs_that_would_be_copied(folders: tuple[Path, Path], zoo: Zoo) -> None:
    shutil.copytree(folders[0], "all")
    checked = zoo("collect", *folders, "--to", "all", "--check")
    (new,) = (run for run in (folders[1] / ENTRY).iterdir() if not Path("all", ENTRY, run.name).exists())
    assert "3 different runs with intact files in the given folders" in checked.out
    assert "2 runs are already in all" in checked.out
    assert checked.out.endswith(f"1 run would be copied to all:\n  {new}\n")
    data = json.loads(zoo("collect", *folders, "--to", "all", "--check", "--json").out)
    assert (data["to_copy"], data["copied"]) == ([str(new)], [])
    before = sorted(Path("all").iterdir())
    assert "1 run copied to all" in zoo("collect", *folders, "--to", "all").out
    assert sorted(Path("all").iterdir()) == before  # no empty folder of locks
    assert "1 run is in several given folders, with the same" in zoo("collect", *folders, "--to", "new", "--check").out


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
    seeds = [read_record(run / FILE).identity.seed for run in Path("all", ENTRY).iterdir()]
    made = plan_units([catalogue.select_one(ENTRY)], replace(options, seeds=1, first_seed=seeds[0]), SourceOptions())
    found = zoo("collect", "all", "--plan", made.write(), "--check")
    assert (found.code, "no run of the plan is missing" in found.out) == (0, True)


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
    entry = tmp_path / "gpu1" / "runs" / "digits-resnet14"
    one = zoo("collect", entry, "--check", "--to", "all")
    assert (one.code, f"name the folder of all runs, {entry.parent}" in one.err) == (4, True)
    run = zoo("collect", next(entry.iterdir()), "--check", "--to", "all")
    assert (run.code, f"is one run; name the folder of all runs, {entry.parent}" in run.err) == (4, True)
    assert zoo("collect", entry.parent, "--check", "--to", "all").code == 0
