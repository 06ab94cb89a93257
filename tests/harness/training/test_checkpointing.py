"""Checkpoints on disk: two generations, so that a damaged one is never the only one."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.evaluation.evaluate import score
from harness.records.training_log import LOG
from harness.training.checkpointing import CheckpointStore, content_digest
from zoo.errors import SourceError


def test_the_newest_readable_checkpoint_is_used(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    assert store.newest() is None
    for step in range(3):
        store.save({"step": step, "value": torch.full((2,), step)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-0.pt", "checkpoint-1.pt"]
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    assert newest["step"] == 2
    damaged = tmp_path / f"checkpoint-{newest['generation'] % 2}.pt"
    damaged.write_bytes(damaged.read_bytes()[:100])
    other = CheckpointStore(tmp_path)
    older = other.newest()
    assert older is not None
    assert older["step"] == 1
    other.save({"step": 9})
    last = CheckpointStore(tmp_path).newest()
    assert last is not None
    assert last["step"] == 9


def test_temporary_files_of_a_killed_process_are_deleted(tmp_path: Path) -> None:
    partial = tmp_path / ".checkpoint-1.pt.123-456.partial"
    partial.write_bytes(b"half a checkpoint")
    CheckpointStore(tmp_path).newest()
    assert not partial.exists()


def saved_twice(folder: Path) -> CheckpointStore:
    """Save two checkpoints, the first before any step, and the second after one whose line is in the log."""
    store = CheckpointStore(folder)
    for step, line in enumerate((b"", b"1")):
        (folder / LOG).write_bytes(line)
        digest = hashlib.sha256(line).hexdigest()
        store.save({"step": step, "log": len(line), "log_sha256": digest, "value": torch.zeros(1000)})
    return store


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[data.index(bytes(2000)) + 1000] ^= 1  # in the zeros of the tensor
    file.write_bytes(bytes(data))


def of_another_run(file: Path) -> None:
    other = CheckpointStore(file.parent / "other")
    other.folder.mkdir(exist_ok=True)
    other.generation = 9 + int(file.stem[-1])
    other.save({"step": 9})
    (other.folder / file.name).replace(file)


def without_digest(file: Path) -> None:
    torch.save({"step": 9}, file)


@pytest.mark.parametrize("damage", [truncated, emptied, flipped, of_another_run, without_digest])
def test_a_damaged_checkpoint_is_reported_and_the_older_one_used(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    saved_twice(tmp_path)
    damage(tmp_path / "checkpoint-0.pt")
    messages: list[str] = []
    newest = CheckpointStore(tmp_path, messages.append).newest()
    assert newest is not None
    assert newest["step"] == 0
    (message,) = messages
    assert message.startswith(f"{tmp_path / 'checkpoint-0.pt'}: this checkpoint is damaged and left out: ")


@pytest.mark.parametrize("damage", [truncated, emptied, flipped, of_another_run, without_digest])
def test_without_any_undamaged_checkpoint_the_run_starts_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    for _ in range(2):  # the files of an earlier time are replaced
        saved_twice(tmp_path)
        for slot in range(2):
            damage(tmp_path / f"checkpoint-{slot}.pt")
        messages: list[str] = []
        assert CheckpointStore(tmp_path, messages.append).newest() is None
        assert messages[-1] == (
            f"{tmp_path}: no checkpoint is left, so the training starts again from step 0; see checkpoint-0.damaged and"
            " checkpoint-1.damaged"
        )
        assert sorted(path.name for path in tmp_path.glob("checkpoint*")) == [
            "checkpoint-0.damaged", "checkpoint-1.damaged",
        ]  # fmt: skip
    assert CheckpointStore(tmp_path).newest() is None


@pytest.mark.parametrize("log", [b"", b"2", None], ids=["older", "other", "missing"])
def test_a_checkpoint_whose_log_is_older_or_another_one_is_left_out(log: bytes | None, tmp_path: Path) -> None:
    saved_twice(tmp_path)
    (tmp_path / LOG).unlink()
    if log is not None:
        (tmp_path / LOG).write_bytes(log)
    messages: list[str] = []
    newest = CheckpointStore(tmp_path, messages.append).newest()
    assert newest is not None
    assert newest["step"] == 0
    assert "log.jsonl has not the lines that were written before it" in messages[0]


def test_half_a_line_after_the_checkpoint_does_not_matter(tmp_path: Path) -> None:
    saved_twice(tmp_path)
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"step": 2, "lo')
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    assert newest["step"] == 1


@pytest.mark.parametrize("unread", [["checkpoint-0.pt"], ["checkpoint-0.pt", "checkpoint-1.pt"]], ids=["one", "both"])
def test_a_file_system_that_does_not_answer_starts_no_training_again(
    unread: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_twice(tmp_path)
    read = Path.open

    def fail(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name in unread:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", fail)
    if len(unread) == 1:
        messages: list[str] = []
        newest = CheckpointStore(tmp_path, messages.append).newest()
        assert newest is not None
        assert (newest["step"], len(messages)) == (0, 1)
        assert "checkpoint-0.pt: cannot be read: Input/output error" in messages[0]
        return
    with pytest.raises(SourceError, match=r"checkpoint-0.pt: cannot be read: Input/output error; run the same command"):
        CheckpointStore(tmp_path).newest()
    assert len(list(tmp_path.glob("checkpoint-*.pt"))) == 2


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_without_memory_no_checkpoint_is_set_aside(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_twice(tmp_path)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", fail)
        with pytest.raises(
            SourceError, match=r"checkpoint-0.pt: cannot be .*memory.*; run the same command again when"
        ):
            CheckpointStore(tmp_path).newest()
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    assert newest["step"] == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_checkpoint_that_cannot_be_written_leaves_both_others(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = saved_twice(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"checkpoint-1\.pt"):
        store.save({"step": 2})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_score_is_a_plain_float_whatever_a_metric_returns(tmp_path: Path) -> None:
    """A numpy number would make the whole checkpoint unreadable with `weights_only`."""
    arrays = {"predictions": np.array([0, 1, 1]), "labels": np.array([0, 1, 0])}
    evaluation = score("test", arrays, {"share": lambda predictions, labels: np.mean(predictions == labels)})
    CheckpointStore(tmp_path).save({"best": {"score": evaluation.scores["share"].value}})
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    assert newest["best"]["score"] == pytest.approx(2 / 3)


def test_a_flipped_byte_is_reported_and_the_older_checkpoint_is_used(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (1, 2):
        store.save({"step": step, "value": torch.zeros(1000), "nested": [{"lr": 0.1}, (1, "a", None)]})
    file = tmp_path / "checkpoint-0.pt"
    data = bytearray(file.read_bytes())
    place = data.index(bytes(2000)) + 1000  # in the zeros of the tensor
    data[place] ^= 0x40
    file.write_bytes(bytes(data))
    messages: list[str] = []
    newest = CheckpointStore(tmp_path, messages.append).newest()
    assert newest is not None
    assert newest["step"] == 1
    assert messages == [f"{file}: this checkpoint is damaged and left out: its content differs from its digest"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_never_changes_what_is_loaded(tmp_path: Path, place: float, bit: int) -> None:
    content = {"step": 2, "value": torch.arange(50.0), "names": ["a", "b"], "more": {"lr": 0.1, "none": None}}
    store = CheckpointStore(tmp_path)
    store.generation = 1
    store.save(content)
    file = tmp_path / "checkpoint-0.pt"
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    file.write_bytes(bytes(data))
    loaded = CheckpointStore(tmp_path).newest()
    if loaded is None:
        return
    del loaded["run"]
    assert content_digest(loaded) == content_digest({**content, "generation": 2})


def test_a_digest_covers_types_order_and_every_kind_of_tensor() -> None:
    values = [
        [1, 2], (1, 2), [2, 1], [1, "2"], {1: 2}, [[1], 2],
        torch.tensor([1, 2]), torch.tensor([1, 2], dtype=torch.int32),
        torch.tensor([[1, 2]]), torch.tensor([1.0, 2.0]), torch.tensor(1.0), torch.tensor([]), torch.ones(2).bfloat16(),
        None, True, 1, 1.0, "1",
    ]  # fmt: skip
    assert len({content_digest(value) for value in values}) == len(values)
