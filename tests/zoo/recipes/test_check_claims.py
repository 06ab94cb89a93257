"""Claims, stages and models that name a split, a metric or a number of classes which the task does not have."""

from pathlib import Path

import pytest

from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import RecipeError
from zoo.recipes.build import Builder
from zoo.recipes.check import check_recipe
from zoo.recipes.schema import load_recipe

CLAIM = "  - {of: retrain, split: test, metric: accuracy, source: s, value: 0.5}\n"
HELD_OUT = "task: digits\nholdout: {of: train, share: 0.1, seed: 1, name: held_out}\n"
ROWS = "{train: 'file:a.csv', validation: 'file:a.csv', test: 'file:b.csv'}"
TEXTS = TINY.replace("task: digits", f"task: {{use: text_classification, data: {ROWS}, text: t, classes: [bad, good]}}")
TEXTS = TEXTS.replace("schedule", "split: train\n    schedule").replace("num_classes: 10", "num_classes: 2")
TEXTS = TEXTS.replace("stages:", "tokenizer: {use: wordpiece, vocab: 'embedded:entail-vocab.txt'}\nstages:")
NOT_SCORED = "claims[0]: the split 'train' is not scored by digits; scored: test"
NOT_MEASURED = "claims[0]: the metric 'acc' is not measured; measured: accuracy; did you mean accuracy?"


def problems(path: Path, *trust: str) -> list[str]:
    """Return the problems of a recipe as LINE:COLUMN: MESSAGE."""
    try:
        check_recipe(load_recipe(path), Builder(frozenset(trust)))
    except RecipeError as error:
        return [str(problem).removeprefix(f"{path}:") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("split: test", "split: train", [f"13:19: {NOT_SCORED}"]),
        ("split: test", "split: tset", [f"13:19: {NOT_SCORED.replace('train', 'tset')}; did you mean test?"]),
        ("metric: accuracy", "metric: acc", [f"13:32: {NOT_MEASURED}"]),
        (
            "metric: accuracy",
            "metric: f1",
            [
                "13:32: claims[0]: the metric 'f1' is not measured; measured: accuracy; name it in `metrics` to "
                "measure it"
            ],
        ),
        (
            "of: retrain",
            "of: weights",
            [
                "13:6: claims[0]: the recipe has no weights to evaluate; add the key 'weights' to the recipe, or claim "
                "`of: retrain`"
            ],
        ),
        (
            "source: s",
            "selection: best, source: s",
            [
                "13:50: claims[0]: the last stage ends with its last epoch; write `selection: best` in the stage, or "
                "`last` here"
            ],
        ),
        ("of: retrain, split: test, metric: accuracy", "of: test-server, split: hidden, metric: acc", []),
        ("task: digits", "metrics: [sklearn.metrics.f1_score]\ntask: digits", ["14:32: "]),
        ("task: digits\n", HELD_OUT, []),
        ("split: test", "split: held_out", ["13:19: "]),
    ],
)
def test_a_claim_that_no_run_can_test_is_reported_with_its_line(
    before: str, after: str, expected: list[str], recipe_file: Write
) -> None:
    found = problems(recipe_file(f"{TINY}claims:\n{CLAIM}", (before, after)))
    assert [problem[: len(text)] for problem, text in zip(found, expected, strict=True)] == expected


def test_claims_may_be_about_held_out_rows_and_about_the_metrics_of_the_recipe(recipe_file: Write) -> None:
    text = f"metrics: [sklearn.metrics.f1_score]\n{TINY.replace('task: digits', HELD_OUT.strip())}claims:\n{CLAIM}"
    claimed = (("split: test", "split: held_out"), ("metric: accuracy", "metric: f1_score"))
    assert not problems(recipe_file(text, *claimed, ("clip_norm: 1.0", "split: held_out")))


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("split: trian", "9:5: digits has no split 'trian'; splits: train, test; did you mean train?"),
        (
            "selection: best\n    selected_on: tset",
            "10:5: selected_on cannot be 'tset'; scored: test; did you mean test?",
        ),
        ("selection: best\n    selected_by: [f1]", "10:5: selected_by cannot be 'f1'; measured: accuracy"),
    ],
)
def test_a_stage_that_names_another_split_or_metric_is_reported_with_its_line(
    after: str, message: str, recipe_file: Write
) -> None:
    assert problems(recipe_file(TINY, ("clip_norm: 1.0", after))) == [message]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("num_classes: 2", "num_classes: 2", ""),
        ("num_classes: 2", "num_classes: 3", "num_classes is 3, but text_classification needs 2, one for each class"),
        ("classes: [bad, good]", "classes: 3", ""),  # data may lack a class, but then have only numbers
        ("classes: [bad, good]", "kind: regression", "text_classification needs 1, the predicted number"),
        ("model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 2, in_channels: 1}",
         "model: {use: transformers.BertForSequenceClassification, config: {use: transformers.BertConfig,"
         " num_labels: 4, hidden_size: 4, num_hidden_layers: 1, num_attention_heads: 1, vocab_size: 9}}",
         "transformers.BertConfig: num_labels is 4, but text_classification needs 2, one for each class"),
    ],
)  # fmt: skip
def test_another_number_of_outputs_than_listed_classes_is_reported_with_its_line(
    before: str, after: str, expected: str, recipe_file: Write
) -> None:
    found = problems(recipe_file(TEXTS, (before, after)))
    assert len(found) == bool(expected)
    assert all(problem.startswith("3:") and expected in problem for problem in found)


@pytest.mark.parametrize("selected_by", ["", "\n    selected_by: [zero_one_loss]"])
def test_the_best_epoch_is_not_the_one_with_the_largest_error(selected_by: str, recipe_file: Write) -> None:
    text = f"metrics: [sklearn.metrics.zero_one_loss, accuracy]\n{TINY}"
    (found,) = problems(recipe_file(text, ("clip_norm: 1.0", f"selection: best{selected_by}")))
    assert "the best epoch has the largest score, but zero_one_loss is an error" in found
    good = "selection: best\n    selected_by: [accuracy]"
    assert not problems(recipe_file(text, ("clip_norm: 1.0", good)))


def test_a_split_of_your_own_data_is_scored_by_naming_it_in_the_task(recipe_file: Write) -> None:
    (found,) = problems(recipe_file(f"{TEXTS}claims:\n{CLAIM}", ("text: t", "text: t, scored: validation")))
    advice = "name it in `scored` of the task to score it"
    assert found.endswith(f"the split 'test' is not scored by text_classification; scored: validation; {advice}")


def test_claims_on_a_task_of_your_own_are_checked_before_it_is_trained(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    Path("own_task.py").write_text("from zoo.tasks import digits\n\ndef own():\n    return digits()\n")
    path = recipe_file(
        f"{TINY}claims:\n{CLAIM}", ("task: digits", "task: own_task.own"), ("split: test", "split: tset")
    )
    assert not problems(path, "own_task")
    completed = zoo("train", path, "--trust", "own_task")
    assert completed.code == 2
    assert f"{path}:13:19: claims[0]: the split 'tset' is not scored" in completed.err


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("kind: multilabel, threshold: 0.3, threshold_from: validation", ""),
        ("kind: multilabel, threshold: 0.3, threshold_from: held_out", ""),
        ("kind: multilabel, threshold_from: validatoin", "threshold_from cannot be 'validatoin'; splits: train, "),
        ("header: {tset: [t, label]}", "header: there is no split 'tset'; the data have train, validation, test"),
    ],
)
def test_a_misspelled_split_in_the_task_is_reported_with_its_line(added: str, message: str, recipe_file: Write) -> None:
    holdout = "holdout: {of: train, share: 0.1, seed: 1, name: held_out}\n"
    loss = "BinaryCrossEntropy" if "multilabel" in added else "CrossEntropy"
    changes = (("text: t,", f"text: t, {added},"), ("loss: CrossEntropy", f"loss: {loss}"))
    found = problems(recipe_file(TEXTS + holdout, *changes))
    assert len(found) == bool(message)
    assert all(problem.startswith("2:") and message in problem and "did you mean" in problem for problem in found)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("{use: f1_of_class, label: 1}", ""),
        ("{use: f1_of_class, label: 2}", "1:30: metrics[0]: f1_of_class: label: it is the position of a class from 0"),
        ("{use: f1_of_class, label: -1}", "from 0 to 1, not -1"),
        ("{use: f1, average: samples}", "'samples' is for kind: multilabel"),
        ("{use: entity_f1, of_type: -1}", "it is the position of a type of entities, from 0, not -1"),
        ("{use: entity_f1, average: samples}", "it must be micro, macro or weighted, not 'samples'"),
    ],
)
def test_an_argument_of_a_metric_out_of_range_is_reported(metric: str, message: str, recipe_file: Write) -> None:
    found = problems(recipe_file(f"metrics: [{metric}]\n{TEXTS}"))
    assert len(found) == bool(message)
    assert all(message in problem for problem in found)
