"""The 17 vision recipes against the recorded facts; skipped where the facts are not beside the checkout."""

import re
from typing import Any

import pytest

from tests.helpers.facts import FACTS, METRICS, SIZES, facts
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry

ENTRIES = catalogue.select(["cifar10", "cifar100", "ilsvrc2012", "coco2017", "pascal_voc2012"])
IDS = {
    "ilsvrc2012-resnet18_from_resnet34": "ilsvrc2012-resnet18-kr",
    "coco2017-lraspp_mobilenet_v3_large_from_deeplabv3_resnet50": "coco2017-lraspp_mobilenet_v3_large-ktaad",
}
AS_LOGGED = {  # rows a step and rate of each stage: three processes, at three times the configured rate
    "ilsvrc2012-resnet18_from_resnet34": [(3 * 64, 3 * 0.025)],
    "coco2017-lraspp_mobilenet_v3_large_from_deeplabv3_resnet50": [(3 * 16, 3 * 0.1), (3 * 8 * 2, 3 * 0.007)],
}

pytestmark = pytest.mark.skipif(not FACTS.is_dir(), reason="the facts are not here")


def details(entry: Entry) -> Any:
    """The official configuration of an entry."""
    name = entry.name.partition("-")[2]
    wanted = rf"/{entry.suite}/.*nlp-oss2023/(kr-|ktaad-)?{name}(-final_run)?\.yaml"
    (found,) = [one for one in facts("recipes.json")["details"] if re.search(wanted, one["config"])]
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_recipe_trains_as_was_recorded(entry: Entry) -> None:
    fact, recipe = details(entry), entry.recipe
    assert len(recipe.stages) == len(fact["stages"])
    for number, (stage, told) in enumerate(zip(recipe.stages, fact["stages"], strict=True)):
        rows, rate = AS_LOGGED.get(entry.name, [(told["batch_size"], told["lr"])] * 2)[number]
        assert (stage.epochs, stage.batch_size) == (told["epochs"], rows)
        assert dict(stage.optimizer.args) == {
            "lr": pytest.approx(rate), "momentum": told["momentum"], "weight_decay": told["weight_decay"],
        }  # fmt: skip
        assert stage.optimizer.use == told["optimizer"] == "SGD"
        if told["scheduler"] == "MultiStepLR":
            assert stage.schedule is not None
            assert dict(stage.schedule.args) == told["scheduler_kwargs"]
            assert (stage.schedule.use.split(".")[-1], stage.schedule_per) == ("MultiStepLR", "epoch")
        elif told["scheduler"]:
            assert stage.schedule is not None
            assert (stage.schedule.use, stage.schedule.args["power"]) == ("poly", told["scheduler_kwargs"]["power"])
        else:
            assert stage.schedule is None
    last = recipe.stages[-1]
    assert (last.selection, last.selected_on) == ("best", recipe.claims[0].split)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_images_are_prepared_as_was_recorded(entry: Entry) -> None:
    told = details(entry)["augmentations"]
    args = entry.recipe.task.args
    for transforms in told.values():
        numbers = [re.findall(r"[\d.]+", part) for part in re.findall(r"\[(.*?)\]", transforms[-1])]
        assert [[float(one) for one in several] for several in numbers] == [args["mean"], args["std"]]
    train = " ".join(next(transforms for split, transforms in told.items() if split.endswith("train")))
    if entry.suite.startswith("cifar"):
        assert f"RandomCrop(size=32, padding={args['crop_padding']})" in train
        assert args["flip"] is ("RandomHorizontalFlip" in train)
    written = re.findall(r"\d+", " ".join(str(dict(call.args)) for call in args.get("train_transforms", [])))
    sizes = {"224"} if entry.suite == "ilsvrc2012" else set(re.findall(r"(?:size|_size)=(\d+)", train))
    assert entry.suite.startswith("cifar") or sizes <= set(written)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_claim_is_a_recorded_score_of_the_whole_split(entry: Entry) -> None:
    known: dict[str, list[float]] = {}
    for fact in facts("references.json"):
        if fact["id"] == IDS.get(entry.name, entry.name) and fact["kind"] == "published_weights":
            known.setdefault(METRICS.get(fact["metric"], fact["metric"]), []).append(fact["value"] / 100)
            assert entry.recipe.weights == fact["weight_url"]
    for claim in entry.recipe.claims:
        assert claim.value is not None
        step = 10.0**-claim.decimals / 2 if claim.decimals else 1e-9
        assert any(abs(value - claim.value) <= step + 1e-12 for value in known[claim.metric]), claim
        assert claim.n == SIZES[entry.suite]
    assert {claim.metric for claim in entry.recipe.claims if claim.of == "weights"} == known.keys()


@pytest.mark.parametrize("entry", ENTRIES[:13], ids=lambda entry: entry.name)
def test_a_sigma_is_the_prior_of_its_family(entry: Entry) -> None:
    (claim,) = [claim for claim in entry.recipe.claims if claim.of == "retrain"]
    family = next(name for name in ("wide_resnet", "densenet", "resnet") if name in entry.name)
    assert claim.sigma == pytest.approx(facts("sigma.json")[entry.suite][family] / 100)


def test_a_second_score_is_told_where_it_is_finer() -> None:
    """COCO's log has 58.2301, by which a re-training is judged; its weights by the 58.2 that is published."""
    (entry,) = catalogue.select(["coco2017"])
    assert {claim.of: claim.value for claim in entry.recipe.claims if claim.metric == "mean_iou"} == {
        "weights": 0.582, "retrain": 0.582301,
    }  # fmt: skip
