"""The vision entries: each built, loaded from a checkpoint as it was published, evaluated, trained, judged; no network.

Data are tiny folders and a Hub on loopback; the checkpoints, at the URLs that the recipes name, come from a mirror.
"""

import hashlib
import json
import re
import shutil
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet18, resnet34
from torchvision.models.segmentation import deeplabv3_resnet50, deeplabv3_resnet101

from harness.judging.types import Measurement
from harness.judging.verdict import judge
from harness.models.environment import accelerator_on
from harness.records.record import read_record
from harness.runs.experiment import Experiment, RunContext
from harness.training.train import train
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Ended, Zoo
from tests.helpers.vision_data import cifar_files, coco_folder, image_folders, voc_folder
from zoo.fetch.checksum import sha256
from zoo.fetch.lock import FilePin, Lock, Pin
from zoo.fetch.mirror import Mirror
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.load_model import architecture

SUITES = ("cifar10", "cifar100", "ilsvrc2012", "coco2017", "pascal_voc2012")
ENTRIES = catalogue.select(list(SUITES))
FACTS = ROOT.parent / "shared" / "reference" / "cifar_state_dicts.json"
SMALLER = [  # the recipes on data that fit a test: fewer epochs and folders of classes, smaller images
    (r"epochs: \d+", "epochs: 2"),
    (r"milestones: \[[^]]*\]", "milestones: [1]"),
    (r"classes: 1000", "classes: 6"),
    (r"mid_channels: 512", "mid_channels: 16"),
    (r"size: 224", "size: 32"),
    (r"size: 256\}", "size: 36}"),
    (r"min_size: \d+", "min_size: 24"),
    (r"max_size: \d+", "max_size: 28"),
    (r"size: (480|513)\}", "size: 20}"),
]


def test_there_are_seventeen_named_as_their_release_assets() -> None:
    assert len(ENTRIES) == 17
    assert {entry.suite: len(catalogue.select([], [entry.suite])) for entry in ENTRIES} == {
        "cifar10": 9, "cifar100": 4, "ilsvrc2012": 1, "coco2017": 1, "pascal_voc2012": 2,
    }  # fmt: skip
    for entry in ENTRIES:
        assert str(entry.recipe.weights).endswith(f"/{entry.name}.pt")
        assert 25 <= len(entry.path.read_text().splitlines()) <= 61


def test_all_are_checked(zoo: Zoo) -> None:
    ended = zoo("check", *(word for suite in SUITES for word in ("--suite", suite)))
    assert (ended.code, len(ended.out.splitlines())) == (0, 17)


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


def published(entry: Entry) -> dict[str, Any]:
    """A checkpoint as torchdistill writes it, with random weights of the published names and shapes."""
    with torch.device("cpu"):
        torch.manual_seed(0)
        model: nn.Module = Builder().build(architecture(entry.recipe.model), "model")
    return {"model": model.state_dict(), "best_value": 1.0, "args": Namespace(config="x", lr=0.1), "optimizer": {}}


def shapes(state: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in state.items()}


def published_shapes(entry: Entry) -> dict[str, list[int]]:
    with torch.device("meta"):
        model: nn.Module = Builder().build(architecture(entry.recipe.model), "model")
    return shapes(model.state_dict())


def at_torchvision(name: str) -> nn.Module:
    """What torchvision publishes in a file of that name, an ImageNet of six classes."""
    if name.startswith("deeplabv3"):
        make = deeplabv3_resnet101 if "101" in name else deeplabv3_resnet50
        model: nn.Module = make(num_classes=21, aux_loss=True, weights_backbone=None)
        return model
    found: nn.Module = resnet34(num_classes=6) if name.startswith("resnet34") else mobilenet_v3_large()
    return found


@pytest.fixture(autouse=True)
def _swept(tmp_path: Path) -> Iterator[None]:
    """All that these tests write is 4 GB."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture
def vision(zoo: Zoo, hub: LocalHub, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_DATA", str(data))
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "zoo.lock"))
    monkeypatch.setenv("ZOO_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror").mkdir()
    return zoo


def prepare(entry: Entry, tmp_path: Path) -> Path:
    """The entry's recipe, made smaller; its checkpoints in the mirror and locked."""
    text = entry.path.read_text(encoding="utf-8")
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    path = tmp_path / f"{entry.name}.yaml"
    path.write_text(text)
    sources: dict[str, Any] = {}
    urls = sorted(set(re.findall(r"https://\S+\.pth?\b", text)))
    for number, url in enumerate(urls):
        name = url.rpartition("/")[2]
        file = tmp_path / "mirror" / f"file {number}"
        theirs = "download.pytorch.org" in url
        torch.save(at_torchvision(name).state_dict() if theirs else published(catalogue.local(path)), file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        sources[url] = {"files": {name: {"sha256": digest}}}
    (tmp_path / "zoo.lock").write_text(json.dumps({"schema": 1, "sources": sources}))
    return path


def found(ended: Ended) -> dict[str, Any]:
    (entry,) = json.loads(ended.out)["entries"]
    assert entry["error"] is None, ended.err
    return entry  # type: ignore[no-any-return]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_evaluated_trained_two_steps_and_judged(entry: Entry, vision: Zoo, tmp_path: Path) -> None:
    path = prepare(entry, tmp_path)
    if FACTS.exists() and entry.suite.startswith("cifar"):
        fact = json.loads(FACTS.read_text())[entry.name.partition("-")[2]]["state_dict"]
        classes = {"cifar10": 10, "cifar100": 100}[entry.suite]
        last = "classifier" if "densenet" in entry.name else "fc"
        assert published_shapes(entry) == {
            name: [classes, *shape[1:]] if name.startswith(f"{last}.") else shape for name, shape in fact.items()
        }
    evaluated = found(vision("reproduce", path, "--json", "--device", "cpu"))
    record = read_record(Path(evaluated["records"][0]))
    assert record.weights == record.identity.sources["files"][entry.recipe.weights]
    assert set(record.results[0].metrics) == (
        {"mean_iou", "pixel_accuracy"} if "2012-deeplab" in entry.name or "coco" in entry.name
        else {"accuracy", "top5_accuracy"}
    )  # fmt: skip
    verdicts = {claim["of"]: claim["verdict"] for claim in evaluated["claims"]}
    assert verdicts == {"weights": "not-compared", "retrain": "not-run"}
    assert "examples, but claimed on" in json.dumps(evaluated)
    trained = found(vision("reproduce", path, "--train", "--seeds", "1", "--json", "--device", "cpu"))
    folder = Path(trained["records"][0]).parent
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [line["losses"] for line in lines if "losses" in line]
    assert len(steps) >= 2
    assert all(np.isfinite(value) for losses in steps for value in losses.values())
    results = read_record(folder / "record.json").results
    assert {result.selection for result in results} == {"best", "last"}
    card = (folder / "README.md").read_text()
    if not entry.suite.startswith("cifar"):
        of_torchvision = "torchvision.models" + ("" if "ilsvrc" in entry.name else ".segmentation")
        assert f"from {of_torchvision} import {entry.name.partition('-')[2].partition('_from_')[0]}" in card
        assert ("type: image-segmentation" in card) == ("ilsvrc" not in entry.name)
    if "coco" in entry.name:
        assert [set(losses) - {"total"} for losses in (steps[0], steps[-1])] == [{"translation"}, {"ce", "translation"}]
    if "ilsvrc" in entry.name:
        assert published_shapes(entry) == shapes(resnet18().state_dict())
        assert entry.path.read_text().count("classes: 1000") == 3  # the task's, the model's, its teacher's
        assert set(steps[0]) == {"ce", "review", "total"}


def test_data_that_everyone_must_get_are_missed_by_name_and_not_run_by_suite(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = catalogue.select(["ilsvrc2012"])
    (tmp_path / "mirror").mkdir()
    prepare(entry, tmp_path)
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "zoo.lock"))
    monkeypatch.setenv("ZOO_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.delenv("ZOO_DATA", raising=False)
    for words, code in (([entry.name], 4), (["--suite", "ilsvrc2012"], 3), (["ilsvrc2012"], 3)):
        ended = zoo("verify", *words, "--json")
        (one,) = json.loads(ended.out)["entries"]
        assert (ended.code, one["verdict"]) == (code, "not-run")
        assert "the data set 'ilsvrc2012' is not here: it is a folder that holds train/*/*, val/*/*" in one["error"]
    assert not list(tmp_path.rglob("record.json"))
    for words, code in ((["ilsvrc2012-resnet18_from_resnet34"], 4), (["--suite", "ilsvrc2012"], 3)):
        ended = zoo("fetch", *words)
        assert (ended.code, ended.out.count("https://github.com/")) == (code, 1), ended.err
        assert "the data set 'ilsvrc2012' is not here" in ended.err


def test_a_checkpoint_of_another_architecture_is_refused(vision: Zoo, tmp_path: Path) -> None:
    (entry,) = catalogue.select(["cifar10-resnet20"])
    path = prepare(entry, tmp_path)
    path.write_text(path.read_text().replace("depth: 20", "depth: 32"))
    ended = vision("reproduce", path)
    assert ended.code == 2
    assert ended.err.count("missing layer1.3.") == 3


def test_other_content_at_a_url_is_refused(vision: Zoo, tmp_path: Path, hub: LocalHub) -> None:
    hub.plain["cifar10-resnet20.pt"] = b"something else"
    (entry,) = catalogue.select(["cifar10-resnet20"])
    path = prepare(entry, tmp_path)
    url = f"{hub.url}/plain/cifar10-resnet20.pt"
    path.write_text(path.read_text().replace(str(entry.recipe.weights), url))
    lock = json.loads((tmp_path / "zoo.lock").read_text())
    lock["sources"] = {url: {"files": {"cifar10-resnet20.pt": {"sha256": "0" * 64}}}}
    (tmp_path / "zoo.lock").write_text(json.dumps(lock))
    ended = vision("reproduce", path)
    assert (ended.code, "not-run" in ended.out) == (5, True)
    assert f"expected sha256 {'0' * 64}" in ended.err


METHODS = [entry for entry in catalogue.select(["ilsvrc2012-methods"]) if not entry.name.endswith("-kr")]
FEWER = [
    *SMALLER,
    (r"classes: 1000", "classes: 6"),
    (r"epochs: \d+", "epochs: 1"),
    (r"batch_size: \d+", "batch_size: 3"),
]
TERMS = {
    "at": [{"ce", "attention"}],
    "ce_l2": [{"ce", "l2"}],
    "crd": [{"ce", "crd"}],
    "ft": [{"factor"}, {"ce", "factor"}],
    "kd": [{"kd"}],
    "pad_l2": [{"ce", "pad"}],
    "srd": [{"ce", "srd"}],
    "sskd": [{"self"}, {"self"}],
    "tfkd": [{"kd"}],
}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ImageNet of six images, and ResNets of six classes as torchvision and torchdistill publish them."""
    root = tmp_path_factory.mktemp("few")
    image_folders(root / "ilsvrc2012", classes=6, images=1)
    torch.manual_seed(0)
    for name, make in {"resnet18-f37072fd.pth": resnet18, "resnet34-b627a593.pth": resnet34}.items():
        torch.save(make(num_classes=6).state_dict(), root / name)
    torch.save({"model": resnet18(num_classes=6).state_dict(), "args": Namespace(lr=0.1)}, root / "student.pt")
    return root


def archived(entry: Entry, few: Path, tmp_path: Path) -> tuple[Entry, Sources]:
    """The entry, made smaller, and where its files are: a mirror that holds its archive."""
    text = entry.path.read_text(encoding="utf-8")
    for pattern, replacement in FEWER:
        text = re.sub(pattern, replacement, text)
    (tmp_path / "mirror").mkdir()
    pins: dict[str, Pin] = {}
    for url in sorted(set(re.findall(r"https://\S+\.pth?\b", text))):
        address, _, member = url.partition("#")
        name = address.rpartition("/")[2]
        file = tmp_path / "mirror" / name
        if member:
            with ZipFile(file, "a") as archive:
                archive.write(few / "student.pt", f"deeper/{member}")
        else:
            file.symlink_to(few / name)
        pins[address] = Pin(files={name: FilePin(sha256=sha256(file), size=file.stat().st_size)})
    path = tmp_path / f"{entry.name}.yaml"
    path.write_text(text)
    lock = Lock(tmp_path / "zoo.lock", pins, tmp_path / "trusted.json")
    data = {"ilsvrc2012": few / "ilsvrc2012"}
    return catalogue.local(path), Sources(lock=lock, mirror=Mirror(tmp_path / "mirror"), data=data)


def test_there_are_ten_methods_and_knowledge_review_is_an_entry_of_the_paper_too() -> None:
    assert {entry.name.rpartition("-")[2] for entry in METHODS} == TERMS.keys()
    assert len(catalogue.select(["ilsvrc2012-methods"])) == len(METHODS) + 1 == 10
    paper, here = (catalogue.one(f"ilsvrc2012-resnet18_from_resnet34{end}").recipe for end in ("", "-kr"))
    assert replace(here, name=paper.name) == paper
    (before, after) = catalogue.select(["*34-ce_l2", "*34-pad_l2"])
    assert after.recipe.model.args["weights"] == before.recipe.weights


@pytest.mark.parametrize("name", ["ilsvrc2012-resnet18_from_resnet34-at", "ilsvrc2012-resnet18_from_resnet18-tfkd"])
def test_where_readme_and_log_disagree_both_are_claimed_and_one_at_most_holds(name: str) -> None:
    claims = [
        claim for claim in catalogue.one(name).recipe.claims if (claim.of, claim.metric) == ("weights", "accuracy")
    ]
    assert ["README" in claim.source for claim in claims] == [True, False]
    for number, claim in enumerate(claims):
        assert claim.value is not None
        found = Measurement(split="val", metric="accuracy", n=50_000, values=(claim.value,), one_prediction=2e-5)
        verdicts = [judge(one, found).verdict for one in claims]
        assert (verdicts[number], verdicts[1 - number]) == ("reproduced", "not-reproduced")


@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name.rpartition("-")[2])
def test_a_method_is_loaded_from_its_archive_and_trained_two_steps_a_stage(
    entry: Entry, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    smaller, sources = archived(entry, few, tmp_path)
    study = Experiment(
        smaller, RunContext(builder=Builder(sources=sources), accelerator=accelerator_on("cpu"), runs=tmp_path / "runs")
    )
    _, record = study.weights()
    digest = sha256(few / "student.pt")
    assert (record.weights, record.identity.sources["files"]) == (digest, {entry.recipe.weights: digest})
    assert set(record.results[0].metrics) == {"accuracy", "top5_accuracy"}
    (tmp_path / "work").mkdir()
    train(study.run(0, tmp_path / "work"))
    lines = [json.loads(line) for line in (tmp_path / "work" / "log.jsonl").read_text().splitlines()]
    steps = [line["losses"] for line in lines if "losses" in line]
    terms = TERMS[entry.name.rpartition("-")[2]]
    assert [losses.keys() - {"total"} for losses in steps] == [names for names in terms for _ in range(2)]
    assert all(np.isfinite(value) for losses in steps for value in losses.values())
