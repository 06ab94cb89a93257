"""The model card of a run: metadata that the Hub accepts, scores beside claims, and nothing that is unknown."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard import ModelCardData

from harness.records.record import read_record
from harness.runs.card_metadata import CardFacts, metadata
from harness.runs.loading_code import transform_steps
from harness.runs.model_card import model_card
from tests.helpers.project import ROOT, TINY, Write, Zoo
from tests.helpers.training import experiment_of

SOME_RUN = next((ROOT / "leaderboard" / "records" / "digits-resnet8").glob("retrain-seed0-*")) / "record.json"


@pytest.fixture
def facts(recipe_file: Write, tmp_path: Path) -> CardFacts:
    """A committed run as if it were of the tiny recipe."""
    task = experiment_of(recipe_file()).task
    return CardFacts(record=read_record(SOME_RUN), task=task, claims=(), folder=tmp_path, base_folders={})


def with_recipe(facts: CardFacts, **changes: Any) -> CardFacts:
    return replace(facts, record=replace(facts.record, recipe={**facts.recipe, **changes}))


def test_the_base_model_has_its_license_only_if_its_card_names_one(facts: CardFacts, tmp_path: Path) -> None:
    source = "hub:someone/base@v1"
    based = with_recipe(facts, model={"use": "sequence_classifier", "init": source}, tokenizer={"use": "published"})
    found = metadata(replace(based, base_folders={source: tmp_path}))
    assert (found.base_model, found.license, found.pipeline_tag) == ("someone/base", None, "text-classification")
    for text, license_id in (("license: apache-2.0", "apache-2.0"), ("license: [a", None), ("tags: [x]", None)):
        (tmp_path / "README.md").write_text(f"---\n{text}\n---\n# base\n")
        assert metadata(replace(based, base_folders={source: tmp_path})).license == license_id
    assert "license" not in metadata(facts).to_dict() and "base_model" not in metadata(facts).to_dict()


def test_a_task_of_a_user_has_no_pipeline_tag(facts: CardFacts) -> None:
    assert metadata(facts).pipeline_tag == "image-classification"
    found = ModelCardData(**metadata(with_recipe(facts, task={"use": "mine.some"})).to_dict())
    assert found.pipeline_tag is None
    assert [result.task_type for result in found.eval_results or []] == ["other"]


def test_the_card_of_a_failed_run_says_so_and_has_no_scores(facts: CardFacts) -> None:
    undefined = {"accuracy": {"value": None, "one_prediction": None}}
    results = tuple(replace(result, metrics=undefined) for result in facts.record.results)
    failed = replace(facts.record, results=results, failure="the loss is not finite at step 3")
    text = model_card(replace(facts, record=failed))
    assert "**The training failed: the loss is not finite at step 3. Its scores mean nothing.**" in text
    assert ModelCard(text).data.eval_results is None and "## Scores" not in text


def test_the_command_that_reproduces_a_run_names_its_data_and_trusted_code(facts: CardFacts) -> None:
    identity = replace(facts.record.identity, seed=2, sources={"files": {"code:mine.models": "0", "code:mine": "0"}})
    with_data = with_recipe(facts, task={"use": "image_folder", "data": "data:flowers"})
    text = model_card(replace(with_data, record=replace(with_data.record, identity=identity)))
    assert "zoo train recipe.yaml --seed 2 --data flowers=DIR --trust mine\n" in text


def test_texts_of_strangers_stay_text_in_a_card(facts: CardFacts) -> None:
    record = replace(facts.record, findings=("<b>[x](javascript:y)</b>",))
    text = model_card(replace(with_recipe(facts, name="a\n---\nlicense: mit"), record=record))
    odd = model_card(with_recipe(facts, name="a\n---\nlicense: mit"))
    assert "<b>" not in text and "\\[x\\]" in text
    assert ModelCard(odd).data.license is None


@pytest.mark.parametrize(
    ("call", "step"),
    [
        ({"use": "zoo.tasks.transforms.ShorterSide", "min_size": 520}, "v2.Resize(size=520)"),
        ({"use": "torchvision.transforms.v2.CenterCrop", "size": [8, 9]}, "v2.CenterCrop(size=[8, 9])"),
        ("RandomHorizontalFlip", "v2.RandomHorizontalFlip()"),
        ({"use": "mine.Crop", "size": 3}, None),
    ],
)
def test_transforms_become_calls_of_torchvision_or_no_code(call: Mapping[str, Any] | str, step: str | None) -> None:
    steps = transform_steps({"eval_transforms": [call], "mean": [0.5], "std": [0.5]})
    assert (steps or [None])[0] == step


def test_a_card_lists_scores_beside_claims_classes_and_settings(zoo: Zoo, recipe_file: Write) -> None:
    claim = "{of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.02, reference_runs: 10, source: here}"
    assert zoo("train", recipe_file(f"{TINY}claims: [{claim}]\n"), "--seed", 3, "--out", "run").code == 0
    text = Path("run/README.md").read_text()
    for line in (
        "| split   | metric   | epoch   | examples   | seed 3   | claimed                            |",
        "0.5000 ± 0.0200 (mean of 10 seeds)",
        "The outputs are, in this order: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.",
        "| optimizer  | `SGD(lr=0.1, momentum=0.9)`",
        "zoo train recipe.yaml --seed 3",
    ):
        assert line in text
    (score,) = ModelCard(text).data.eval_results or []
    assert (score.metric_type, score.dataset_type) == ("accuracy", "digits")
