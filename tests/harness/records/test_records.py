"""Records: keys, the public JSON Schema, damaged files, and folders that appear only when they are complete."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.records.find_runs import read_all
from harness.records.record import FILE, Identity, read_record, schema, verify_files
from harness.records.run_folder import new_folder, restore
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, SourceError, UsageError

EVIDENCE = ROOT / "leaderboard" / "records"
COMMITTED = min((EVIDENCE / "digits-resnet8").glob(f"*/{FILE}"))
IDENTITY = Identity(
    mode="retrain", digest="d", sources={"files": {}, "data": {}}, metric_code={}, numerics={"device": "cpu"}, seed=0
)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "weights"}, {"digest": "e"}, {"sources": {"files": {"a": "b"}, "data": {}}},
        {"metric_code": {"f1": "x"}}, {"numerics": {"device": "cuda"}}, {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_key_depends_on_everything_that_is_computed(change: dict[str, Any]) -> None:
    assert replace(IDENTITY, **change).key != IDENTITY.key
    assert replace(IDENTITY).key == IDENTITY.key


def test_every_committed_record_is_read_and_written_back_unchanged() -> None:
    records = read_all(EVIDENCE)
    assert len(records) == len([*EVIDENCE.glob(f"*/*/{FILE}")])
    for path, record in records:
        assert record.to_json() == path.read_text(encoding="utf-8")


def test_the_schema_rejects_a_record_without_a_required_field() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    data = json.loads(COMMITTED.read_text(encoding="utf-8"))
    for name in schema()["required"]:
        incomplete = {key: value for key, value in data.items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(incomplete, schema())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seed": 7}, IntegrityError, "the key is"),
        ({"schema": 99}, UsageError, "the record has schema 99"),
        ({"mode": "guess"}, UsageError, "not a record"),
        ({"recipe": {"metrics": ["accuracy"]}}, UsageError, "not a record"),
        ({"recipe": {"metrics": [{"use": "mine.score"}]}}, IntegrityError, "the record was changed after the run"),
    ],
)
def test_a_changed_record_is_rejected(
    change: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / FILE
    path.write_text(json.dumps({**json.loads(COMMITTED.read_text(encoding="utf-8")), **change}))
    with pytest.raises(error, match=message):
        read_record(path)


def test_a_missing_file_or_one_that_is_not_json_is_rejected(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        read_record(tmp_path / FILE)
    with pytest.raises(SourceError, match="No such file"):
        read_record(tmp_path / "none" / FILE)


def test_changed_predictions_are_rejected(tmp_path: Path) -> None:
    record = read_record(COMMITTED)
    name = record.results[0].predictions["file"]
    (tmp_path / name).write_bytes((COMMITTED.parent / name).read_bytes() + b"x")
    with pytest.raises(IntegrityError, match="expected sha256"):
        verify_files(tmp_path / FILE, record)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"schema": 1, "schema": 1}', "the key 'schema' occurs twice"),
        ('{"cost": NaN}', "NaN is not a finite number"),
        ('{"cost": 1e999}', "1e999 is not a finite number"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_json_that_programs_read_in_different_ways_is_rejected(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError, match=f"not JSON: {problem}"):
        read_record(tmp_path / FILE)


def test_a_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "one"

    def fail() -> None:
        with new_folder(final, "key") as folder:
            (folder / FILE).write_text("half")
            assert not final.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(final.parent.iterdir()) == []


def test_an_existing_folder_is_only_replaced_on_request(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "one"
    with new_folder(final, "key") as folder:
        (folder / FILE).write_text("first")
    with pytest.raises(SourceError, match="exists but is not a run"), new_folder(final, "key") as folder:
        (folder / FILE).write_text("second")
    assert [path.read_text() for path in final.iterdir()] == ["first"]
    with new_folder(final, "key", replaces=True) as folder:
        (folder / FILE).write_text("fresh")
    assert [path.read_text() for path in final.iterdir()] == ["fresh"]
    assert list(final.parent.iterdir()) == [final]


def test_a_folder_whose_replacement_was_killed_comes_back(tmp_path: Path) -> None:
    final = tmp_path / "run"
    with new_folder(final, "key") as folder:
        (folder / "file").write_text("old")
    final.rename(tmp_path / ".run-key.replaced")
    restore(final, "another key")
    assert not final.exists()
    restore(final, "key")
    assert (final / "file").read_text() == "old"


def test_all_files_of_a_run_are_on_the_disk_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final, synced, fsync = tmp_path / "run", [], os.fsync

    def sync(descriptor: int) -> None:
        (file,) = [
            each for each in (tmp_path, *tmp_path.rglob("*")) if os.path.samestat(each.stat(), os.fstat(descriptor))
        ]
        synced.append((file.name, final.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    with new_folder(final, "key") as folder:
        (folder / "sub").mkdir()
        (folder / "a").write_text("a")
        (folder / "sub" / "b").write_text("b")
    assert {name for name, is_there in synced if not is_there} >= {"a", "b"}
    assert (tmp_path.name, True) in synced
