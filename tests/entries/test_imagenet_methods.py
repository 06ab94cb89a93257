"""The recipes of nine methods on ImageNet: loaded from an archive of the published form, evaluated and trained."""

import json
import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from torchvision.models import resnet18, resnet34

from harness.judging.types import Measurement
from harness.judging.verdict import judge
from harness.models.environment import accelerator_on
from harness.runs import experiment as experiments
from harness.runs.experiment import RunContext
from harness.runs.record_runs import evaluate_and_record, training_run
from harness.runs.teachers import TeacherResolver
from harness.training.train import train
from tests.helpers.device import device
from tests.helpers.operations import only_deterministic_operations
from tests.helpers.vision_data import SMALLER, image_folders, shrink
from zoo.fetch.checksum import sha256
from zoo.fetch.lock import FilePin, Lock, Pin
from zoo.fetch.mirror import Mirror
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry

METHODS = [entry for entry in catalogue.select(["ilsvrc2012-methods"]) if not entry.name.endswith("-kr")]
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
"""The terms of the criterion of every stage."""
EVERY_KIND = ("pad_l2", "sskd")
"""Run by default: a student that starts from published weights, and a training in two stages."""


def method_of(entry: Entry) -> str:
    return entry.name.rpartition("-")[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ImageNet of six images, and ResNets of six classes as torchvision and torchdistill publish them."""
    root = tmp_path_factory.mktemp("files")
    image_folders(root / "ilsvrc2012", classes=6, images=1)
    torch.manual_seed(0)
    for name, make in {"resnet18-f37072fd.pth": resnet18, "resnet34-b627a593.pth": resnet34}.items():
        torch.save(make(num_classes=6).state_dict(), root / name)
    torch.save({"model": resnet18(num_classes=6).state_dict(), "args": Namespace(lr=0.1)}, root / "student.pt")
    return root


def prepare(entry: Entry, files: Path, folder: Path) -> tuple[Entry, Sources]:
    """Return the entry with smaller data, and sources that find its archive in a mirror."""
    text = shrink(entry, *SMALLER, (r"epochs: \d+", "epochs: 1"), (r"batch_size: \d+", "batch_size: 3"))
    (folder / "mirror").mkdir()
    pins: dict[str, Pin] = {}
    for url in sorted(set(re.findall(r"https://\S+\.pth?\b", text))):
        address, _, member = url.partition("#")
        name = address.rpartition("/")[2]
        file = folder / "mirror" / name
        if member:
            with ZipFile(file, "a") as archive:
                archive.write(files / "student.pt", f"deeper/{member}")
        else:
            file.symlink_to(files / name)
        pins[address] = Pin(files={name: FilePin(sha256=sha256(file), size=file.stat().st_size)})
    recipe = folder / f"{entry.name}.yaml"
    recipe.write_text(text)
    lock = Lock(folder / "zoo.lock", pins, folder / "trusted.json")
    data = {"ilsvrc2012": files / "ilsvrc2012"}
    return catalogue.local(recipe), Sources(lock=lock, mirror=Mirror(folder / "mirror"), data=data)


def test_the_suite_has_nine_methods_and_repeats_knowledge_review() -> None:
    assert {method_of(entry) for entry in METHODS} == TERMS.keys()
    assert len(catalogue.select(["ilsvrc2012-methods"])) == len(METHODS) + 1 == 10
    paper, here = (catalogue.select_one(f"ilsvrc2012-resnet18_from_resnet34{end}").recipe for end in ("", "-kr"))
    assert replace(here, name=paper.name) == paper
    (before, after) = catalogue.select(["*34-ce_l2", "*34-pad_l2"])
    assert after.recipe.model.args["weights"] == before.recipe.weights


@pytest.mark.parametrize("name", ["ilsvrc2012-resnet18_from_resnet34-at", "ilsvrc2012-resnet18_from_resnet18-tfkd"])
def test_of_two_published_scores_that_differ_at_most_one_is_reproduced(name: str) -> None:
    claims = [
        claim
        for claim in catalogue.select_one(name).recipe.claims
        if (claim.of, claim.metric) == ("weights", "accuracy")
    ]
    assert ["README" in claim.source for claim in claims] == [True, False]
    for number, claim in enumerate(claims):
        assert claim.value is not None
        measured = Measurement(split="val", metric="accuracy", n=50_000, values=(claim.value,), one_prediction=2e-5)
        verdicts = [judge(claim, measured).verdict for claim in claims]
        assert (verdicts[number], verdicts[1 - number]) == ("reproduced", "not-reproduced")


def cases() -> list[Any]:
    return [
        pytest.param(entry, id=method_of(entry), marks=() if method_of(entry) in EVERY_KIND else pytest.mark.slow)
        for entry in METHODS
    ]


@pytest.mark.parametrize("entry", cases())
def test_a_method_is_loaded_from_its_archive_and_trained_for_two_steps_per_stage(
    entry: Entry, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    smaller, sources = prepare(entry, files, tmp_path)
    context = RunContext(builder=Builder(sources=sources), accelerator=accelerator_on(device()), runs=tmp_path / "runs")
    experiment = experiments.prepare(smaller, context)
    _, record = evaluate_and_record(experiment)
    digest = sha256(files / "student.pt")
    assert (record.weights, record.identity.sources["files"]) == (digest, {entry.recipe.weights: digest})
    assert set(record.results[0].metrics) == {"accuracy", "top5_accuracy"}
    (tmp_path / "work").mkdir()
    with only_deterministic_operations():
        train(training_run(experiment, TeacherResolver().resolve(experiment), 0, tmp_path / "work"))
    lines = [json.loads(line) for line in (tmp_path / "work" / "log.jsonl").read_text().splitlines()]
    steps = [line["losses"] for line in lines if "losses" in line]
    terms = TERMS[method_of(entry)]
    assert [losses.keys() - {"total"} for losses in steps] == [names for names in terms for _ in range(2)]
    assert all(np.isfinite(value) for losses in steps for value in losses.values())
