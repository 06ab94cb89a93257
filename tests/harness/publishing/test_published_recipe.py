"""The recipe beside uploaded weights names everything by its place in the repository."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.judging.measured_claims import OF_WEIGHTS
from harness.publishing.local_data import Places
from harness.publishing.published_recipe import PublishedRecipe
from harness.publishing.published_recipe import published_recipe as published_at
from harness.records.record import Record, read_record
from tests.helpers.project import ROOT
from zoo.errors import UsageError
from zoo.fetch.source_types import LocalFile
from zoo.recipes.schema import Recipe, load_recipe

STAGES = (
    "stages: [{epochs: 1, batch_size: 8, optimizer: {use: AdamW, lr: 0.001}, criterion: {ce: {loss: CrossEntropy}}}]\n"
)
REVIEWS = """\
name: reviews
task: {use: text_classification, data: {train: "file:train.csv", validation: "file:%s"}, text: text, classes: [a, b]}
tokenizer: {use: wordpiece, vocab: "file:vocab.txt"}
model: {use: bert_classifier, layers: 1, hidden: 16, heads: 2, intermediate: 32, vocab_size: 70, num_labels: 2}
"""


@pytest.fixture(scope="module")
def record() -> Record:
    """A training with the scores of its last and its best epoch; the weights of the best one are kept."""
    (file,) = (ROOT / "leaderboard" / "records" / "minilm-l6-mrpc").glob("retrain-seed1000-*/record.json")
    run = read_record(file)
    return replace(run, files={**run.files, "vocab.txt": "0" * 64})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train.csv", "dev.csv", "vocab.txt", "base.pt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def published_recipe(record: Record, recipe: Recipe, folder: Path) -> PublishedRecipe:
    return published_at(record, recipe, Places(record=record, folders=(), stated=folder))


def recipe_of(folder: Path, text: str, stages: str = STAGES) -> Recipe:
    (folder / "recipe.yaml").write_text(text + stages)
    return load_recipe(folder / "recipe.yaml")


def test_every_score_of_the_kept_weights_is_a_claim(record: Record, folder: Path) -> None:
    published = published_recipe(record, recipe_of(folder, REVIEWS % "dev.csv"), folder)
    content = yaml.safe_load(published.text)
    kept = {
        (result.split, metric): round(score["value"], 7)
        for result in record.results
        if result.selection == record.kept_epoch
        for metric, score in result.metrics.items()
        if score["value"] is not None
    }
    assert {(c["split"], c["metric"]): c["value"] for c in content["claims"]} == kept
    assert {claim["of"] for claim in content["claims"]} == {"weights"}
    assert list(content) == ["name", "task", "tokenizer", "model", "weights", "stages", "claims"]
    assert content["weights"] == "hub:."


def test_only_claims_about_the_training_are_carried_over(record: Record, folder: Path) -> None:
    """A claim of a recipe about weights, or of a test server, is about other weights than these."""
    claims = """claims:
  - {of: weights, split: validation, metric: f1, value: 0.91, source: a paper}
  - {of: retrain, split: validation, metric: f1, value: 0.9, source: my first run}
  - {of: test-server, split: test, metric: f1, value: 0.88, source: a paper}
"""
    recipe = recipe_of(folder, REVIEWS % "dev.csv", STAGES + claims)
    content = yaml.safe_load(published_recipe(record, recipe, folder).text)
    assert {claim["source"] for claim in content["claims"]} == {OF_WEIGHTS, "my first run"}


def test_the_data_are_the_files_of_the_task(record: Record, folder: Path) -> None:
    published = published_recipe(record, recipe_of(folder, REVIEWS % "dev.csv"), folder)
    assert published.data == {name: LocalFile(name) for name in ("train.csv", "dev.csv")}


def test_a_file_outside_of_the_folder_of_the_recipe_gets_a_place_in_the_repository(
    record: Record, folder: Path
) -> None:
    for path in (folder / "dev.csv", "../dev.csv"):
        published = published_recipe(record, recipe_of(folder, REVIEWS % path), folder)
        assert yaml.safe_load(published.text)["task"]["data"]["validation"] == "file:data/dev.csv"
        assert published.data["data/dev.csv"] == LocalFile(str(path))
        assert str(folder) not in published.text


@pytest.mark.parametrize("other", ["/other/train.csv", "record.json.csv"])
def test_two_files_of_one_name_are_an_error(record: Record, folder: Path, other: str) -> None:
    text = (REVIEWS % other).replace("file:train.csv", "file:/some/train.csv")
    known = replace(record, files={**record.files, "record.json.csv": "0" * 64})
    with pytest.raises(UsageError, match="has the name of another file"):
        published_recipe(known, recipe_of(folder, text), folder)


def test_names_of_classes_take_the_place_of_their_file(record: Record, folder: Path) -> None:
    (folder / "classes.txt").write_text("bad\ngood\n")
    text = (REVIEWS % "dev.csv").replace("classes: [a, b]", 'classes: "file:classes.txt"')
    published = published_recipe(record, recipe_of(folder, text), folder)
    assert yaml.safe_load(published.text)["task"]["classes"] == ["bad", "good"]
    assert "classes.txt" not in published.data


def test_chosen_rows_and_the_precision_are_stated(record: Record, folder: Path) -> None:
    numerics = {**record.identity.numerics, "precision": "bf16"}
    half = replace(
        record, identity=replace(record.identity, numerics=numerics),
        recipe={**record.recipe, "rows": {"validation": "file:./ids.txt"}},
    )  # fmt: skip
    (folder / "ids.txt").write_text("0\n1\n")
    rows = 'rows: {train: "0-9, 20-29", validation: "file:./ids.txt"}\n'
    copied = replace(half, files={**half.files, "ids.txt": "0" * 64})
    for run, data in ((copied, {"train.csv", "dev.csv"}), (half, {"train.csv", "dev.csv", "ids.txt"})):
        published = published_recipe(run, recipe_of(folder, REVIEWS % "dev.csv" + rows), folder)
        content = yaml.safe_load(published.text)
        assert content["rows"] == {"train": "0-9, 20-29", "validation": "file:ids.txt"}
        assert {claim["precision"] for claim in content["claims"]} == {"bf16"}
        assert {claim["rows"] for claim in content["claims"]} == {"file:ids.txt"}
        assert published.data.keys() == data


def test_scores_that_no_claim_can_have_are_named(record: Record, folder: Path) -> None:
    result = record.results[-1]
    odd = replace(result, metrics={**result.metrics, "perplexity": {"value": 12.5, "one_prediction": None}})
    published = published_recipe(replace(record, results=(odd,)), recipe_of(folder, REVIEWS % "dev.csv"), folder)
    undefined = [f"{name} on validation" for name, score in result.metrics.items() if score["value"] is None]
    assert published.left_out == (*undefined, "perplexity on validation")
    assert "perplexity" not in published.text


def test_a_chosen_threshold_is_named_by_its_split(record: Record, folder: Path) -> None:
    result = replace(record.results[-1], scoring={"threshold": 0.3, "threshold_from": "validation"})
    published = published_recipe(replace(record, results=(result,)), recipe_of(folder, REVIEWS % "dev.csv"), folder)
    assert {claim["threshold_from"] for claim in yaml.safe_load(published.text)["claims"]} == {"validation"}
    assert "threshold:" not in published.text


@pytest.mark.parametrize(
    ("part", "need"),
    [
        ("teacher: {entry: teacher.yaml}", "teacher.yaml"),
        ("teacher: {model: {use: cifar_resnet, depth: 8}, weights: file:base.pt}", "file:base.pt"),
    ],
)
def test_a_training_that_others_cannot_repeat_is_left_out(record: Record, folder: Path, part: str, need: str) -> None:
    stages = STAGES.replace("criterion", f"{part}, criterion")
    published = published_recipe(record, recipe_of(folder, REVIEWS % "dev.csv", stages), folder)
    assert published.training_needs == (need,)
    assert "stages" not in yaml.safe_load(published.text)


@pytest.mark.parametrize("weights", ["file:%s/base.pt", "file:C:\\\\models\\\\base.pt", "hub:."])
def test_weights_that_only_the_author_has_are_not_named_by_their_path(
    record: Record, folder: Path, weights: str
) -> None:
    """In the repository, `hub:.` would be the trained weights."""
    weights = weights.replace("%s", str(folder))
    model = f'model: {{use: pretrained, weights: "{weights}", model: {{use: bert'
    text = (REVIEWS % "dev.csv").replace("model: {use: bert", model).replace("num_labels: 2}", "num_labels: 2}}")
    published = published_recipe(record, recipe_of(folder, text), folder)
    assert len(published.training_needs) == 1
    content = yaml.safe_load(published.text)
    assert "stages" not in content
    assert content["model"]["weights"] in ("file:base.pt", "hub:.")


def test_the_folder_of_a_tokenizer_is_the_exported_one(record: Record, folder: Path) -> None:
    tokenizer = '{use: published, of: "file:base"}'
    recipe = recipe_of(folder, (REVIEWS % "dev.csv").replace('{use: wordpiece, vocab: "file:vocab.txt"}', tokenizer))
    exported = replace(record, files={**record.files, "tokenizer.json": "0" * 64})
    content = yaml.safe_load(published_recipe(exported, recipe, folder).text)
    assert content["tokenizer"] == {"use": "published", "of": "hub:."}
    bare = replace(record, files={})  # a model that is not one of transformers exports none
    with pytest.raises(UsageError, match="others need file:base for the tokenizer"):
        published_recipe(bare, recipe, folder)


def test_a_vocabulary_that_the_run_has_a_copy_of_keeps_its_name(record: Record, folder: Path) -> None:
    published = published_recipe(record, recipe_of(folder, REVIEWS % "dev.csv"), folder)
    assert yaml.safe_load(published.text)["tokenizer"] == {"use": "wordpiece", "vocab": "file:vocab.txt"}


def test_a_server_in_the_network_of_the_user_is_refused(record: Record, folder: Path) -> None:
    text = (REVIEWS % "dev.csv").replace('"file:vocab.txt"', '"https://127.0.0.1/vocab.txt"')
    with pytest.raises(UsageError, match=r"others could not read the recipe of this run.*not a public one"):
        published_recipe(record, recipe_of(folder, text), folder)
