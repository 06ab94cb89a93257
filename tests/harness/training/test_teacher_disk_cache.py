"""Teacher outputs are cached between runs, keyed by everything that they depend on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.models.environment import accelerator_on
from harness.models.rounding import rounding_tolerance, terms_of
from harness.runs.experiment import Experiment
from harness.training.objective import ModelReads
from harness.training.teacher import LiveTeachers
from harness.training.teacher_cache import CachedTeachers, cache_teacher_outputs
from tests.helpers.device import device
from zoo.models import bert_classifier, cifar_resnet
from zoo.tasks import digits
from zoo.tasks.splits import TensorSplit, TextSplit


@pytest.fixture
def counted_teacher() -> tuple[LiveTeachers, list[int]]:
    """A teacher, and a list that grows with each of its forward passes."""
    torch.manual_seed(0)
    model, calls = cifar_resnet(depth=8, width=4, in_channels=1), []
    model.register_forward_hook(lambda *_: calls.append(1))
    return LiveTeachers({"t": model}, {"t": ModelReads(("layer2:output",), True)}, torch.device(device())), calls


def test_teacher_outputs_are_cached_for_other_runs(
    counted_teacher: tuple[LiveTeachers, list[int]], tmp_path: Path
) -> None:
    (teacher, calls), split, accelerator = counted_teacher, digits().load("train"), accelerator_on(device())
    first = cache_teacher_outputs(teacher, split, accelerator, tmp_path)
    assert isinstance(first, CachedTeachers)
    calls_before = len(calls)
    again = cache_teacher_outputs(teacher, split, accelerator, tmp_path)
    assert len(calls) == calls_before + 1  # two rows, to learn the size of the outputs
    batch = split.batch([898, 3, 500], accelerator.device)
    assert torch.equal(again(batch)["t"].logits, first(batch)["t"].logits)
    assert torch.equal(again(batch)["t"]["layer2:output"], first(batch)["t"]["layer2:output"])
    expected = teacher(batch)["t"].logits
    allowed = rounding_tolerance(torch.float32, terms_of(teacher.models["t"]), float(expected.abs().max()))
    torch.testing.assert_close(again(batch)["t"].logits, expected, rtol=0, atol=allowed)
    assert isinstance(split, TensorSplit)
    with torch.no_grad():
        next(teacher.models["t"].parameters()).add_(1)
    assert not torch.equal(
        cache_teacher_outputs(teacher, split, accelerator, tmp_path)(batch)["t"].logits, first(batch)["t"].logits
    )  # type: ignore[operator]
    other = TensorSplit(split.inputs.flip(0), split.labels)
    cache_teacher_outputs(teacher, other, accelerator, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def small_bert(*, heads: int) -> nn.Module:
    torch.manual_seed(0)
    return bert_classifier(layers=1, hidden=8, heads=heads, intermediate=8, vocab_size=70, num_labels=3)


class UserModel(nn.Module):
    """A model of code that is in no package."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: Tensor) -> Any:
        return self.model(**inputs).logits


@pytest.mark.parametrize(("wrap", "files"), [(nn.Module.eval, 2), (UserModel, 0)], ids=["package", "user code"])
def test_the_cache_depends_on_settings_that_no_weight_shows_and_leaves_out_user_code(
    wrap: Any, files: int, experiment: Experiment, tmp_path: Path
) -> None:
    """The number of attention heads changes no shape of a BERT's weights. User code has no version to depend on."""
    texts, accelerator = experiment.task.load("test"), accelerator_on(device())
    assert isinstance(texts, TextSplit)
    split = TextSplit(texts.texts[:4], texts.labels[:4], tokenizer=texts.tokenizer)
    for heads in (1, 2):
        teachers = LiveTeachers({"t": wrap(small_bert(heads=heads))}, {"t": ModelReads((), True)}, accelerator.device)
        assert isinstance(cache_teacher_outputs(teachers, split, accelerator, tmp_path / "cache"), CachedTeachers)
    assert len(list((tmp_path / "cache").glob("*"))) == files
