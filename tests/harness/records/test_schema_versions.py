"""Records of every schema that was ever written are read, and newer ones are refused with the next step."""

import json
from pathlib import Path

import jsonschema
import pytest

from harness.records.record import SCHEMA, read_record, schema
from zoo.errors import IntegrityError, UsageError

OLD = sorted((Path(__file__).parent / "old_records").glob("*.json"))


def saved(folder: Path, source: Path, **changes: object) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps({**json.loads(source.read_text(encoding="utf-8")), **changes}))
    return path


def test_there_is_a_record_of_every_shape_that_was_written() -> None:
    """Records of version 0.1: plain, with the commits of repositories, and resumed. Of 0.2: with digests."""
    shapes = {f"schema-1-of-{name}" for name in ("0.1", "0.1-resumed", "0.1-with-provenance", "0.2")}
    assert {path.stem for path in OLD} == {*shapes, "schema-2"}


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_old_records_are_read_and_written_back_unchanged(path: Path) -> None:
    record = read_record(path)
    assert record.schema == int(path.stem[len("schema-")])
    assert record.to_json() == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_record_that_is_sealed_again_has_the_newest_schema_and_the_same_key(path: Path) -> None:
    record = read_record(path)
    sealed = record.sealed(record.files)
    assert (sealed.schema, sealed.identity, sealed.results) == (SCHEMA, record.identity, record.results)
    jsonschema.validate(json.loads(sealed.to_json()), schema())


@pytest.mark.parametrize("newer", [SCHEMA + 1, 99])
def test_a_newer_record_is_refused_with_the_advice_to_upgrade(newer: int, tmp_path: Path) -> None:
    """Its unknown fields are not reported: they are no mistakes."""
    path = saved(tmp_path, OLD[0], schema=newer, color="red")
    expected = f"the record has schema {newer}, but zoo .* reads schemas up to {SCHEMA}; upgrade zoo: run `git pull`"
    with pytest.raises(UsageError, match=expected) as caught:
        read_record(path)
    assert "color" not in str(caught.value)


@pytest.mark.parametrize("wrong", [0, -1, "2", 1.5, True, None])
def test_a_schema_that_never_existed_is_no_record(wrong: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a record: \$\.schema"):
        read_record(saved(tmp_path, OLD[0], schema=wrong))


def test_the_digests_of_a_record_are_required_since_schema_2(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="the record has no record_sha256, which schema 2 requires"):
        read_record(saved(tmp_path, OLD[0], schema=2))
    with pytest.raises(UsageError, match="'results_sha256' is a required property"):
        read_record(saved(tmp_path, OLD[0], schema=2, record_sha256="0" * 64))


def test_a_record_cannot_be_relabelled_to_an_older_schema(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="the record was changed after the run: record_sha256"):
        read_record(saved(tmp_path, OLD[-1], schema=1))
