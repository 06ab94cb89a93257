"""The model card of a run: metadata that the Hub accepts, scores beside claims, and nothing that is unknown."""

import json
import runpy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.repocard import ModelCardData
from PIL import Image
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from transformers import BertForQuestionAnswering, BertTokenizer, PreTrainedConfig

from harness.models.outputs import run_model
from harness.publishing.scores import data_set_of
from harness.records.record import read_record
from harness.runs.card_metadata import CardFacts, metadata
from harness.runs.export import export
from harness.runs.loading_code import SHORTER_SIDE, loading_code, transform_steps
from harness.runs.model_card import model_card
from harness.runs.needed_files import NeededFiles
from tests.helpers.glue_hub import write_files
from tests.helpers.project import ROOT, TINY, Write, Zoo
from tests.helpers.question_cards import question_model
from tests.helpers.squad_reference import made_questions
from tests.helpers.training import experiment_of
from zoo.fetch import weights_file
from zoo.fetch.sources import Source, Sources
from zoo.tasks import voc_segmentation
from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.answer_scores import COLUMNS
from zoo.tasks.base import Task
from zoo.tasks.images import with_normalization
from zoo.tasks.question_features import QuestionSplit
from zoo.tasks.transforms import ShorterSide

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
    unknown = "The license of `someone/base`, which the training started from, is not known here."
    assert unknown in model_card(based)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert "## License" not in model_card(facts) + model_card(replace(based, base_folders={source: tmp_path}))


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
    needed = NeededFiles(data=("flowers",), missing={"../rows.csv": ""})
    with_files = replace(facts, record=replace(facts.record, identity=identity), needed=needed)
    text = model_card(with_files)
    assert "zoo train recipe.yaml --seed 2 --data flowers=DIR --trust mine\n" in text
    assert "`DIR` is the folder of the data set." in text
    assert "- `../rows.csv`\n- the code of the Python package `mine`, unless it is installed\n" in text
    assert "zoo train me/it@v1 --seed 2 " in model_card(replace(with_files, recipe_argument="me/it@v1"))


def test_the_card_says_which_rows_were_held_out_and_how_images_were_augmented(facts: CardFacts) -> None:
    def training(**changes: Any) -> str:
        return model_card(with_recipe(facts, **changes)).partition("## Training")[2]

    holdout = {"of": "train", "share": 0.1, "seed": 42, "name": "test"}
    text = training(holdout=holdout, task={"use": "cifar", "crop_padding": 4, "flip": True, "data": "data:c"})
    assert (
        "Hold-out: 10 % of the split `train` (898 rows, chosen at random with seed 42) are not in it during the"
        " training. They are scored as the split `test`." in text
    )
    assert (
        "in order: padding by 4 black pixels on each side and a random crop of the old size, a random horizontal"
        in text
    )
    call = {"use": "RandomResizedCrop", "size": 8}
    task = {"use": "x", "train_transforms": [call, "Flip"]}
    assert "in order: `RandomResizedCrop(size=8)`, `Flip`." in training(task=task)
    assert "are not augmented." in training(task={"use": "x", "train_transforms": []})
    folder = {"use": "image_folder", "data": "file:flowers", "size": 32, "train_transforms": None}
    defaults = "in order: `RandomResizedCrop(size=32)`, `RandomHorizontalFlip`."
    assert defaults in training(task=folder) and "v2.CenterCrop(size=32)" in model_card(
        with_recipe(facts, task={**folder, "eval_transforms": None})
    )
    assert "augmented" not in training() and "Hold-out" not in training()
    (result,) = metadata(with_recipe(facts, holdout=holdout)).eval_results or []
    rows = {"holdout": {"share": 0.1, "seed": 42, "name": "test"}}
    assert (result.dataset_split, result.dataset_args) == ("train", rows)


@pytest.mark.parametrize(
    ("data", "name", "identifier"),
    [
        ("hub:datasets/uoft-cs/cifar10@v1", "uoft-cs/cifar10", "uoft-cs/cifar10"),
        ("data:flowers", "flowers", "flowers"),
        ({"train": "file:a.csv", "test": "file:my/te st.csv"}, "te st.csv", "te-st.csv"),
        ("file:pictures/", "pictures", "pictures"),
        ("https://example.org/rows.csv", "rows.csv", "rows.csv"),
        ("file:.", "digits", "digits"),
        (None, "digits", "digits"),
    ],
)
def test_the_data_set_of_a_score_has_its_own_name(facts: CardFacts, data: Any, name: str, identifier: str) -> None:
    found = metadata(with_recipe(facts, task={"use": "digits", **({"data": data} if data else {})}))
    (result,) = ModelCardData(**found.to_dict()).eval_results or []
    assert (result.dataset_name, result.dataset_type, result.dataset_split) == (name, identifier, "test")
    recipe = {**facts.recipe, "task": {"use": "digits", **({"data": data} if data else {})}}
    published = data_set_of(replace(facts.record, recipe=recipe), "test")
    assert (published.name, published.type, published.split) == (name, identifier, "test")


def test_the_code_of_a_card_segments_an_image_as_zoo_does(
    facts: CardFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = {"use": "lraspp_mobilenet_v3_large", "num_classes": 21, "weights_backbone": None}
    normalization = {"mean": [0.5] * 3, "std": [0.2] * 3}
    task = voc_segmentation(
        data=Source(Sources(), "data:voc"), train_transforms=[], eval_transforms=[ShorterSide(40)], **normalization
    )
    model = lraspp_mobilenet_v3_large(num_classes=21, weights_backbone=None).eval()
    weights_file.save(model, tmp_path / "model.safetensors")
    recipe = {"use": "voc_segmentation", **normalization, "eval_transforms": [{"use": SHORTER_SIDE, "min_size": 40}]}
    segments = replace(with_recipe(facts, model=call, task=recipe), task=task)
    assert metadata(segments).pipeline_tag == "image-segmentation"
    code = loading_code(segments)
    line = code.splitlines()[-1].partition("; then ")[2]
    image = Image.effect_noise((60, 50), 90).convert("RGB")
    (tmp_path / "code.py").write_text(f"{code}\n{line}\n")
    logits = runpy.run_path(str(tmp_path / "code.py"), {"image": image})["logits"]
    inputs = with_normalization([ShorterSide(40)], **normalization)(image)
    torch.testing.assert_close(logits, run_model(model, inputs.unsqueeze(0)).logits, rtol=0, atol=0)
    model.config = PreTrainedConfig(num_labels=21, problem_type="regression")
    export(model, task, None, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["id2label"]["1"], config.get("problem_type")) == ("aeroplane", None)


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


@pytest.mark.parametrize("version_2", [False, True])
def test_the_code_of_a_card_answers_questions_as_zoo_does(
    version_2: bool,
    facts: CardFacts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(write_files(tmp_path / "model", question_model()))
    Path("tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 64}))
    questions = made_questions(6, seed=4, words=120)
    tokenizer = BertTokenizer(vocab="vocab.txt", do_lower_case=True)
    split = QuestionSplit(questions, tokenizer=tokenizer, max_length=32, stride=8)
    assert len(split) > 6, "some texts have several parts"
    readout = AnswerReadout(
        null_token=tokenizer.cls_token_id, n_best=32, max_answer_length=5, version_2=version_2, null_threshold=0.5
    )
    task = Task(
        name="questions", splits={"dev": lambda: split}, scored=("dev",), metrics=(), kind="structured",
        hub_type="question-answering", readout=readout,
    )  # fmt: skip
    task.load("dev")
    answers = replace(with_recipe(facts, tokenizer={"use": "published"}), task=task, folder=Path())
    code = loading_code(answers)
    model = BertForQuestionAnswering.from_pretrained(".").eval()
    with torch.no_grad():
        rows = [split.batch([row]) for row in range(len(split))]
        read = [readout.read(torch.stack([*model(**b.inputs).values()][:2], dim=-1), b) for b in rows]
    for row, question in zip(readout.arrays(torch.cat(read).numpy(), split)["answers"], questions, strict=True):
        values = dict(zip(COLUMNS, row, strict=True))
        example = 'question, text = "A question?", "The text that has its answer."'
        capsys.readouterr()
        exec(code.replace(example, f"question, text = {question.text!r}, {question.context!r}"), {})  # noqa: S102
        expected = question.context[int(values["start"]) : int(values["end"])] if values["start"] >= 0 else ""
        assert capsys.readouterr().out == f"{expected}\n"
    text = model_card(answers)
    assert "a part has 32 tokens with its question, and shares 8 with the next one" in text and "a pair" not in text
