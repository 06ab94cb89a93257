"""The folder of a training run: its files, its model card, and loading it without this project."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from torchvision.models import resnet34

from harness.models.outputs import run_model
from harness.models.rounding import rounding_tolerance, terms_of
from harness.runs.teachers import trained_weights
from tests.helpers.device import device
from tests.helpers.project import ROOT, Write, Zoo
from tests.helpers.training import RECIPES, experiment_of
from zoo.fetch import weights_file
from zoo.fetch.checksum import sha256
from zoo.recipes.build import Builder
from zoo.recipes.schema import load_recipe


def test_a_run_folder_holds_weights_log_predictions_recipe_and_record(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file()
    completed = zoo("train", path, "--out", "out", "--json")
    assert completed.code == 0
    assert sorted(file.name for file in Path("out").iterdir()) == [
        "README.md", "cifar_resnet.py", "curves.svg", "log.jsonl", "model.safetensors", "predictions-test.npz",
        "recipe.yaml", "record.json",
    ]  # fmt: skip
    steps = [json.loads(line) for line in Path("out/log.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == list(range(1, math.ceil(899 / 64) + 1))
    assert all(set(step["losses"]) == {"ce", "total"} for step in steps)
    assert steps[0]["rate"] < steps[3]["rate"] > steps[-1]["rate"] > 0
    record = json.loads(Path("out/record.json").read_text())
    assert record["weights"] == sha256(Path("out/model.safetensors"))
    assert record["recipe"]["name"] == "tiny"
    assert Path("out/recipe.yaml").read_bytes() == path.read_bytes()
    assert str(Path.cwd()) not in Path("out/record.json").read_text()


def without_this_project(code: str, folder: Path) -> str:
    """Run code in a process that cannot import this project, and return its output."""
    blocked = "import sys\nfor package in ('zoo', 'harness', 'leaderboard'):\n    sys.modules[package] = None\n"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", blocked + code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.process
def test_a_trained_text_model_loads_with_from_pretrained(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    text = (ROOT / "configs" / "starter" / "entail-bert-l2h32.yaml").read_text()
    text = text[: text.index("claims:")].replace("epochs: 6", "epochs: 1")
    completed = zoo(
        "train",
        recipe_file(text.replace("    batch_size: 64\n", "    batch_size: 64\n    split: test\n")),
        "--out",
        "run",
    )
    assert completed.code == 0, completed.err
    assert sorted(file.name for file in Path("run").iterdir()) == [
        "README.md", "config.json", "curves.svg", "log.jsonl", "model.safetensors", "predictions-test.npz",
        "recipe.yaml", "record.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    code = Path("run/README.md").read_text().split("```python\n")[1].split("```")[0]
    card = ModelCard.load("run/README.md").data
    assert (card.language, card.library_name, card.pipeline_tag) == ("en", "transformers", "text-classification")
    assert (card.license, card.base_model, card.metrics) == (None, None, ["accuracy"])
    (score,) = card.eval_results or []
    measured = json.loads(Path("run/record.json").read_text())["results"][0]["metrics"]["accuracy"]["value"]
    assert (score.dataset_type, score.dataset_split, score.metric_value) == ("entailment", "test", measured)
    printed = without_this_project(
        code + "inputs = tokenizer('Rose keeps the rose.', 'Rose keeps the plant.', return_tensors='pt')\n"
        "print(inputs['input_ids'].tolist(), model.config.id2label[0], model(**inputs).logits.tolist())",
        tmp_path / "run",
    )
    assert "entailment" in printed
    assert "[UNK]" not in printed
    logits = json.loads(printed.split("entailment ")[1])
    experiment = experiment_of(tmp_path / "tiny.yaml")
    model = experiment.model_with(trained_weights(tmp_path / "run", "run:tiny:0")).eval()
    ids = experiment.tokenizer("Rose keeps the rose.", "Rose keeps the plant.", return_tensors="pt")
    with torch.no_grad():
        expected = run_model(model, dict(ids)).logits
    allowed = rounding_tolerance(torch.float32, terms_of(model), float(expected.abs().max()))
    torch.testing.assert_close(torch.tensor(logits), expected, rtol=0, atol=allowed)


@pytest.mark.process
def test_a_trained_image_model_loads_without_this_project(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    snippet = Path("run/README.md").read_text().split("```python\n")[1].split("```")[0]
    printed = without_this_project(
        f"import torch\n{snippet}\nprint(model.eval()(torch.ones(1, 1, 8, 8)).tolist()[0])", tmp_path / "run"
    )
    model = Builder().build(load_recipe(tmp_path / "tiny.yaml").model, "model")
    weights_file.load_into(model, tmp_path / "run" / "model.safetensors")
    with torch.no_grad():
        expected = model.eval()(torch.ones(1, 1, 8, 8))[0]
    allowed = rounding_tolerance(torch.float32, terms_of(model), float(expected.abs().max()))
    assert json.loads(printed) == pytest.approx(expected.tolist(), abs=allowed)


@pytest.fixture
def imagenet(tmp_path: Path) -> Iterator[Path]:
    """ImageNet's layout: two classes of four noisy images each, and a ResNet-34's weights."""
    generator = torch.Generator().manual_seed(0)
    for split in ("train", "val"):
        for number, name in enumerate(("n01440764", "n01443537")):
            folder = tmp_path / "ilsvrc2012" / split / name
            folder.mkdir(parents=True)
            for image in range(4):
                pixels = torch.randint(0, 128, (3, 40, 48), generator=generator, dtype=torch.uint8) + 100 * number
                Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{image}.png")
    torch.save(resnet34(num_classes=2).state_dict(), tmp_path / "resnet34-b627a593.pth")
    return tmp_path


@pytest.mark.slow
@pytest.mark.process
def test_the_imagenet_recipe_runs_and_is_a_third_as_long_as_torchdistills(
    zoo: Zoo, recipe_file: Write, imagenet: Path
) -> None:
    """torchdistill's configs/sample/ilsvrc2012/kd/resnet18_from_resnet34.yaml has 149 lines."""
    text = (RECIPES / "ilsvrc2012-resnet18_from_resnet34.yaml").read_text()
    assert len(text.splitlines()) <= 45
    small = (
        ("https://download.pytorch.org/models", f"file:{imagenet}"),
        ("classes: 1000", "classes: 2"),
        ("size: 224", "size: 32"),
        ("epochs: 20", "epochs: 1"),
        ("batch_size: 32", "batch_size: 4"),
    )
    data = ("--data", f"ilsvrc2012={imagenet / 'ilsvrc2012'}")
    completed = zoo("train", recipe_file(text, *small), *data, "--out", "run", "--device", device())
    assert completed.code == 0, completed.err
    record = json.loads(Path("run/record.json").read_text())
    assert {split: data["rows"] for split, data in record["sources"]["data"].items()} == {"train": 8, "val": 8}
    snippet = Path("run/README.md").read_text().split("```python\n")[1].split("```")[0]
    assert "from torchvision.models import resnet18\n" in snippet
    without_this_project(snippet, Path("run"))
    missing = zoo("train", recipe_file(text, *small))
    assert (missing.code, len(missing.lines)) == (4, 1)
    assert "the data set 'ilsvrc2012' is not here: it is a folder that holds train/*/*, val/*/*" in missing.err
