"""`zoo import trainer`: cards of the Trainer of transformers as recipes, and everything of them that has no equal."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from transformers import TrainingArguments
from transformers.modelcard import TrainingSummary, extract_hyperparameters_from_trainer

from tests.helpers.card_models import SENTIMENTS, labels, result, text_data, text_model, texts
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.image_cards import CIFAR, cifar_data, vit_model
from tests.helpers.project import Zoo
from tests.helpers.tagged_words import predicted, sentences, tag_data, tagger
from tests.helpers.trainer_cards import NEW, OLD, trainer_card
from zoo.errors import RecipeError, ZooError
from zoo.fetch.sources import Sources
from zoo.importers.trainer.convert import import_card

REVIEWS = "someone/reviews"
TRAIN, ROWS = texts(20), texts(40, seed=1)


@pytest.fixture(scope="module")
def model() -> dict[str, bytes]:
    return text_model(SENTIMENTS)


@pytest.fixture(scope="module")
def hub(model: dict[str, bytes]) -> Iterator[LocalHub]:
    """A Hub with a base model and a data set."""
    splits = {"train": (TRAIN, [0, 1] * 10), "validation": (ROWS, labels(model, ROWS, right=33))}
    with LocalHub() as hub:
        hub.add("models", "someone/base", model)
        hub.add("datasets", REVIEWS, text_data(["text"], splits, SENTIMENTS))
        yield hub


@pytest.fixture
def run(hub: LocalHub, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def claim(value: float = 0.825) -> dict[str, Any]:
    return result(REVIEWS, ("accuracy", value), ("loss", 0.4), split="validation")


def test_a_card_of_the_hub_is_imported_trained_again_and_judged(
    hub: LocalHub, model: dict[str, bytes], run: Zoo, tmp_path: Path
) -> None:
    commit = hub.add("models", "someone/tuned", {**model, "README.md": trainer_card(NEW, claim())})
    done = run("import", "trainer", "someone/tuned", "--out", "again.yaml")
    assert done.code == 0, done.err
    text = (tmp_path / "again.yaml").read_text()
    for line in (
        f"weights: hub:someone/tuned@{commit}", "tokenizer: {use: published, of: hub:someone/base}",
        "model: {use: sequence_classifier, init: hub:someone/base, num_labels: 2}", "    batch_size: 16",
        "    optimizer: {use: AdamW, lr: 2e-05, betas: [0.9, 0.98], eps: 1e-06, weight_decay: 0.0}",
        "    clip_norm: 1.0",
        "    schedule: {use: transformers.get_linear_schedule_with_warmup, num_warmup_steps: 1}", "  - epochs: 2",
        "      loss: {loss: {use: CrossEntropy, label_smoothing: 0.1}}",
        "# - the card has no weight_decay 0.0 and no max_grad_norm 1.0, which are the Trainer's defaults",
    ):  # fmt: skip
        assert line in text, line
    assert "no-score" in text
    assert run("check", "again.yaml").code == 0
    assert run("verify", "again.yaml", "--device", "cpu").code == 0
    trained = run("train", "again.yaml", "--out", "run", "--device", "cpu")
    assert trained.code == 0, trained.err
    log = [json.loads(row) for row in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "losses" in row] == [1, 2, 3, 4]  # 20 rows in batches of 16, twice


def test_a_card_on_this_machine_is_read_with_the_settings_beside_it(
    model: dict[str, bytes], run: Zoo, tmp_path: Path
) -> None:
    folder = tmp_path / "out-2"
    folder.mkdir()
    (folder / "README.md").write_bytes(trainer_card(OLD, claim()))
    alone = run("import", "trainer", "out-2/README.md")
    assert alone.code == 2
    assert "out-2/README.md:1:1: config.json is not beside the card, and only it has the classes" in alone.err
    (folder / "config.json").write_bytes(model["config.json"])
    done = run("import", "trainer", "out-2/README.md", "--json")
    assert done.code == 0, done.err
    made = json.loads(done.out)
    recipe, (stage,) = made["recipe"], made["recipe"]["stages"]
    assert (recipe["name"], "weights" in recipe, stage["batch_size"], stage["schedule"]) == (
        "out-2",
        False,
        32,
        "cosine",
    )
    assert [each["of"] for each in recipe["claims"]] == ["retrain"]
    assert recipe["claims"][0] | {"source": ""} == {
        "of": "retrain", "split": "validation", "metric": "accuracy", "value": 0.825, "precision": "fp16",
        "decimals": 3, "source": "",
    }  # fmt: skip
    assert "'Adam' in a card of the Trainer is AdamW, the optimizer that it used" in made["assumptions"]
    assert any("train with --precision fp16" in note for note in made["differences"])


def test_a_card_of_glue_on_this_machine_needs_no_network(model: dict[str, bytes], zoo: Zoo, tmp_path: Path) -> None:
    claimed = result("glue", ("accuracy", 0.8603), ("f1", 0.9), name="GLUE MRPC", args="mrpc")
    warm = {**OLD, "lr_scheduler_type": "linear", "lr_scheduler_warmup_ratio": 0.1}
    (tmp_path / "README.md").write_bytes(trainer_card(warm, claimed, base="bert-base-uncased"))
    config = {**json.loads(model["config.json"]), "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = zoo("import", "trainer", "README.md", "--out", "mrpc.yaml")
    assert done.code == 0, done.err
    text = (tmp_path / "mrpc.yaml").read_text()
    assert "task: {use: glue, name: mrpc, data: hub:datasets/nyu-mll/glue, max_length: 64}" in text
    assert "init: hub:google-bert/bert-base-uncased" in text
    assert "num_warmup_steps: 35}" in text  # a tenth of 3 epochs of 115 steps, rounded up
    assert zoo("check", "mrpc.yaml").code == 0


def test_a_card_of_an_image_classifier_is_imported(hub: LocalHub, run: Zoo, tmp_path: Path) -> None:
    files = vit_model()
    hub.add("datasets", CIFAR, cifar_data())
    hub.add("models", "someone/vit-base", files)
    claimed = result("cifar10", ("accuracy", 0.5), split="test", task="image-classification")
    card = trainer_card(OLD, claimed, base="someone/vit-base")
    hub.add("models", "someone/vit", {**files, "README.md": card})
    done = run("import", "trainer", "someone/vit", "--out", "vit.yaml")
    assert done.code == 0, done.err
    text = (tmp_path / "vit.yaml").read_text()
    assert "model: {use: image_classifier, init: hub:someone/vit-base, num_labels: 10}" in text
    assert "preprocessing: {use: published, of: hub:someone/vit-base}" in text
    assert "the recipe does neither. Add train_transforms to its task" in " ".join(text.replace("#", "").split())
    assert run("check", "vit.yaml").code == 0


def test_a_card_of_a_token_classifier_is_imported_and_trained(hub: LocalHub, run: Zoo, tmp_path: Path) -> None:
    rows, files = sentences(12), tagger()
    tags = predicted(files, rows)
    hub.add("datasets", "someone/names", tag_data({"train": (rows, tags), "validation": (rows, tags)}))
    hub.add("models", "someone/tagger-base", files)
    claimed = result("someone/names", ("f1", 1.0), ("accuracy", 1.0), split="validation", task="token-classification")
    card = trainer_card({**OLD, "num_epochs": 1}, claimed, base="someone/tagger-base")
    hub.add("models", "someone/tagger", {**files, "README.md": card})
    done = run("import", "trainer", "someone/tagger", "--out", "tagger.yaml")
    assert done.code == 0, done.err
    text = (tmp_path / "tagger.yaml").read_text()
    assert "model: {use: token_classifier, init: hub:someone/tagger-base, num_labels: 5}" in text
    assert "metrics: [entity_f1, token_accuracy]" in text
    assert run("check", "tagger.yaml").code == 0
    trained = run("train", "tagger.yaml", "--out", "run", "--device", "cpu")
    assert trained.code == 0, trained.err


def test_all_obstacles_of_a_card_are_reported_with_their_lines(
    model: dict[str, bytes], run: Zoo, tmp_path: Path
) -> None:
    wrong = {**NEW, "optimizer": "Use adamw_bnb_8bit with betas=(0.9,0.999) and epsilon=1e-08", "num_epochs": 0.5,
             "lr_scheduler_type": "reduce_lr_on_plateau", "lora_rank": 8, "train_batch_size": "many"}  # fmt: skip
    (tmp_path / "config.json").write_bytes(model["config.json"])
    content = trainer_card(wrong, result(REVIEWS, ("bleu", 0.5), split="validation"))
    (tmp_path / "README.md").write_bytes(content)
    done = run("import", "trainer", "README.md")
    assert done.code == 2
    lines = content.decode().splitlines()
    texts_by_name = {
        "optimizer": "has no equal in torch; write `Use adamw_torch ",
        "num_epochs": "a recipe trains whole epochs, not 0.5",
        "lr_scheduler_type": "'reduce_lr_on_plateau' is not converted; write one of linear, ",
        "lora_rank": "unknown hyperparameter 'lora_rank'",
        "train_batch_size": "must be a number of at least 1, not 'many'",
    }  # fmt: skip
    for name, text in texts_by_name.items():
        number = next(number for number, line in enumerate(lines, 1) if line.startswith(f"- {name}:"))
        assert any(row.startswith(f"README.md:{number}:3: ") and text in row for row in done.lines), name
    assert any("bleu = 0.5: unknown-metric: " in row for row in done.lines)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "there is no list 'Training hyperparameters'"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"---\na: [\n---\n", "README.md:3"),
        (trainer_card(NEW, claim(), base=None), "the card names no base model"),
        (trainer_card(NEW, claim(), base="../../etc"), "is no model of the Hub, but perhaps a folder"),
        (trainer_card({**NEW, "\x1b[31mred": 1}), "the card has no scores in a model-index"),
    ],
)
def test_a_card_that_cannot_be_converted_says_why(
    model: dict[str, bytes], run: Zoo, tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "README.md").write_bytes(content)
    (tmp_path / "config.json").write_bytes(model["config.json"])
    done = run("import", "trainer", "README.md")
    assert (done.code, text in done.err) == (2, True), done.err
    assert "\x1b" not in done.err


def test_a_model_that_is_no_classifier_is_an_obstacle(model: dict[str, bytes], run: Zoo, tmp_path: Path) -> None:
    config = {**json.loads(model["config.json"]), "architectures": ["BertForMaskedLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "README.md").write_bytes(trainer_card(NEW, claim()))
    assert "config.json names BertForMaskedLM; zoo trains " in run("import", "trainer", "README.md").err


def test_a_target_that_is_no_card_and_no_repository_says_what_to_write(zoo: Zoo) -> None:
    assert "write a file such as README.md, or OWNER/NAME" in zoo("import", "trainer", "nothing").err
    assert zoo("import", "trainer", "missing.md").code == 4


@hypothesis_settings(max_examples=20)
@given(
    values=st.dictionaries(st.sampled_from([*NEW, *OLD, "other"]), st.text(max_size=12) | st.integers() | st.floats()),
    rest=st.text(max_size=30),
)
def test_any_text_in_a_card_ends_in_an_error_with_a_message(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any], rest: str
) -> None:
    file = tmp_path_factory.mktemp("any") / "README.md"
    file.write_bytes(trainer_card(values, base=None) + rest.encode(errors="replace"))
    with pytest.raises(ZooError) as error:
        import_card(str(file), Sources())
    assert isinstance(error.value, RecipeError)
    assert all(problem.mark.line >= 1 for problem in error.value.problems)


@pytest.mark.parametrize("scheduler", ["linear", "cosine", "constant_with_warmup"])
def test_a_card_that_transformers_writes_is_read_back(
    model: dict[str, bytes], zoo: Zoo, tmp_path: Path, scheduler: str
) -> None:
    arguments = TrainingArguments(
        output_dir=str(tmp_path), learning_rate=3e-5, per_device_train_batch_size=4, gradient_accumulation_steps=8,
        num_train_epochs=2, warmup_steps=20, lr_scheduler_type=scheduler, label_smoothing_factor=0.2, adam_beta2=0.95,
        use_cpu=True, report_to=[],
    )  # fmt: skip
    values = extract_hyperparameters_from_trainer(SimpleNamespace(args=arguments))
    summary = TrainingSummary(
        model_name="tuned", finetuned_from="google-bert/bert-base-uncased", tasks="text-classification",
        dataset="glue", dataset_tags="glue", dataset_args="mrpc", hyperparameters=values,
        eval_results={"Loss": 0.4, "Accuracy": 0.8603},
    )  # fmt: skip
    (tmp_path / "README.md").write_text(summary.to_model_card())
    config = {**json.loads(model["config.json"]), "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = zoo("import", "trainer", "README.md", "--json")
    assert done.code == 0, done.err
    recipe = json.loads(done.out)["recipe"]
    (stage,) = recipe["stages"]
    assert (stage["epochs"], stage["batch_size"], stage["clip_norm"]) == (2, 32, 1.0)
    assert stage["optimizer"] == {"use": "AdamW", "lr": 3e-5, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.0}
    assert stage["schedule"]["num_warmup_steps"] == 20
    assert stage["criterion"]["loss"]["loss"] == {"use": "CrossEntropy", "label_smoothing": 0.2}
    assert [(each["split"], each["metric"], each["value"]) for each in recipe["claims"]] == [
        ("validation", "accuracy", 0.8603)
    ]


def test_weight_decay_leaves_out_what_the_trainer_leaves_out(hub: LocalHub, model: dict[str, bytes], run: Zoo) -> None:
    card = trainer_card({**NEW, "weight_decay": "0.01"}, claim())
    hub.add("models", "someone/decayed", {**model, "README.md": card})
    done = run("import", "trainer", "someone/decayed", "--json")
    assert done.code == 0, done.err
    (stage,) = json.loads(done.out)["recipe"]["stages"]
    assert stage["optimizer"]["weight_decay"] == 0.01
    assert stage["groups"] == {path: {"weight_decay": 0.0} for path in ("*bias", "*LayerNorm.weight")}
