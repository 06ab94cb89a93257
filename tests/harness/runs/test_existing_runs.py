"""The rule for which runs exist: the recipe, and the options that change what is computed."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.records.find_runs import find_runs
from harness.records.record import Record, read_record
from harness.runs.existing_runs import ExistingRuns, is_run_of
from zoo import paths
from zoo.fetch.checksum import sha256
from zoo.recipes.options import RunOptions

ENTRY = "digits-resnet8"


@pytest.fixture(scope="module")
def training() -> Record:
    """A committed training in fp32 on a CPU."""
    runs = [run for run in find_runs(paths.evidence(), ENTRY) if run.name.startswith("retrain-")]
    return read_record(runs[0].record)


def made_with(record: Record, **numerics: Any) -> Record:
    changed = {**record.identity.numerics, **numerics}
    return replace(record, identity=replace(record.identity, numerics=changed))


def exists(record: Record, folders: Collection[Path] = (), **options: Any) -> bool:
    identity, chosen = record.identity, RunOptions(train=True, **options)
    return is_run_of(record, identity.digest, identity.mode, identity.seed, chosen, folders)


@pytest.mark.parametrize(
    ("numerics", "options", "expected"),
    [
        ({}, {"device": "cpu"}, True), ({}, {"device": "cuda:1"}, False),
        ({"device": "cuda"}, {"device": "cuda:1"}, True),
        ({}, {"precision": "bf16"}, False), ({"precision": "bf16"}, {"precision": "bf16"}, True),
        ({}, {"strict": True}, False), ({"strict": True}, {"strict": True}, True), ({"strict": True}, {}, False),
        ({}, {"micro_batch": 8}, False), ({"micro_batch": 8}, {"micro_batch": 8}, True),
        ({"micro_batch": 8}, {}, False),
    ],
)  # fmt: skip
def test_a_run_exists_if_the_options_that_change_it_are_the_same(
    training: Record, numerics: Mapping[str, Any], options: Mapping[str, Any], expected: bool
) -> None:
    assert exists(made_with(training, **numerics), **{"device": numerics.get("device", "cpu"), **options}) is expected


@pytest.mark.parametrize(("visible", "of_cpu", "of_gpu"), [("", True, False), ("0", True, True)])
def test_without_a_device_any_run_counts_unless_only_the_cpu_is_there(
    training: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, visible: str, of_cpu: bool, of_gpu: bool
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr("zoo.recipes.devices.DEVICE_FILES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert (exists(training), exists(made_with(training, device="cuda"))) == (of_cpu, of_gpu)


def test_the_micro_batch_of_an_evaluation_does_not_count(training: Record) -> None:
    record = replace(training, identity=replace(training.identity, mode="weights", seed=None))
    assert is_run_of(record, record.identity.digest, "weights", None, RunOptions(device="cpu", micro_batch=8), ())


def test_a_run_with_trusted_code_exists_until_the_code_changes(training: Record, tmp_path: Path) -> None:
    module = tmp_path / "module_of_a_user.py"
    module.write_text("raise RuntimeError('imported')")
    sources = {**training.identity.sources, "files": {"code:module_of_a_user": sha256(module)}}
    record = replace(training, identity=replace(training.identity, sources=sources))
    assert [exists(record, folders, device="cpu") for folders in ([tmp_path], [])] == [True, False]
    module.write_text("x = 1")
    assert not exists(record, [tmp_path], device="cpu")


def test_trusted_modules_are_found_as_an_import_finds_them(
    training: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without `__init__.py` hides no installed package, and is a package itself if there is no other one."""
    files = {name: tmp_path / path for name, path in (
        ("installed", "site/installed/__init__.py"), ("installed.part", "site/installed/part/__init__.py"),
        ("plain.tools.code", "work/plain/tools/code.py"),
    )}  # fmt: skip
    for file in files.values():
        file.parent.mkdir(parents=True)
        file.write_text(f"raise RuntimeError({file.name!r})")
    (tmp_path / "work" / "installed").mkdir()
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path / "site")])
    digests = {f"code:{name}": sha256(file) for name, file in files.items()}
    record = replace(training, identity=replace(training.identity, sources={"files": digests}))
    assert exists(record, [tmp_path / "work"], device="cpu")


def test_a_record_that_cannot_be_read_is_no_run(training: Record, tmp_path: Path) -> None:
    identity, options = training.identity, RunOptions(train=True, device="cpu")
    file = tmp_path / ENTRY / identity.folder / "record.json"
    file.parent.mkdir(parents=True)
    for text, expected in (("{", False), (training.to_json(), True)):
        file.write_text(text)
        existing = ExistingRuns(partial(find_runs, tmp_path))
        found = [*existing.matching(ENTRY, identity.digest, "retrain", identity.seed, options, ())]
        assert bool(found) is expected
