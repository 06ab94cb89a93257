"""Checkpoints on disk: two generations, so that a damaged one is never the only one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.evaluation.evaluate import score
from harness.training.checkpointing import CheckpointStore, content_digest
from zoo.errors import UsageError


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


def test_unreadable_checkpoints_are_an_error_and_not_a_new_run(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1.pt").write_bytes(b"damaged")
    with pytest.raises(UsageError, match="none of its checkpoints can be read"):
        CheckpointStore(tmp_path).newest()


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
    try:
        loaded = CheckpointStore(tmp_path).newest()
    except UsageError:
        return
    assert loaded is not None
    assert content_digest(loaded) == content_digest({**content, "generation": 2})


def test_a_digest_covers_types_order_and_every_kind_of_tensor() -> None:
    values = [
        [1, 2], (1, 2), [2, 1], [1, "2"], {1: 2}, [[1], 2],
        torch.tensor([1, 2]), torch.tensor([1, 2], dtype=torch.int32),
        torch.tensor([[1, 2]]), torch.tensor([1.0, 2.0]), torch.tensor(1.0), torch.tensor([]), torch.ones(2).bfloat16(),
        None, True, 1, 1.0, "1",
    ]  # fmt: skip
    assert len({content_digest(value) for value in values}) == len(values)
