"""Declarations of losses: defaults, misspelled names, wrong values, and modules that do not derive from `Loss`."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.losses import OFD, CrossEntropy, Hint, SKDInstance
from harness.losses.base import Loss, adapter_builder, is_denominator_known, is_mean_over_rows, split_preparer
from harness.losses.torch_losses import adapted
from harness.models.outputs import ModelOutputs
from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import UsageError
from zoo.recipes.allowed import LOSSES
from zoo.recipes.loss_needs import LossNeeds, needs_of

USER_LOSS = """\
from harness.losses.base import Loss

class Brier(Loss):
    {attribute} = True

    def forward(self, student, teacher, labels):
        return student.logits.square().mean()
"""


class Plain(Loss):
    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        return student.logits.mean()


class Foreign(nn.Module):
    """A module that knows nothing of `Loss`."""

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        return student.logits.mean()


def with_attribute(base: type[nn.Module], name: str, value: Any) -> nn.Module:
    """Return an instance of a subclass with a class attribute."""
    loss: nn.Module = type("Ours", (base,), {name: value})()
    return loss


@pytest.mark.parametrize("kind", [Plain, Foreign])
def test_a_loss_without_declarations_has_the_defaults(kind: type[nn.Module]) -> None:
    assert needs_of(kind()) == needs_of(kind) == LossNeeds()


def test_declarations_are_read_from_the_class_and_from_the_instance() -> None:
    hint = needs_of(Hint(student="layer1", teacher="layer2"))
    assert hint == LossNeeds(
        needs_teacher=True, reads_logits=False, student_features=("layer1",), teacher_features=("layer2",)
    )
    assert needs_of(CrossEntropy(of="aux")) == LossNeeds(reads_logits=False, student_features=("aux",))
    assert [needs_of(SKDInstance(form=form)).needs_whole_batch for form in ("paper", "code")] == [False, True]


@pytest.mark.parametrize("name", ["needs_techer", "student_feature", "reads_logit", "needs_anything", "inherited_part"])
def test_a_misspelled_class_attribute_of_a_loss_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"the loss Ours has an unknown attribute `{name}`"):
        with_attribute(Loss, name, True)


@pytest.mark.parametrize("kind", [Plain, Foreign])
@pytest.mark.parametrize("name", ["need_teacher", "teacher_feature", "reads_batches"])
def test_a_misspelled_attribute_of_an_instance_is_an_error(kind: type[nn.Module], name: str) -> None:
    loss = kind()
    setattr(loss, name, True)
    with pytest.raises(UsageError, match=f"the loss {kind.__name__} has an unknown attribute `{name}`; did you mean"):
        needs_of(loss)


def test_a_misspelled_class_attribute_of_a_foreign_module_is_an_error() -> None:
    with pytest.raises(UsageError, match="unknown attribute `needs_techer`; did you mean needs_teacher"):
        needs_of(with_attribute(Foreign, "needs_techer", True))


@pytest.mark.parametrize(
    ("old", "new"),
    [("student_taps", "student_features"), ("teacher_taps", "teacher_features"), ("inherits", "inherited_parts")],
)
def test_a_name_of_version_0_1_is_an_error_that_gives_the_new_name(old: str, new: str) -> None:
    with pytest.raises(UsageError, match=f"the loss Ours: `{old}` is now called `{new}`"):
        needs_of(with_attribute(Foreign, old, ("a",)))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("student_features", "layer1", "a tuple of strings, not 'layer1'"),
        ("teacher_features", ("layer1", 2), "a tuple of strings"),
        ("needs_teacher", "yes", "True or False, not 'yes'"),
        ("reads_logits", None, "True or False, not None"),
    ],
)
def test_a_declaration_of_another_type_is_an_error(name: str, value: object, expected: str) -> None:
    with pytest.raises(UsageError, match=f"the loss Ours: `{name}` must be {expected}"):
        needs_of(with_attribute(Plain, name, value))


def test_a_list_of_feature_paths_counts_as_a_tuple() -> None:
    assert needs_of(with_attribute(Foreign, "student_features", ["a", "b"])).student_features == ("a", "b")


def test_a_property_is_read_from_an_instance_and_unknown_of_its_class() -> None:
    loss = with_attribute(Plain, "student_features", property(lambda self: ("layer1",)))
    assert needs_of(loss).student_features == ("layer1",)
    assert needs_of(type(loss)) == LossNeeds()


def test_attributes_of_torch_modules_are_not_taken_for_misspelled_ones() -> None:
    class Ours(nn.Linear):
        """A loss that is itself a torch module, with `in_features` and `out_features`."""

        needs_teacher = True

    class Nested(Plain):
        """A loss that holds torch modules."""

        def __init__(self) -> None:
            super().__init__()
            self.projector, self.norm = nn.Linear(2, 3), nn.BatchNorm1d(3)
            self.encoder_layer = nn.TransformerEncoderLayer(4, 2)

    assert needs_of(Ours(2, 3)) == LossNeeds(needs_teacher=True)
    for loss in (Nested(), nn.CrossEntropyLoss(), nn.KLDivLoss(), nn.BCEWithLogitsLoss()):
        assert needs_of(loss) == LossNeeds()


def test_names_that_start_with_needs_are_free_in_a_foreign_module() -> None:
    assert needs_of(with_attribute(Foreign, "needs_projection", True)) == LossNeeds()


def test_only_a_stateless_loss_that_compares_no_rows_is_a_mean_over_rows() -> None:
    assert is_mean_over_rows(CrossEntropy())
    assert is_mean_over_rows(Plain())
    assert not is_mean_over_rows(Foreign())
    assert is_mean_over_rows(with_attribute(Foreign, "needs_whole_batch", False))
    assert not is_mean_over_rows(SKDInstance(form="code"))
    assert not is_mean_over_rows(with_attribute(Plain, "needs_two_rows", True))
    ofd = OFD(student=["a"], teacher=["a"])
    ofd.build_adapters(*(ModelOutputs(None, {"a": torch.zeros(2, 1, 1, 1)}) for _ in range(2)))
    assert not is_mean_over_rows(ofd)


def test_a_loss_builds_adapters_or_changes_the_split_only_if_it_has_the_method() -> None:
    assert adapter_builder(Plain()) is adapter_builder(Foreign()) is None
    assert split_preparer(Plain()) is split_preparer(Foreign()) is None
    hint = Hint(student="a", teacher="a")
    assert adapter_builder(hint) == hint.build_adapters
    foreign = with_attribute(Foreign, "prepare_split", lambda self, split: split)
    assert split_preparer(foreign) == foreign.prepare_split


@pytest.mark.parametrize("attribute", ["needs_techer", "inherits"])
def test_a_misspelled_attribute_of_a_users_loss_ends_the_command_with_exit_code_2(
    attribute: str, zoo: Zoo, recipe_file: Write, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"loss_with_{attribute}"
    (tmp_path / f"{package}.py").write_text(USER_LOSS.format(attribute=attribute))
    monkeypatch.syspath_prepend(tmp_path)
    recipe_file(TINY, ("loss: CrossEntropy", f"loss: {package}.Brier"))
    for command in ("check", "train"):
        ended = zoo(command, "tiny.yaml", "--trust", package)
        assert ended.code == 2
        assert "the loss Brier" in ended.err
        assert f"`{attribute}`" in ended.err


def test_a_misspelled_attribute_of_a_foreign_loss_is_reported_with_its_line(
    zoo: Zoo, recipe_file: Write, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = USER_LOSS.replace("from harness.losses.base import Loss", "from torch.nn import Module as Loss")
    (tmp_path / "foreign_loss.py").write_text(foreign.format(attribute="needs_techer"))
    monkeypatch.syspath_prepend(tmp_path)
    recipe_file(TINY, ("loss: CrossEntropy", "loss: foreign_loss.Brier"))
    ended = zoo("check", "tiny.yaml", "--trust", "foreign_loss")
    assert ended.code == 2
    assert "tiny.yaml:11:18: the loss Brier has an unknown attribute `needs_techer`" in ended.err


CLASS_NUMBERS = torch.tensor([0, 2, 1, 1])
ZEROS_AND_ONES = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
TARGETS = torch.tensor([0.5, 1.0, 2.0, 0.0])
OF_CLASSES, OF_SETS = ("CrossEntropyLoss", "MultiMarginLoss", "NLLLoss"), ("MultiLabelMarginLoss",)


@pytest.mark.parametrize("name", LOSSES)
def test_a_listed_loss_of_torch_compares_outputs_with_labels(name: str) -> None:
    loss = adapted(getattr(nn, name)())
    labels = CLASS_NUMBERS if name in OF_CLASSES else ZEROS_AND_ONES
    outputs = torch.rand(4, 3, requires_grad=True)  # in the range of probabilities, for BCELoss
    value = loss(ModelOutputs(outputs), None, labels)
    assert value.shape == ()
    assert is_denominator_known(loss, labels)
    assert torch.autograd.grad(value, outputs)[0].abs().sum() > 0
    with pytest.raises(ValueError, match=f"{name} compares"):  # torch would broadcast the labels, or fail at length
        loss(ModelOutputs(outputs), None, TARGETS if name in OF_CLASSES else CLASS_NUMBERS)
    if name not in (*OF_CLASSES, *OF_SETS):  # a column of outputs is compared with the labels of a regression
        expected = getattr(nn, name)()(outputs[:, 0], TARGETS.clamp(max=1))
        assert loss(ModelOutputs(outputs[:, :1]), None, TARGETS.clamp(max=1)) == expected


def test_a_loss_of_torch_gets_zeros_and_ones_as_it_expects_them() -> None:
    logits = torch.randn(4, 3)
    rows = torch.tensor([[0, 2, -1], [-1, -1, -1], [1, -1, -1], [0, 1, 2]])
    for loss, expected in ((nn.MultiLabelMarginLoss(), rows), (nn.SoftMarginLoss(), 2 * ZEROS_AND_ONES - 1)):
        assert adapted(loss)(ModelOutputs(logits), None, ZEROS_AND_ONES) == loss(logits, expected)
