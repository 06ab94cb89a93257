"""Models of every kind are trained, uploaded, checked and verified from the Hub, on a machine without their files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.judging.measure import read_predictions
from harness.records.record import read_record
from tests.helpers.glue_hub import TOKENIZER, WORDS, classifier, write_files
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo

pytestmark = [
    pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # inside huggingface_hub
]  # fmt: skip
STAGES = """\
stages:
  - {{epochs: 1, batch_size: 8, optimizer: {{use: AdamW, lr: 0.001}}, {more}criterion: {{x: {{loss: {loss}}}}}}}
"""
TEXTS = """\
name: texts
task: {{use: text_classification, data: {{train: "file:train.csv", validation: "file:dev.csv"}}, text: text, {more}}}
tokenizer: {tokenizer}
model: {model}
"""
SMALL = "layers: 1, hidden: 16, heads: 2, intermediate: 32, vocab_size: 25"
WORDPIECE = '{use: wordpiece, vocab: "file:vocab.txt"}'
IMAGES = """\
name: flowers
task: {{use: image_folder, data: "{data}", size: 32}}
model: {model}
"""
RESNET = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 2}"
OWN_CODE = (
    "from torch import nn\n\n\ndef build(classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, classes))\n"
)


def texts(*, more: str, labels: int = 2, loss: str = "CrossEntropy", stage: str = "", **parts: str) -> str:
    model = parts.get("model", f"{{use: bert_classifier, {SMALL}, num_labels: {labels}}}")
    task = TEXTS.format(more=more, tokenizer=parts.get("tokenizer", WORDPIECE), model=model)
    return task + STAGES.format(loss=loss, more=stage)


def images(data: str, model: str = RESNET, stage: str = "") -> str:
    return IMAGES.format(data=data, model=model) + STAGES.format(loss="CrossEntropy", more=stage)


TEACHER = f"teacher: {{model: {RESNET}, weights: 'file:teacher.pt'}}, "
BASE = "{use: sequence_classifier, init: 'file:base', num_labels: 2}"
RECIPES = {
    "classes": texts(more="classes: [neg, pos]"),
    "rows": texts(more="classes: [neg, pos]") + 'rows: {train: "0-39", validation: "10-49"}\n',
    "holdout": texts(more="classes: [neg, pos]") + "holdout: {of: train, name: held_out, share: 0.2, seed: 1}\n",
    "best epoch": texts(more="classes: [neg, pos]", stage="selection: best, "),
    "labels and thresholds": texts(
        more="label: labels, classes: [neg, pos], kind: multilabel, threshold_from: validation",
        loss="BinaryCrossEntropy",
    ),
    "a table of parquet": texts(more="classes: [neg, pos]").replace("file:dev.csv", "file:dev.parquet"),
    "files elsewhere": texts(more="classes: [neg, pos]").replace("file:dev.csv", "file:../dev.csv"),
    "numbers": texts(more="label: number, kind: regression", labels=1, loss="MSE"),
    "a published tokenizer": texts(
        more="classes: [neg, pos]", tokenizer="{use: published, of: 'file:base'}", model=BASE
    ),
    "images": images("file:flowers"),
    "images of the user": images("data:flowers"),
    "own code": images("file:flowers", "{use: uploaded_own_code.build, classes: 2}"),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of the author, with data of every kind."""
    folder = write_files(tmp_path / "project", {"vocab.txt": TOKENIZER["vocab.txt"]})
    for name in ("train", "dev"):
        rows = (
            f"the {WORDS[n % 20]} {WORDS[n % 7]} film,{('pos', 'neg')[n % 2]},{('pos|neg', 'neg')[n % 2]},{n % 20 / 10}"
            for n in range(60)
        )
        (folder / f"{name}.csv").write_text("text,label,labels,number\n" + "\n".join(rows) + "\n")
    pd.read_csv(folder / "dev.csv").to_parquet(folder / "dev.parquet")
    shutil.copy(folder / "dev.csv", tmp_path)
    for number in range(6):
        for split in ("train", "val"):
            for name, color in (("rose", (200, 0, 0)), ("tulip", (0, 0, 200))):
                path = folder / "flowers" / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 40), tuple(c + number for c in color)).save(path)
    write_files(folder / "base", {**classifier("base", 2, seed=1, style="now"), **TOKENIZER})
    return folder


def assert_same_outputs(trained: Path, verified: Path) -> None:
    """Compare labels and outputs of all rows: a small model may reach a score by luck."""
    runs = read_record(trained), read_record(verified)
    assert runs[0].weights == runs[1].weights
    kept = {result.split: result for result in runs[0].results if result.selection == runs[0].kept_epoch}
    assert kept.keys() == {result.split for result in runs[1].results}
    for result in runs[1].results:
        ours, theirs = read_predictions(trained, kept[result.split]), read_predictions(verified, result)
        assert ours.keys() == theirs.keys()
        for name, values in ours.items():
            np.testing.assert_allclose(theirs[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("options", [(), ("--precision", "bf16")], ids=["fp32", "bf16"])
@pytest.mark.parametrize("kind", RECIPES)
def test_an_uploaded_model_is_reproduced_by_somebody_else(
    zoo: Zoo,
    writable_hub: LocalHub,
    project: Path,
    kind: str,
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (project / "mine.yaml").write_text(RECIPES[kind])
    (project.parent / "uploaded_own_code.py").write_text(OWN_CODE)
    monkeypatch.syspath_prepend(project.parent)
    monkeypatch.chdir(project)
    needed = ["--data", "flowers=flowers"] if kind == "images of the user" else []
    needed += ["--trust", "uploaded_own_code"] if kind == "own code" else []
    trained = zoo("train", "mine.yaml", "--out", "run", *needed, *options)
    assert trained.code == 0, trained.err
    uploaded = zoo("upload", "run", "someone/model", "--with-data", "--recipe", "mine.yaml", "--json")
    assert uploaded.code == 0, uploaded.err
    verify = [word.replace("=PATH", f"={project}/flowers") for word in json.loads(uploaded.out)["verify"]]
    if kind != "images of the user":
        shutil.rmtree(project / "flowers")
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    trust = verify[verify.index("--trust") :][:2] if "--trust" in verify else []
    checked = zoo("check", "someone/model", *trust)
    assert checked.code == 0, checked.err
    verified = zoo(*verify[1:], "--json")
    assert verified.code == 0, verified.out + verified.err
    (entry,) = json.loads(verified.out)["entries"]
    assert entry["verdict"] == "reproduced"
    assert_same_outputs(project / "run" / "record.json", Path(entry["records"][0]))


def test_images_in_the_folder_of_the_recipe_are_uploaded_alone(
    zoo: Zoo, writable_hub: LocalHub, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`zoo init` writes `file:.` for a folder of classes, and everything else in that folder is private."""
    monkeypatch.chdir(project)
    shutil.copytree("flowers/train", "blossoms")
    assert zoo("init", "--data", "blossoms", "--model", "cifar_resnet", "--for", "train").code == 0
    assert zoo("train", "mine.yaml", "--out", "run").code == 0
    uploaded = zoo("upload", "run", "someone/model", "--with-data", "--recipe", "mine.yaml", "--json")
    assert uploaded.code == 0, uploaded.err
    data = {name for name in json.loads(uploaded.out)["files"] if name.startswith("data")}
    assert {name.split("/")[1] for name in data} == {"blossoms"}
    assert len(data) == 12
    verified = zoo("verify", "someone/model")
    assert verified.code == 0, verified.err


def test_an_uploaded_model_is_verified_without_a_network(
    zoo: Zoo, writable_hub: LocalHub, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "mine.yaml").write_text(RECIPES["classes"])
    assert zoo("train", "mine.yaml", "--out", "run").code == 0
    assert zoo("upload", "run", "someone/model", "--with-data").code == 0
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    filled = zoo("fetch", "someone/model", "--to", "filled")
    assert filled.code == 0, filled.err
    before = len(writable_hub.requests)
    verified = zoo("verify", "someone/model", "--cache", "filled")
    assert verified.code == 0, verified.err
    assert len(writable_hub.requests) == before
    assert zoo("lock", "--update", "someone/model").code == 0
    assert zoo("doctor", "someone/model").code == 0


def test_a_student_is_verified_without_its_teacher(
    zoo: Zoo, writable_hub: LocalHub, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "teacher.yaml").write_text(images("file:flowers").replace("flowers", "teacher", 1))
    assert zoo("train", "teacher.yaml", "--out", "teacher").code == 0
    shutil.copy(project / "teacher" / "model.safetensors", project / "teacher.pt")
    text = images("file:flowers", stage=TEACHER).replace(
        "loss: CrossEntropy", "loss: {use: KD, temperature: 2.0, alpha: 0.5}"
    )
    (project / "mine.yaml").write_text(text)
    trained = zoo("train", "mine.yaml", "--out", "run")
    assert trained.code == 0, trained.err
    uploaded = zoo("upload", "run", "someone/student", "--with-data", "--recipe", "mine.yaml")
    assert uploaded.code == 0, uploaded.err
    assert "zoo.yaml has no training, because others do not have file:teacher.pt" in uploaded.err
    assert zoo("verify", "someone/student").code == 0
