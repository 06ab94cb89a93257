"""The classes of a model are brought into the order of the task by name, and tested by predictions."""

import copy
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.evaluation.label_order import findings, order_outputs, sign_test
from harness.models.outputs import run_model
from harness.training.objective import ModelReads
from harness.training.stage import order_teachers
from harness.training.teacher import TeacherWeights
from zoo.errors import Mark, UsageError
from zoo.recipes.values import Call

NAMES = ("entailment", "not_entailment")


MARK = Mark(path="x.yaml", line=1, column=1)


class Named(nn.Module):
    """Returns its inputs as logits, in the form of a model of transformers, with these names of the classes."""

    def __init__(self, *names: str, as_tuple: bool = False) -> None:
        super().__init__()
        self.config, self.as_tuple = SimpleNamespace(id2label=dict(enumerate(names))), as_tuple

    def forward(self, inputs: Tensor) -> Any:
        return (inputs, None) if self.as_tuple else SimpleNamespace(logits=inputs)


def test_predictions_with_swapped_classes_are_reported() -> None:
    """Predictions that are right on nine rows in ten after the two classes are swapped."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    swapped = np.where(rng.random(200) < 0.9, 1 - labels, labels)
    (finding,) = findings(nn.Identity(), NAMES, swapped, labels)
    assert "if entailment is not_entailment, not_entailment is entailment" in finding
    right = np.where(rng.random(200) < 0.6, labels, 1 - labels)
    assert findings(nn.Identity(), NAMES, right, labels) == ()


def test_an_order_that_only_all_examples_support_is_reported_if_it_leads_by_more_than_20_points() -> None:
    labels = np.tile([0, 1], 500)

    def sentence(wrong: int) -> str:
        predictions = labels ^ (np.arange(1000) % 100 < wrong)
        (found,) = findings(nn.Identity(), NAMES, predictions, labels) or ("",)
        return found

    assert sentence(62).endswith("62% of all 1000 examples are right, 38% as scored")
    assert not sentence(60)  # 20 points
    assert sentence(70).endswith("70% of the first 100 examples are right, 30% as scored")


@pytest.mark.parametrize(("classes", "rows"), [(10, 200), (1000, 5000)])
def test_an_order_of_many_classes_is_found_by_an_assignment(classes: int, rows: int) -> None:
    rng, names = np.random.default_rng(0), [f"class {number}" for number in range(classes)]
    labels = rng.integers(0, classes, rows)
    guesses = rng.integers(0, classes, rows)
    rotated = (np.where(rng.random(rows) < 0.4, labels, guesses) + 1) % classes
    (finding,) = findings(nn.Identity(), names, rotated, labels)
    assert f"label order: if class 0 is class {classes - 1}, class 1 is class 0, " in finding
    assert f"of all {rows} examples are right" in finding
    assert ("more, " in finding) == (classes > 10)


@pytest.mark.parametrize("classes", [2, 10, 100, 1000])
def test_chance_is_no_evidence_for_another_order(classes: int) -> None:
    """Of 1,000 classes with five rows each, the best order makes some 30 points more of random predictions right."""
    rng = np.random.default_rng(1)
    labels, guesses = rng.integers(0, classes, (2, 5 * classes))
    assert findings(nn.Identity(), [str(number) for number in range(classes)], guesses, labels) == ()


@pytest.mark.parametrize(
    ("of_model", "of_task", "order"),
    [
        (("not_entailment", "Entailment"), NAMES, [1, 0]),
        (("NOT-ENTAILMENT", "entails"), NAMES, [1, 0]),
        (("entailment", "non_entailment"), NAMES, [0, 1]),
        (("POS", "neutral", "neg"), ("negative", "neutral", "positive"), [2, 1, 0]),
        (("c", "a", "b"), ("a", "b", "c"), [1, 2, 0]),
        (("2 stars", "1 star"), ("1 star", "2 star"), [1, 0]),
        (("LABEL_0", "LABEL_1"), NAMES, [0, 1]),
        (("LABEL_1", "LABEL_0"), NAMES, [0, 1]),
        (("0", "1"), NAMES, [0, 1]),
        (("cat", "dog"), ("n02121808", "n02084071"), [0, 1]),
    ],
)
def test_outputs_are_ordered_by_the_names_of_their_classes(
    of_model: tuple[str, ...], of_task: tuple[str, ...], order: list[int]
) -> None:
    logits = torch.arange(2.0 * len(order)).reshape(2, -1)
    for as_tuple in (False, True):
        model = Named(*of_model, as_tuple=as_tuple)
        order_outputs(model, of_task)
        output = model(logits)
        assert torch.equal(output[0] if as_tuple else output.logits, logits[:, order])


@pytest.mark.parametrize(
    ("of_model", "of_task"),
    [
        (("positive", "negative"), ("good", "bad")),
        (("a", "b"), ("a", "c")),
        (("a", "A"), ("A", "b")),
        (("a", "a"), ("a", "b")),
    ],
)
def test_names_that_do_not_match_are_refused_with_both_lists(
    of_model: tuple[str, ...], of_task: tuple[str, ...]
) -> None:
    both = f"the model has {', '.join(of_model)}; the task has {', '.join(of_task)}"
    with pytest.raises(UsageError, match=both):
        order_outputs(Named(*of_model), of_task)


def stage_with_teacher(
    names: tuple[str, ...], *, configured: bool, logits: bool, task: str = "rte", trained: tuple[str, ...] = ()
) -> Any:
    """Return what `order_teachers` reads of a training: one teacher, its weights and what a loss reads of it."""
    weights: Any = SimpleNamespace(has_configuration=configured)
    stage = SimpleNamespace(
        all_teachers={"teacher": SimpleNamespace(marks={})}, task=None, optimizer=SimpleNamespace(mark=MARK)
    )
    source = TeacherWeights(Call(use="sequence_classifier"), weights, Call(use=task), trained)
    reported: list[str] = []
    return SimpleNamespace(
        recipe=SimpleNamespace(stages=[stage], task=Call(use="rte")), class_names=[names],
        teachers=[{"teacher": source}], needs={"teacher": ModelReads(logits=logits)},
        reported=reported, report=reported.append,
    )  # fmt: skip


def test_a_teacher_with_a_configuration_returns_logits_in_the_order_of_the_students_classes() -> None:
    logits = torch.arange(4.0).reshape(2, 2)
    for configured, expected in ((True, [1, 0]), (False, [0, 1])):
        run: Any = stage_with_teacher(NAMES, configured=configured, logits=True)
        teacher = Named("not_entailment", "entailment")
        order_teachers(run, 0, {"teacher": teacher}, run)
        assert torch.equal(run_model(teacher, logits).logits, logits[:, expected])


def test_a_teacher_with_published_classes_returns_logits_in_the_order_of_the_students_classes() -> None:
    logits, teacher = torch.arange(4.0).reshape(2, 2), nn.Identity()
    teacher.published_classes = list(NAMES[::-1])  # type: ignore[assignment]
    run: Any = stage_with_teacher(NAMES, configured=False, logits=True)
    order_teachers(run, 0, {"teacher": teacher}, run)
    assert torch.equal(run_model(teacher, logits).logits, logits[:, [1, 0]])


@pytest.mark.parametrize(
    ("task", "names", "trained", "order", "note"),
    [
        ("other", NAMES, NAMES[::-1], [1, 0], ""),
        ("other", NAMES, ("not_entailment", "entails"), [1, 0], "taken for synonyms"),
        ("other", NAMES, (), [0, 1], "in the same order"),
        ("other", (), NAMES, [0, 1], "in the same order"),
        ("rte", NAMES, NAMES[::-1], [0, 1], ""),
    ],
)
@pytest.mark.parametrize("model", [nn.Identity(), Named("LABEL_0", "LABEL_1")], ids=["tensor", "placeholders"])
def test_a_teacher_from_an_entry_with_other_classes_is_ordered_by_the_names_of_its_task(
    model: nn.Module, task: str, names: tuple[str, ...], trained: tuple[str, ...], order: list[int], note: str
) -> None:
    teacher, logits = copy.deepcopy(model), torch.arange(4.0).reshape(2, 2)
    run = stage_with_teacher(
        names, configured=not isinstance(model, nn.Identity), logits=True, task=task, trained=trained
    )
    order_teachers(run, 0, {"teacher": teacher}, run)
    assert torch.equal(run_model(teacher, logits).logits, logits[:, order])
    assert note in "".join(run.reported)
    with pytest.raises(UsageError, match="the model has cat, dog") if task == "other" and names else nullcontext():
        run = stage_with_teacher(names, configured=False, logits=True, task=task, trained=("cat", "dog"))
        order_teachers(run, 0, {"teacher": nn.Identity()}, run)


def test_a_teacher_of_other_classes_may_be_read_for_its_features_only() -> None:
    for logits in (False, True):
        run: Any = stage_with_teacher(NAMES, configured=True, logits=logits)
        with nullcontext() if not logits else pytest.raises(UsageError, match="the model has cat, dog"):
            order_teachers(run, 0, {"teacher": Named("cat", "dog")}, run)


def test_synonyms_and_placeholders_are_reported() -> None:
    labels = np.arange(200) % 2
    for of_model, words in (
        (("not_entailment", "entails"), "taken for synonyms of the task's: 'entails' for 'entailment'"),
        (("LABEL_0", "LABEL_1"), "the model does not name them: LABEL_0, LABEL_1 for entailment, not_entailment"),
    ):
        order_outputs(model := Named(*of_model), NAMES)
        (finding,) = findings(model, NAMES, labels, labels)
        assert words in finding
    order_outputs(model := Named("Not Entailment", "Entailment"), NAMES)
    assert findings(model, NAMES, labels, labels) == ()


def test_the_sign_test_is_two_sided_and_exact() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == pytest.approx(2 / 32)
    assert sign_test(8, 1) == pytest.approx(2 * (9 + 1) / 512)
