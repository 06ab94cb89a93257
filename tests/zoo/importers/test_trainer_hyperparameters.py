"""The hyperparameters of a card of the Trainer as the stage of a recipe."""

from typing import Any

import pytest
import transformers

from zoo.errors import Mark
from zoo.importers.settings import Notes, Setting, Settings, scalar
from zoo.importers.trainer.hyperparameters import convert_stage
from zoo.importers.trainer.weight_decay import undecayed_names

START = Mark(path="README.md", line=1, column=1)


def stage_of(
    values: dict[str, Any], rows: int | None = 1000, kind: str = "classification"
) -> tuple[dict[str, Any], Notes]:
    notes = Notes()
    read = {name: Setting(value=scalar(str(value)), mark=START) for name, value in values.items()}
    return convert_stage(Settings(values=read, start=START, notes=notes), kind, rows, notes), notes


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("Adam with betas=(0.9,0.999) and epsilon=1e-08",
         {"use": "AdamW", "lr": 5e-5, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}),
        ("Use adamw_torch with betas=(0.9,0.95) and epsilon=1e-06 and optimizer_args=No additional optimizer arguments",
         {"use": "AdamW", "lr": 5e-5, "betas": [0.9, 0.95], "eps": 1e-6, "weight_decay": 0.0}),
        ("Use adafactor and the args are: No additional optimizer arguments",
         {"use": "transformers.Adafactor", "scale_parameter": False, "relative_step": False, "lr": 5e-5,
          "weight_decay": 0.0}),
        ("Adafactor", {"use": "transformers.Adafactor", "scale_parameter": False, "relative_step": False, "lr": 5e-5,
                       "weight_decay": 0.0}),
        ("Use OptimizerNames.SGD and the args are: No additional optimizer arguments",
         {"use": "SGD", "lr": 5e-5, "weight_decay": 0.0}),
    ],
)  # fmt: skip
def test_an_optimizer_is_read_in_its_old_and_new_wordings(text: str, call: dict[str, Any]) -> None:
    stage, notes = stage_of({"optimizer": text, "learning_rate": "5e-05"})
    assert (stage["optimizer"], dict(notes.problems)) == (call, {})


@pytest.mark.parametrize(
    "text",
    ["Use lion_8bit and the args are: No additional optimizer arguments", "?",
     "Use adamw_torch with betas=(0.9,0.999) and epsilon=1e-08 and optimizer_args=rank=64"],
)  # fmt: skip
def test_an_optimizer_without_an_equal_is_an_obstacle(text: str) -> None:
    _, notes = stage_of({"optimizer": text})
    assert ["has no equal in torch" in problem.message for problem in notes.problems] == [True]


@pytest.mark.parametrize(
    ("values", "rows", "expected"),
    [
        ({"lr_scheduler_type": "constant"}, 1000, None),
        ({"lr_scheduler_type": "linear"}, None, "linear"),
        ({"lr_scheduler_type": "SchedulerType.COSINE"}, None, "cosine"),
        ({"lr_scheduler_type": "linear", "lr_scheduler_warmup_steps": 50}, None,
         {"use": "transformers.get_linear_schedule_with_warmup", "num_warmup_steps": 50}),
        ({"lr_scheduler_type": "cosine", "lr_scheduler_warmup_ratio": 0.1}, 1000,
         {"use": "transformers.get_cosine_schedule_with_warmup", "num_warmup_steps": 38}),  # of 3 times 125 steps
        ({"lr_scheduler_type": "linear", "lr_scheduler_warmup_steps": 0.1}, 1000,
         {"use": "transformers.get_linear_schedule_with_warmup", "num_warmup_steps": 38}),  # as version 5 writes it
        ({"lr_scheduler_type": "linear", "lr_scheduler_warmup_ratio": 0.1}, None, {"use": "linear", "warmup": 0.1}),
        ({"lr_scheduler_type": "inverse_sqrt", "lr_scheduler_warmup_steps": 9}, None,
         {"use": "transformers.get_inverse_sqrt_schedule", "num_warmup_steps": 9}),
    ],
)  # fmt: skip
def test_a_schedule_has_the_warm_up_of_the_card(values: dict[str, Any], rows: int | None, expected: Any) -> None:
    stage, notes = stage_of({**values, "train_batch_size": 8, "num_epochs": 3}, rows)
    assert (stage.get("schedule"), dict(notes.problems)) == (expected, {})


def test_training_steps_are_epochs_where_they_end_with_one() -> None:
    stage, notes = stage_of({"training_steps": 250, "train_batch_size": 8}, 1000)
    assert (stage["epochs"], dict(notes.problems)) == (2, {})
    for rows, text in ((999_999, "0.00 epochs of 125,000 steps"), (None, "the number of rows is not known")):
        _, notes = stage_of({"training_steps": 250, "train_batch_size": 8}, rows)
        assert [text in problem.message for problem in notes.problems] == [True]


def test_the_loss_is_that_of_the_kind_of_task() -> None:
    kinds = ("classification", "regression", "multilabel")
    losses = [stage_of({"learning_rate": 1e-5}, kind=kind)[0]["criterion"]["loss"]["loss"] for kind in kinds]
    assert losses == ["CrossEntropy", "MSE", "BinaryCrossEntropy"]


def test_defaults_of_the_trainer_are_named_where_the_card_is_silent() -> None:
    _, notes = stage_of({"train_batch_size": 8})
    named = " ".join(notes.assumptions)
    for text in ("learning_rate; the Trainer's default is 5e-05", "num_epochs; the Trainer's default is 3",
                 "optimizer; the Trainer's default is AdamW", "lr_scheduler_type; the Trainer's default is linear",
                 "no weight_decay 0.0 and no max_grad_norm 1.0"):  # fmt: skip
        assert text in named


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr_scheduler_warmup_ratio": "2"}, "the warm-up is a share of the training, from 0 to 1, not 2"),
        ({"lr_scheduler_warmup_ratio": "1.0e+308"}, "from 0 to 1, not 1e+308"),
        ({"optimizer": "Adam with betas=(0.9,1.5) and epsilon=1e-08"}, "betas and epsilon are numbers from 0 to below"),
        ({"training_steps": "10"}, "the number of rows is not known"),
    ],
)
def test_numbers_outside_of_their_range_are_obstacles(values: dict[str, Any], message: str) -> None:
    _, notes = stage_of(values, rows=0)
    assert any(message in problem.message for problem in notes.problems), notes.problems


def test_the_parameters_without_weight_decay_are_those_of_the_trainer() -> None:
    config = transformers.BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                                     intermediate_size=8)  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    decayed = transformers.Trainer.get_decay_parameter_names(None, model)
    assert {*undecayed_names(model)} == {name for name, _ in model.named_parameters()} - {*decayed}
    stage = convert_stage(Settings(values={}, start=START, notes=Notes()), "classification", None, Notes(), ("*bias",))
    assert stage["groups"] == {"*bias": {"weight_decay": 0.0}}
