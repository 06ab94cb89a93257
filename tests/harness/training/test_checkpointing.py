"""Checkpoints on disk: two generations, so that a damaged one is never the only one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.evaluation.evaluate import score
from harness.training.checkpointing import CheckpointStore
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
