"""The vision entries: loaded from a checkpoint of the published form, evaluated, trained and judged, without network.

The data are small folders and a local Hub. The checkpoints at the URLs of the recipes come from a mirror.
"""

import json
import re
import shutil
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_large, resnet18, resnet34

from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.operations import only_deterministic_operations
from tests.helpers.project import CompletedCommand, Zoo
from tests.helpers.vision_data import SMALLER, cifar_files, coco_folder, image_folders, shrink, voc_folder
from zoo.fetch.checksum import sha256
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.load_model import architecture
from zoo.recipes.schema import Recipe

SUITES = ("cifar10", "cifar100", "ilsvrc2012", "coco2017", "pascal_voc2012")
ENTRIES = catalogue.select(list(SUITES))
EVERY_KIND = ("cifar10-resnet20", "ilsvrc2012-resnet18_from_resnet34")
LIGHTER = {
    "coco2017-lraspp_mobilenet_v3_large_from_deeplabv3_resnet50": [
        (
            r"use: deeplabv3_resnet50, num_classes: 21, aux_loss: true",
            "use: lraspp_mobilenet_v3_large, num_classes: 21",
        ),
        (r"teacher: classifier\.-1", "teacher: classifier.high_classifier"),
    ],
    "pascal_voc2012-deeplabv3_resnet50": [(r"use: deeplabv3_resnet50", "use: deeplabv3_mobilenet_v3_large")],
}
"""Run by default with a smaller model in place of DeepLabv3 with ResNet, whose files are several times as large."""


def test_the_17_entries_are_named_as_their_release_assets() -> None:
    assert len(ENTRIES) == 17
    assert {entry.suite: len(catalogue.select([], [entry.suite])) for entry in ENTRIES} == {
        "cifar10": 9, "cifar100": 4, "ilsvrc2012": 1, "coco2017": 1, "pascal_voc2012": 2,
    }  # fmt: skip
    for entry in ENTRIES:
        assert str(entry.recipe.weights).endswith(f"/{entry.name}.pt")
        assert 25 <= len(entry.path.read_text().splitlines()) <= 61


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.add("datasets", "uoft-cs/cifar10", cifar_files("plain_text", "label", 10, 1))
        server.add("datasets", "uoft-cs/cifar100", cifar_files("cifar100", "fine_label", 100, 1))
        yield server


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    image_folders(root / "ilsvrc2012", classes=6, images=1)
    voc_folder(root / "pascal_voc2012")
    coco_folder(root / "coco2017")
    return root


@pytest.fixture(autouse=True)
def _delete_files(tmp_path: Path) -> Iterator[None]:
    """All tests together write 4 GB."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture
def vision(zoo: Zoo, hub: LocalHub, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("ZOO_DATA", str(data))
    monkeypatch.setenv("ZOO_MIRROR", str(tmp_path / "mirror"))
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def published_state(recipe: Recipe) -> dict[str, Any]:
    """Return a checkpoint as torchdistill writes it, with random weights."""
    torch.manual_seed(0)
    model: nn.Module = Builder().build(architecture(recipe.model), "model")
    return {"model": model.state_dict(), "best_value": 1.0, "args": Namespace(config="x", lr=0.1), "optimizer": {}}


def torchvision_state(file: str, recipe: Recipe) -> dict[str, Any]:
    """Return the state dict that torchvision publishes under that name; ImageNet has six classes here."""
    if file.startswith("deeplabv3"):  # the weights of the teacher, or else those that the model starts from
        teacher = next(iter(recipe.stages[0].all_teachers.values()), None)
        call = teacher.model if teacher and teacher.model else architecture(recipe.model)
        model: nn.Module = Builder().build(call, "model")
    else:
        model = resnet34(num_classes=6) if file.startswith("resnet34") else mobilenet_v3_large()
    return model.state_dict()


def prepare(entry: Entry, folder: Path, *, lighter: bool = False) -> Path:
    """Write the entry's recipe with smaller data, the checkpoints that it reads in a mirror, and a lock of them."""
    text = shrink(entry, *SMALLER, *(LIGHTER[entry.name] if lighter else []))
    path = folder / f"{entry.name}.yaml"
    path.write_text(text)
    recipe = catalogue.local(path).recipe
    for number, url in enumerate(urls_in(path)):
        file = folder / "mirror" / str(number)
        file.parent.mkdir(exist_ok=True)
        from_torchvision = "download.pytorch.org" in url
        torch.save(
            torchvision_state(url.rpartition("/")[2], recipe) if from_torchvision else published_state(recipe), file
        )
    lock_mirror(folder, urls_in(path))
    return path


def urls_in(recipe: Path) -> list[str]:
    return sorted(set(re.findall(r"https://\S+\.pth?\b", recipe.read_text(encoding="utf-8"))))


def lock_mirror(folder: Path, urls: list[str]) -> None:
    """Write a lock that pins the files 0, 1, ... of the mirror as the content of the URLs."""
    digests = [sha256(folder / "mirror" / str(number)) for number in range(len(urls))]
    files = [{"files": {url.rpartition("/")[2]: {"sha256": digest}}} for url, digest in zip(urls, digests, strict=True)]
    lock = {"schema": 1, "sources": dict(zip(urls, files, strict=True))}
    (folder / "zoo.lock").write_text(json.dumps(lock))


def result(completed: CompletedCommand) -> dict[str, Any]:
    (entry,) = json.loads(completed.out)["entries"]
    assert entry["error"] is None, completed.err
    return entry  # type: ignore[no-any-return]


def cases() -> Iterator[Any]:
    for entry in ENTRIES:
        marks = () if entry.name in EVERY_KIND else pytest.mark.slow
        yield pytest.param(entry, False, id=entry.name, marks=marks)
        if entry.name in LIGHTER:
            yield pytest.param(entry, True, id=f"{entry.name}, lighter", marks=pytest.mark.slow)


@pytest.mark.parametrize(("entry", "lighter"), list(cases()))
def test_an_entry_is_evaluated_trained_for_two_epochs_and_judged(
    entry: Entry, lighter: bool, vision: Zoo, tmp_path: Path
) -> None:
    recipe = prepare(entry, tmp_path, lighter=lighter)
    is_segmentation = entry.suite in ("coco2017", "pascal_voc2012")

    evaluated = result(vision("reproduce", recipe, "--json", "--device", device()))
    record = read_record(Path(evaluated["records"][0]))
    assert record.weights == record.identity.sources["files"][entry.recipe.weights]
    metrics = {"mean_iou", "pixel_accuracy"} if is_segmentation else {"accuracy", "top5_accuracy"}
    assert set(record.results[0].metrics) == metrics
    verdicts = {claim["of"]: claim["verdict"] for claim in evaluated["claims"]}
    assert verdicts == {"weights": "not-compared", "retrain": "not-run"}
    assert "claimed on" in json.dumps(evaluated)

    with only_deterministic_operations():
        trained = result(vision("reproduce", recipe, "--train", "--seeds", "1", "--json", "--device", device()))
    folder = Path(trained["records"][0]).parent
    steps = losses_in(folder / "log.jsonl")
    assert len(steps) >= 2
    assert all(np.isfinite(value) for losses in steps for value in losses.values())
    results = read_record(folder / "record.json").results
    assert {result.selection for result in results} == {"best", "last"}
    check_terms(entry, steps)
    check_model_card(entry, recipe, (folder / "README.md").read_text())


def losses_in(log: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["losses"] for line in lines if "losses" in line]


def check_terms(entry: Entry, steps: list[dict[str, float]]) -> None:
    """Check the terms of the criteria of the distilled entries, stage by stage."""
    if entry.suite == "coco2017":
        assert [set(losses) - {"total"} for losses in (steps[0], steps[-1])] == [{"translation"}, {"ce", "translation"}]
    if entry.suite == "ilsvrc2012":
        assert set(steps[0]) == {"ce", "review", "total"}


def check_model_card(entry: Entry, recipe: Path, card: str) -> None:
    """Check the code in the model card that loads a trained model of torchvision."""
    if entry.suite.startswith("cifar"):
        return
    package = "torchvision.models" if entry.suite == "ilsvrc2012" else "torchvision.models.segmentation"
    name = architecture(catalogue.local(recipe).recipe.model).use
    assert name == entry.name.partition("-")[2].partition("_from_")[0] or "mobilenet" in name
    assert f"from {package} import {name}" in card
    assert ("type: image-segmentation" in card) == (entry.suite != "ilsvrc2012")


def test_the_imagenet_entry_has_1000_classes_everywhere() -> None:
    (entry,) = catalogue.select(["ilsvrc2012"])
    assert entry.path.read_text().count("classes: 1000") == 3  # of the task, the model and its teacher
    with torch.device("meta"):
        model: nn.Module = Builder().build(entry.recipe.model, "model")
        expected = {name: value.shape for name, value in resnet18().state_dict().items()}
    assert {name: value.shape for name, value in model.state_dict().items()} == expected


def test_an_entry_without_its_data_is_an_error_by_name_and_not_run_by_suite(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = catalogue.select(["ilsvrc2012"])
    urls = urls_in(entry.path)
    (tmp_path / "mirror").mkdir()
    for number in range(len(urls)):
        (tmp_path / "mirror" / str(number)).write_bytes(b"weights %d" % number)
    lock_mirror(tmp_path, urls)
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "zoo.lock"))
    monkeypatch.setenv("ZOO_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.delenv("ZOO_DATA", raising=False)
    for words, code in (([entry.name], 4), (["--suite", "ilsvrc2012"], 3), (["ilsvrc2012"], 3)):
        completed = zoo("verify", *words, "--json")
        (outcome,) = json.loads(completed.out)["entries"]
        assert (completed.code, outcome["verdict"]) == (code, "not-run")
        assert "'ilsvrc2012'" in outcome["error"]
        assert "holds train/*/*, val/*/*" in outcome["error"]
    assert not list(tmp_path.rglob("record.json"))
    for words, code in (([entry.name], 4), (["--suite", "ilsvrc2012"], 3)):
        completed = zoo("fetch", *words)
        assert (completed.code, completed.out.count("https://github.com/")) == (code, 1), completed.err
        assert "'ilsvrc2012'" in completed.err


def test_a_checkpoint_of_another_architecture_is_refused(vision: Zoo, tmp_path: Path) -> None:
    (entry,) = catalogue.select(["cifar10-resnet20"])
    recipe = prepare(entry, tmp_path)
    recipe.write_text(recipe.read_text().replace("depth: 20", "depth: 32"))
    completed = vision("reproduce", recipe)
    assert completed.code == 2
    assert completed.err.count("missing layer1.3.") == 3


def test_a_url_with_another_content_than_the_lock_is_refused(vision: Zoo, tmp_path: Path, hub: LocalHub) -> None:
    hub.plain["cifar10-resnet20.pt"] = b"something else"
    (entry,) = catalogue.select(["cifar10-resnet20"])
    recipe = prepare(entry, tmp_path)
    url = f"{hub.url}/plain/cifar10-resnet20.pt"
    recipe.write_text(recipe.read_text().replace(str(entry.recipe.weights), url))
    sources = {url: {"files": {"cifar10-resnet20.pt": {"sha256": "0" * 64}}}}
    (tmp_path / "zoo.lock").write_text(json.dumps({"schema": 1, "sources": sources}))
    completed = vision("reproduce", recipe)
    assert (completed.code, "not-run" in completed.out) == (5, True)
    assert f"expected sha256 {'0' * 64}" in completed.err
