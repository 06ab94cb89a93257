"""Records: what their keys depend on, the published schema, folders that are whole or not there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.records.record import FILE, Identity, new_folder, read_record, schema, verify_files
from tests.helpers.project import ROOT
from zoo.errors import IntegrityError, SourceError, UsageError

COMMITTED = min((ROOT / "leaderboard" / "records" / "digits-resnet8").glob(f"*/{FILE}"))
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
def test_a_key_is_of_all_that_is_computed(change: dict[str, Any]) -> None:
    assert replace(IDENTITY, **change).key != IDENTITY.key
    assert replace(IDENTITY).key == IDENTITY.key


def test_a_record_survives_the_round_trip() -> None:
    record = read_record(COMMITTED)
    assert record.to_json() == COMMITTED.read_text(encoding="utf-8")


def test_the_schema_is_a_schema_and_refuses_what_is_no_record() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    data = json.loads(COMMITTED.read_text(encoding="utf-8"))
    for name in schema()["required"]:
        lacking = {key: value for key, value in data.items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(lacking, schema())


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"seed": 7}, IntegrityError, "the key is"),
        ({"schema": 99}, UsageError, "not a record"),
        ({"mode": "guess"}, UsageError, "not a record"),
    ],
)
def test_a_changed_record_is_found_out(
    change: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    path = tmp_path / FILE
    path.write_text(json.dumps({**json.loads(COMMITTED.read_text(encoding="utf-8")), **change}))
    with pytest.raises(error, match=said):
        read_record(path)


def test_a_file_that_is_no_json_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        read_record(tmp_path / FILE)
    with pytest.raises(SourceError, match="No such file"):
        read_record(tmp_path / "none" / FILE)


def test_changed_predictions_are_found_out(tmp_path: Path) -> None:
    record = read_record(COMMITTED)
    name = record.results[0].predictions["file"]
    (tmp_path / name).write_bytes((COMMITTED.parent / name).read_bytes() + b"x")
    with pytest.raises(IntegrityError, match="expected sha256"):
        verify_files(tmp_path / FILE, record)


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "one"

    def fail() -> None:
        with new_folder(final, "key") as folder:
            (folder / FILE).write_text("half")
            assert not final.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(final.parent.iterdir()) == []
    with new_folder(final, "key") as folder:
        (folder / FILE).write_text("whole")
    with pytest.raises(SourceError, match="is there already"), new_folder(final, "key") as folder:
        (folder / FILE).write_text("later")
    assert [path.read_text() for path in final.iterdir()] == ["whole"]
    with new_folder(final, "key", replaces=True) as folder:
        (folder / FILE).write_text("fresh")
    assert [path.read_text() for path in final.iterdir()] == ["fresh"]
    assert list(final.parent.iterdir()) == [final]
