"""The parts of an imported training by timm are those of timm itself: optimizers, images and augmentations."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from harness.training.parameters import matches
from tests.helpers.timm_options import image_folder, imported, options
from tests.helpers.vision_data import pixels
from zoo.errors import UsageError
from zoo.fetch.sources import Sources
from zoo.importers.check import check_imported
from zoo.importers.timm.model import undecayed_paths
from zoo.recipes.build import Builder
from zoo.recipes.build_task import task_without_tokenizer
from zoo.tasks.transforms import TimmAutoAugment

timm = pytest.importorskip("timm")
factory = pytest.importorskip("timm.data.transforms_factory")
optim = pytest.importorskip("timm.optim")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_mambaout"])
def test_exactly_the_parameters_without_weight_decay_of_timm_have_none(name: str) -> None:
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    model = timm.create_model(name, num_classes=3)
    groups = optim.create_optimizer_v2(model, opt="sgd", lr=0.1, weight_decay=0.1).param_groups
    undecayed = {id(parameter) for group in groups if not group["weight_decay"] for parameter in group["params"]}
    paths = [*undecayed_paths(model)]
    ours = {id(parameter) for key, parameter in model.named_parameters() if matches(key, paths)}
    assert undecayed == ours
    assert len(paths) <= 20


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw", "nadam", "radam", "radamw", "adamax", "adadelta",
                                  "adagrad", "rmsprop"])  # fmt: skip
def test_an_optimizer_has_the_settings_that_timm_gives_it(tmp_path: Path, name: str) -> None:
    recipe = check_imported(imported(tmp_path, opt=name, opt_eps=1e-7, opt_betas=[0.8, 0.9], weight_decay=0.1))
    weights = [torch.nn.Parameter(torch.zeros(2, 2))]
    model = torch.nn.Linear(2, 2, bias=False)
    theirs = optim.create_optimizer_v2(
        model, opt=name, lr=0.05, weight_decay=0.1, eps=1e-7, betas=[0.8, 0.9], momentum=0.9
    )
    ours = Builder().build(recipe.stages[0].optimizer, "optimizer", weights)
    assert type(ours) is type(theirs)
    kept = {key for key in theirs.param_groups[0] if key not in ("params", "foreach", "fused")}
    values = [{key: group[key] for key in kept} for group in (ours.param_groups[0], theirs.param_groups[0])]
    assert [[*map(str, pair.values())] for pair in values[:1]] == [
        [str(_as_list(v, values[0][k])) for k, v in values[1].items()]
    ]


def _as_list(value: Any, like: Any) -> Any:
    return type(like)(value) if isinstance(value, tuple | list) else value


@pytest.mark.parametrize(
    "changed",
    [{}, {"crop_pct": 1.0, "interpolation": "bilinear"}, {"model": "test_vit", "input_size": [3, 160, 160]},
     {"crop_mode": "squash", "input_size": [3, 32, 48]}, {"mean": [0.5], "std": [0.2], "reprob": 0.3}],
)  # fmt: skip
def test_images_to_score_are_read_as_timm_reads_them(tmp_path: Path, changed: dict[str, Any]) -> None:
    recipe = check_imported(imported(tmp_path, **changed))
    folder = image_folder(tmp_path / "pictures")
    task = task_without_tokenizer(recipe.task, None, Builder(sources=Sources(data={"pictures": folder})))
    ours = task.load("val").batch([0]).inputs[0]
    options_of_timm = {**yaml.safe_load(options(**changed))}
    data = timm.data.resolve_data_config(options_of_timm, pretrained_cfg=timm.get_pretrained_cfg(
        changed.get("model", "test_resnet")).to_dict())  # fmt: skip
    transform = factory.transforms_imagenet_eval(
        img_size=data["input_size"][1:], crop_pct=data["crop_pct"], crop_mode=data["crop_mode"],
        interpolation=data["interpolation"], mean=data["mean"], std=data["std"],
    )  # fmt: skip
    file = min((folder / "val" / "class0").glob("*.png"))
    torch.testing.assert_close(ours, transform(Image.open(file).convert("RGB")), atol=1e-5, rtol=0)


@pytest.mark.parametrize("policy", ["rand-m9-mstd0.5-inc1", "augmix-m5-w2-d1", "original", "3a"])
def test_automatic_augmentation_is_that_of_timm(policy: str) -> None:
    image = Image.fromarray(pixels(0, 32, 40, 3))
    mean = (0.3, 0.4, 0.5)
    _, theirs, _ = factory.transforms_imagenet_train(
        img_size=32, auto_augment=policy, interpolation="bilinear", mean=mean, color_jitter=None, separate=True
    )
    results = []
    for augment in (TimmAutoAugment(policy, 32, mean, "bilinear"), theirs):
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        results.append([np.asarray(augment(image)) for _ in range(8)])
    assert all(np.array_equal(ours, other) for ours, other in zip(*results, strict=True))
    assert any(not np.array_equal(ours, np.asarray(image)) for ours in results[0])


@pytest.mark.parametrize("policy", ["rand-zz9", "rand-m9-n100000", "random/../x", ""])
def test_an_unknown_policy_in_a_recipe_is_an_error(policy: str) -> None:
    with pytest.raises(UsageError, match="timm has no policy"):
        TimmAutoAugment(policy, 32)


def test_random_erasing_comes_after_the_normalization_as_in_timm(tmp_path: Path) -> None:
    recipe = check_imported(imported(tmp_path, reprob=1.0, remode="const", hflip=0.0, color_jitter=None))
    folder = image_folder(tmp_path / "pictures")
    task = task_without_tokenizer(recipe.task, None, Builder(sources=Sources(data={"pictures": folder})))
    torch.manual_seed(0)
    share = (task.load("train").batch([*range(6)]).inputs == 0).all(dim=1).float().mean(dim=(1, 2))
    assert ((share > 0.015) & (share < 0.35)).all()  # the share of the area that timm erases


def test_a_mean_outside_of_0_to_1_is_refused() -> None:
    with pytest.raises(UsageError, match="the mean of a channel is a number from 0 to 1"):
        TimmAutoAugment("rand-m9", 32, [1e308, 0.5, 0.5])
