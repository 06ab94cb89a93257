"""Losses and gradients equal those of torchdistill 1.1.5 to 1e-6, except for the listed differences."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.losses.functional import unit_vectors
from tests.helpers.available_losses import losses
from tests.helpers.torchdistill_losses import (
    EQUAL_LOSSES,
    SIZES,
    Tensors,
    as_io_dict,
    as_outputs,
    mid,
    models,
    random_batch,
    value_and_gradients,
    with_adapters,
    with_weights_of,
)

registry = pytest.importorskip("torchdistill.losses.registry")

ROTATED = ("SelfSupervision", "SSKD")
READS_TEACHER_ONLY = ("Paraphrase", "KnowledgeTranslation", "SelfSupervision")


def assert_equal(actual: Tensors, expected: Tensors) -> None:
    """Assert that tensors agree to 1e-6 of the largest number of each, and that none is all zero."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert value.abs().max() > 0
        assert (actual[name] - value).abs().max() <= 1e-6 * value.abs().max(), name


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", EQUAL_LOSSES)
def test_value_and_gradient_equal_torchdistills(
    name: str, size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "argsort", partial(torch.argsort, stable=True))  # see the difference "SSKDLoss, ties"
    student, teacher, labels = random_batch(size, rotations=4 if name in ROTATED else 1)
    ours, theirs = EQUAL_LOSSES[name](student, teacher)
    if name in READS_TEACHER_ONLY:
        actual = value_and_gradients(lambda t: ours(as_outputs(student), as_outputs(t), labels), teacher)
        assert_equal(actual, value_and_gradients(lambda t: theirs(student, t, labels), teacher))
    else:
        actual = value_and_gradients(lambda s: ours(as_outputs(s), as_outputs(teacher), labels), student)
        assert_equal(actual, value_and_gradients(lambda s: theirs(s, teacher, labels), student))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_crd_equals_torchdistills_and_updates_memories_and_constants_equally(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    (rows, _, negatives, _, _), (student, teacher, _) = size, random_batch(size)
    ours: Any = losses.CRD(student="v", teacher="v", dim=7, negatives=negatives)
    ours.prepare_split(SimpleNamespace(labels=torch.arange(20) % 3))
    embeddings = [with_adapters(ours, student, teacher).student_embedding, ours.teacher_embedding]
    theirs = mid.CRDLoss("x", "empty", "x", 7, 20, negatives, 20).double()
    with_weights_of(nn.ParameterList([theirs.params, ours.student_memory, ours.teacher_memory]), theirs)
    student_norm, teacher_norm = (
        models.Normalizer4CRD(with_weights_of(embedding, nn.Linear(embedding.in_features, 7)))
        for embedding in embeddings
    )

    def our_loss(s: Tensors) -> Tensor:
        vectors = [unit_vectors(embedding(f["v"])) for embedding, f in zip(embeddings, (s, teacher), strict=True)]
        return ours.contrast(*vectors, ids, drawn)

    def their_loss(s: Tensors) -> Tensor:
        indices = {"empty": {"input": {"pos_idx": ids, "contrast_idx": torch.cat([ids[:, None], drawn], 1)}}}
        return theirs(
            as_io_dict(s, {"x": (student_norm, "v")}) | indices, as_io_dict(teacher, {"x": (teacher_norm, "v")})
        )

    for _ in range(2):
        ids, drawn = torch.randperm(20)[:rows], torch.randint(20, (rows, negatives))
        assert_equal(value_and_gradients(our_loss, student), value_and_gradients(their_loss, student))
        state = {"s": ours.student_memory, "t": ours.teacher_memory, "constants": ours.constants}
        assert_equal(state, {"s": theirs.memory_v1, "t": theirs.memory_v2, "constants": theirs.params[2:4]})
        student = {name: -value for name, value in student.items()}


def test_every_loss_of_torchdistill_is_compared() -> None:
    here = Path(__file__)
    helper = here.parents[2] / "helpers" / "torchdistill_losses.py"
    text = "".join(
        path.read_text(encoding="utf-8") for path in (here, here.with_name("test_torchdistill_differences.py"), helper)
    )
    assert [loss for loss in registry.MIDDLE_LEVEL_LOSS_DICT if f"mid.{loss}" not in text] == []
