"""The recipe beside uploaded weights names everything by its place in the repository."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.publishing.published_recipe import published_recipe
from harness.records.record import Record, read_record
from tests.helpers.project import ROOT
from zoo.errors import UsageError
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
    return read_record(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train.csv", "dev.csv", "vocab.txt", "base.pt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def recipe_of(folder: Path, text: str, stages: str = STAGES) -> Recipe:
    (folder / "recipe.yaml").write_text(text + stages)
    return load_recipe(folder / "recipe.yaml")


def test_every_score_of_the_kept_weights_is_a_claim(record: Record, folder: Path) -> None:
    published = published_recipe(record, recipe_of(folder, REVIEWS % "dev.csv"), [folder])
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


def test_a_claim_of_the_author_about_the_weights_stays_as_it_is(record: Record, folder: Path) -> None:
    claim = "claims: [{of: weights, split: validation, metric: f1, value: 0.91, source: my paper}]\n"
    published = published_recipe(record, recipe_of(folder, REVIEWS % "dev.csv", STAGES + claim), [folder])
    about_f1 = [claim for claim in yaml.safe_load(published.text)["claims"] if claim["metric"] == "f1"]
    assert [(claim["value"], claim["source"]) for claim in about_f1] == [(0.91, "my paper")]


def test_files_that_the_run_has_no_copy_of_are_data(record: Record, folder: Path) -> None:
    beside = replace(record, files={**record.files, "vocab.txt": "0" * 64})
    published = published_recipe(beside, recipe_of(folder, REVIEWS % "dev.csv"), [folder])
    assert published.data == {"train.csv": folder / "train.csv", "dev.csv": folder / "dev.csv"}


def test_a_file_outside_of_the_folder_of_the_recipe_gets_a_place_in_the_repository(
    record: Record, folder: Path
) -> None:
    published = published_recipe(record, recipe_of(folder, REVIEWS % (folder / "dev.csv")), [folder])
    assert yaml.safe_load(published.text)["task"]["data"]["validation"] == "file:data/dev.csv"
    assert published.data["data/dev.csv"] == folder / "dev.csv"
    assert str(folder) not in published.text


def test_two_files_of_one_name_are_an_error(record: Record, folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "train.csv").write_text("other")
    text = (REVIEWS % (folder / "other" / "train.csv")).replace("file:train.csv", f"file:{folder / 'train.csv'}")
    with pytest.raises(UsageError, match="have the same name"):
        published_recipe(record, recipe_of(folder, text), [folder])


def test_data_that_changed_since_the_training_are_refused(record: Record, folder: Path) -> None:
    files = {**record.identity.sources["files"], "file:dev.csv": "0" * 64}
    changed = replace(record, identity=replace(record.identity, sources={"files": files, "data": {}}))
    with pytest.raises(UsageError, match=r"dev\.csv has changed since the training"):
        published_recipe(changed, recipe_of(folder, REVIEWS % "dev.csv"), [folder])


def test_a_missing_file_is_an_error_with_the_folders_that_were_searched(record: Record, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"file:gone\.csv, which the recipe reads, is not in .*--recipe"):
        published_recipe(record, recipe_of(folder, REVIEWS % "gone.csv"), [folder])


@pytest.mark.parametrize(
    ("part", "need"),
    [
        ("teacher: {entry: teacher.yaml}", "teacher.yaml"),
        ("teacher: {model: {use: cifar_resnet, depth: 8}, weights: file:base.pt}", "file:base.pt"),
    ],
)
def test_a_training_that_others_cannot_repeat_is_left_out(record: Record, folder: Path, part: str, need: str) -> None:
    stages = STAGES.replace("criterion", f"{part}, criterion")
    published = published_recipe(record, recipe_of(folder, REVIEWS % "dev.csv", stages), [folder])
    assert published.training_needs == (need,)
    assert "stages" not in yaml.safe_load(published.text)


def test_the_file_that_a_model_starts_from_is_neither_named_by_its_path_nor_uploaded(
    record: Record, folder: Path
) -> None:
    text = (REVIEWS % "dev.csv").replace(
        "{use: bert", f"{{use: pretrained, weights: 'file:{folder}/base.pt', model: {{use: bert"
    )
    published = published_recipe(record, recipe_of(folder, text.replace("num_labels: 2}", "num_labels: 2}}")), [folder])
    assert published.training_needs == (f"file:{folder}/base.pt",)
    assert "base.pt" not in published.data
    assert str(folder) not in published.text


def test_the_folder_of_a_tokenizer_is_the_one_of_the_run(record: Record, folder: Path) -> None:
    (folder / "base").mkdir()
    text = (REVIEWS % "dev.csv").replace(
        '{use: wordpiece, vocab: "file:vocab.txt"}', '{use: published, of: "file:base"}'
    )
    content = yaml.safe_load(published_recipe(record, recipe_of(folder, text), [folder]).text)
    assert content["tokenizer"] == {"use": "published", "of": "hub:."}


def test_a_server_in_the_network_of_the_user_is_refused(record: Record, folder: Path) -> None:
    text = (REVIEWS % "dev.csv").replace('"file:vocab.txt"', '"https://127.0.0.1/vocab.txt"')
    with pytest.raises(UsageError, match=r"others could not read the recipe of this run.*not a public one"):
        published_recipe(record, recipe_of(folder, text), [folder])
