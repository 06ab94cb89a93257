"""The 17 vision recipes compared with the recorded facts, number by number."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers.facts import METRICS, SIZES, assert_prior, facts, needs_facts
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.load_model import architecture

ENTRIES = catalogue.select(["cifar10", "cifar100", "ilsvrc2012", "coco2017", "pascal_voc2012"])
IDS = {
    "ilsvrc2012-resnet18_from_resnet34": "ilsvrc2012-resnet18-kr",
    "coco2017-lraspp_mobilenet_v3_large_from_deeplabv3_resnet50": "coco2017-lraspp_mobilenet_v3_large-ktaad",
}
AS_LOGGED = {
    "ilsvrc2012-resnet18_from_resnet34": [(3 * 64, 3 * 0.025)],
    "coco2017-lraspp_mobilenet_v3_large_from_deeplabv3_resnet50": [(3 * 16, 3 * 0.1), (3 * 8 * 2, 3 * 0.007)],
}
"""Rows per step and learning rate of each stage: three processes, at three times the configured learning rate."""

pytestmark = needs_facts


def details(entry: Entry) -> Any:
    """Return the official configuration of an entry."""
    name = entry.name.partition("-")[2]
    wanted = rf"/{entry.suite}/.*nlp-oss2023/(kr-|ktaad-)?{name}(-final_run)?\.yaml"
    (recorded,) = [detail for detail in facts("recipes.json")["details"] if re.search(wanted, detail["config"])]
    return recorded


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_recipe_trains_as_recorded(entry: Entry) -> None:
    fact, recipe = details(entry), entry.recipe
    assert len(recipe.stages) == len(fact["stages"])
    for number, (stage, recorded) in enumerate(zip(recipe.stages, fact["stages"], strict=True)):
        rows, rate = AS_LOGGED.get(entry.name, [(recorded["batch_size"], recorded["lr"])] * 2)[number]
        assert (stage.epochs, stage.batch_size) == (recorded["epochs"], rows)
        assert dict(stage.optimizer.args) == {
            "lr": pytest.approx(rate), "momentum": recorded["momentum"], "weight_decay": recorded["weight_decay"],
        }  # fmt: skip
        assert stage.optimizer.use == recorded["optimizer"] == "SGD"
        if recorded["scheduler"] == "MultiStepLR":
            assert stage.schedule is not None
            assert dict(stage.schedule.args) == recorded["scheduler_kwargs"]
            assert (stage.schedule.use.split(".")[-1], stage.schedule_per) == ("MultiStepLR", "epoch")
        elif recorded["scheduler"]:
            assert stage.schedule is not None
            assert (stage.schedule.use, stage.schedule.args["power"]) == ("poly", recorded["scheduler_kwargs"]["power"])
        else:
            assert stage.schedule is None
    last = recipe.stages[-1]
    assert (last.selection, last.selected_on) == ("best", recipe.claims[0].split)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_images_are_prepared_as_recorded(entry: Entry) -> None:
    recorded = details(entry)["augmentations"]
    args = entry.recipe.task.args
    for transforms in recorded.values():
        numbers = [re.findall(r"[\d.]+", part) for part in re.findall(r"\[(.*?)\]", transforms[-1])]
        assert [[float(number) for number in triple] for triple in numbers] == [args["mean"], args["std"]]
    train = " ".join(next(transforms for split, transforms in recorded.items() if split.endswith("train")))
    if entry.suite.startswith("cifar"):
        assert f"RandomCrop(size=32, padding={args['crop_padding']})" in train
        assert args["flip"] is ("RandomHorizontalFlip" in train)
    in_recipe = re.findall(r"\d+", " ".join(str(dict(call.args)) for call in args.get("train_transforms", [])))
    sizes = {"224"} if entry.suite == "ilsvrc2012" else set(re.findall(r"(?:size|_size)=(\d+)", train))
    assert entry.suite.startswith("cifar") or sizes <= set(in_recipe)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_claim_is_a_recorded_score_of_the_whole_split(entry: Entry) -> None:
    recorded: dict[str, list[float]] = {}
    for fact in facts("references.json"):
        if fact["id"] == IDS.get(entry.name, entry.name) and fact["kind"] == "published_weights":
            recorded.setdefault(METRICS.get(fact["metric"], fact["metric"]), []).append(fact["value"] / 100)
            assert entry.recipe.weights == fact["weight_url"]
    for claim in entry.recipe.claims:
        assert claim.value is not None
        step = 10.0**-claim.decimals / 2 if claim.decimals else 1e-9
        assert any(abs(value - claim.value) <= step + 1e-12 for value in recorded[claim.metric]), claim
        assert claim.n == SIZES[entry.suite]
    assert {claim.metric for claim in entry.recipe.claims if claim.of == "weights"} == recorded.keys()


@pytest.mark.parametrize("entry", ENTRIES[:13], ids=lambda entry: entry.name)
def test_a_model_of_cifar_has_the_published_shapes_and_its_classes(entry: Entry) -> None:
    recorded = facts("cifar_state_dicts.json")[entry.name.partition("-")[2]]["state_dict"]
    head = "classifier." if "densenet" in entry.name else "fc."
    classes = {"cifar10": 10, "cifar100": 100}[entry.suite]
    with torch.device("meta"):
        model: nn.Module = Builder().build(architecture(entry.recipe.model), "model")
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == {
        name: [classes, *shape[1:]] if name.startswith(head) else shape for name, shape in recorded.items()
    }


@pytest.mark.parametrize("entry", ENTRIES[:13], ids=lambda entry: entry.name)
def test_a_sigma_is_the_prior_of_its_family_or_the_sampling_error(entry: Entry) -> None:
    (claim,) = [claim for claim in entry.recipe.claims if claim.of == "retrain"]
    family = next(name for name in ("wide_resnet", "densenet", "resnet") if name in entry.name)
    assert_prior(claim, facts("sigma.json")[entry.suite][family])


def test_retraining_on_coco_is_judged_by_the_finer_score_in_the_log() -> None:
    """The log has 58.2301; the weights are judged by the published 58.2."""
    (entry,) = catalogue.select(["coco2017"])
    assert {claim.of: claim.value for claim in entry.recipe.claims if claim.metric == "mean_iou"} == {
        "weights": 0.582, "retrain": 0.582301,
    }  # fmt: skip
