"""The smallest text entry as an experiment, and a training stage of it with rows of very different lengths."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.models.environment import accelerator_on
from harness.runs.experiment import Experiment, RunContext, prepare
from harness.runs.record_runs import training_run
from harness.runs.teachers import TeacherResolver
from harness.runs.training_splits import training_splits
from harness.training.stage import ActiveStage, prepare_stage
from harness.training.training_run import TrainingRun
from tests.helpers.device import device
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.tasks.splits import TextSplit

TEXT_ENTRY = "entail-bert-l2h32"


@contextmanager
def run_context(folder: Path) -> Iterator[RunContext]:
    """Yield the context of a run on the device of the tests, with the user's folder and the runs below `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_HOME", str(folder / "home"))
        yield RunContext(builder=Builder(), accelerator=accelerator_on(device()), runs=folder / "runs")


def text_experiment(context: RunContext) -> Experiment:
    return prepare(catalogue.select_one(TEXT_ENTRY), context)


def text_stage(
    context: RunContext, folder: Path, *, loss: str = "CrossEntropy", replaced: tuple[str, str] = ("", "")
) -> tuple[ActiveStage, TrainingRun]:
    """Return the first stage of the small text entry and its run.

    Args:
        context: Where and how the run is made.
        folder: A folder for the recipe and the run.
        loss: The loss of the only term; any but cross-entropy gets the published model as teacher.
        replaced: A text of the recipe, and what replaces it.
    """
    text = (
        catalogue.select_one(TEXT_ENTRY).path.read_text().replace("ce: {loss: CrossEntropy}", f"term: {{loss: {loss}}}")
    )
    text = text.partition("claims:")[0]
    assert replaced[0] in text
    text = text.replace(*replaced) if replaced[0] else text
    if loss != "CrossEntropy":
        model = text.partition("\nmodel: ")[2].partition("\n")[0]
        teacher = f"    teacher: {{model: {model}, weights: embedded:{TEXT_ENTRY}.safetensors}}\n    criterion:"
        text = text.replace("    criterion:", teacher)
    path = folder / "texts.yaml"
    path.write_text(text)
    experiment = prepare(catalogue.local(path), context)
    (train_split,) = training_splits(experiment)
    assert isinstance(train_split, TextSplit)
    rows = sorted(range(1000), key=lambda row: -len(train_split.texts[row][0]))[:20] + list(range(44))
    split = TextSplit(
        [train_split.texts[row] for row in rows], train_split.labels[rows], tokenizer=train_split.tokenizer
    )
    run = replace(training_run(experiment, TeacherResolver().resolve(experiment), 0, folder), splits=(split,))
    torch.manual_seed(0)
    model = experiment.builder.build(experiment.recipe.model, "model")
    return prepare_stage(run, 0, model), run


def take_gradients(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all gradients by the names of their parameters, and set them to zero."""
    gradients = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    return gradients


class WordTokenizer:
    """A tokenizer that adds no token to a text, unless `adds_end`; the id of a word is its length."""

    pad_token_type_id, padding_side = 0, "right"

    def __init__(self, *, adds_end: bool = False, **special: int) -> None:
        for name, number in special.items():
            setattr(self, f"{name}_token_id", number)
            setattr(self, f"{name}_token", f"<{name}>")
        self.pad_token_id, self.ends = special.get("pad"), [special["eos"]] if adds_end else []

    def __len__(self) -> int:
        return 50

    def __call__(self, texts: list[str], **options: Any) -> dict[str, list[list[int]]]:
        ids = [[len(word) for word in text.split()] + self.ends for text in texts]
        return {"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids]}
