"""Logs of inspect-ai."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.imported_logs import zip_members
from harness.imported_logs.inspect_ai import read_log
from harness.imported_logs.types import DOCUMENT, ImportedLog
from tests.helpers.tool_logs import inspect_log, inspect_members, write_eval, write_zstandard
from zoo.errors import UsageError


def read(folder: Path, log: dict[str, Any], group_by: str = DOCUMENT) -> ImportedLog:
    (folder / "log.json").write_text(json.dumps(log))
    return read_log(folder / "log.json", group_by)


@pytest.mark.parametrize("write", [write_eval, write_zstandard])
def test_a_zip_and_a_json_log_say_the_same(write: Any, tmp_path: Path) -> None:
    log = read(tmp_path, inspect_log())
    zipped = read_log(write(tmp_path / "log.eval", inspect_members(inspect_log())), DOCUMENT)
    assert zipped.scores == log.scores
    assert (zipped.model, zipped.version) == ("openai/gpt-4o-mini", "0.3.285")


def test_the_list_of_members_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_eval(tmp_path / "log.eval", inspect_members(inspect_log()))
    opened: list[Path] = []

    def counted(file: Path) -> ZipFile:
        opened.append(file)
        return ZipFile(file)

    monkeypatch.setattr(zip_members, "ZipFile", counted)
    read_log(path, DOCUMENT)
    assert opened == [path]


def test_a_long_list_of_members_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_eval(tmp_path / "log.eval", inspect_members(inspect_log()))
    monkeypatch.setattr(zip_members, "MAX_DIRECTORY", 100)
    monkeypatch.setattr(zip_members, "ZipFile", None)
    with pytest.raises(UsageError, match=r"its list of members has .* bytes; at most 100 are read"):
        read_log(path, DOCUMENT)


def test_a_log_has_the_score_of_each_sample(tmp_path: Path) -> None:
    log = read(tmp_path, inspect_log())
    (scores,) = log.scores
    assert (scores.split, scores.mean, scores.reported) == ("gsm8k/match", 0.75, 0.75)
    assert (log.seconds, log.data_sets, log.findings) == (60.0, {"gsm8k": "openai/gsm8k"}, ())


def test_epochs_of_a_sample_are_a_group(tmp_path: Path) -> None:
    (scores,) = read(tmp_path, inspect_log(epochs=3)).scores
    assert len(scores.samples) == 12
    assert len({sample.group for sample in scores.samples}) == 4
    assert [(sample.document, sample.repeat) for sample in scores.samples][:4] == [
        ("1", 1),
        ("1", 2),
        ("1", 3),
        ("2", 1),
    ]


def test_another_reducer_is_reported_and_not_compared(tmp_path: Path) -> None:
    log = read(tmp_path, inspect_log(epochs=2, reducer="mode"))
    assert log.scores[0].reported is None
    assert "the log reduces epochs by 'mode'; here each epoch is a sample" in log.findings[0]


def test_samples_without_a_score_are_left_out_and_counted(tmp_path: Path) -> None:
    data = inspect_log(("C", None, "I"))
    data["results"]["scores"][0]["metrics"]["accuracy"]["value"] = 0.5
    log = read(tmp_path, data)
    assert (log.scores[0].mean, log.findings) == (0.5, ("1 samples have no score and are left out",))


def test_an_unfinished_run_is_reported(tmp_path: Path) -> None:
    assert "its status is cancelled" in read(tmp_path, inspect_log(status="cancelled")).findings[0]


def test_several_values_of_a_scorer_are_scores_of_their_own(tmp_path: Path) -> None:
    log = read(tmp_path, {**inspect_log(({"a": 1, "b": "P"}, {"a": 0, "b": 0.25})), "results": None})
    assert [(scores.metric, scores.mean) for scores in log.scores] == [("match.a", 0.5), ("match.b", 0.375)]


def test_samples_can_be_grouped_by_metadata(tmp_path: Path) -> None:
    groups = [sample.group for sample in read(tmp_path, inspect_log(), "topic").scores[0].samples]
    assert groups[0] == groups[1] != groups[2] == groups[3]


def test_unknown_words_are_no_scores(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the sample '1' has no number but 'maybe'"):
        read(tmp_path, inspect_log(("maybe", "C")))


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({}, "no log of inspect-ai with samples"),
        ({"samples": [1]}, "it has no 'eval' with a 'task'"),
        ({**inspect_log(), "samples": []}, "no score of samples can be used"),
        ({**inspect_log(), "samples": [{"scores": {"match": {"value": 1}}}]}, "sample 1: no sample of inspect-ai"),
        ({**inspect_log(), "samples": inspect_log()["samples"] * 2}, "occurs twice; it may be the log of several runs"),
    ],
)
def test_another_log_is_refused(log: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, log)
    assert words in str(caught.value)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    members = inspect_members(inspect_log())
    bomb = write_eval(tmp_path / "a.eval", {**members, "samples/9_epoch_1.json": b" " * 100_000_000})
    with pytest.raises(UsageError, match="would unpack to 100,"):
        read_log(bomb, DOCUMENT)


def test_a_member_that_is_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    path = write_zstandard(tmp_path / "a.eval", inspect_members(inspect_log()))
    content, size = path.read_bytes(), len(inspect_members(inspect_log())["header.json"])
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(UsageError, match=r"'header\.json' is damaged"):
        read_log(path, DOCUMENT)


def test_another_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no log of inspect-ai: it has no header\.json"):
        read_log(write_eval(tmp_path / "a.eval", {"a": b"b"}), DOCUMENT)
    (tmp_path / "b.eval").write_bytes(b"no zip")
    with pytest.raises(UsageError, match="not a zip file"):
        read_log(tmp_path / "b.eval", DOCUMENT)


@settings(max_examples=60)
@given(position=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255), zstandard=st.booleans())
def test_a_damaged_zip_is_read_or_refused_plainly(
    position: float, flipped: int, zstandard: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.eval"
    content = bytearray(
        (write_zstandard if zstandard else write_eval)(path, inspect_members(inspect_log())).read_bytes()
    )
    content[int(position * len(content))] ^= flipped
    path.write_bytes(content)
    try:
        read_log(path, DOCUMENT)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
