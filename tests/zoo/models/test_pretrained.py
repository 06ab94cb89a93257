"""Published weights in a model with another head, and what the errors suggest."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.errors import UsageError
from zoo.fetch.sources import Source, Sources
from zoo.models.pretrained import pretrained

RESNET14 = ROOT / "zoo" / "starter" / "digits-resnet14.safetensors"
TINY_MODEL = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
PUBLISHED = (
    "{use: pretrained, weights: embedded:digits-resnet14.safetensors,"
    " model: {use: cifar_resnet, depth: 14, width: 16, num_classes: 10, in_channels: 1}}"
)


def model_of(**layers: nn.Module) -> nn.Module:
    model = nn.Module()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def saved(model: nn.Module, path: Path) -> Source:
    save_file(model.state_dict(), path)
    return Source(Sources(), f"file:{path}")


@pytest.mark.slow
def test_the_part_that_the_error_names_is_drawn_by_the_seed_and_the_rest_is_published(
    zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    stage = "    trainable: [bn1]\n    clip_norm: 1.0\n"
    other_input = PUBLISHED.replace("in_channels: 1", "in_channels: 3")
    path = recipe_file(TINY, (TINY_MODEL, other_input), ("    clip_norm: 1.0\n", stage))
    refused = zoo("train", path)
    assert "conv1.weight is (16, 1, 3, 3), the model's is (16, 3, 3, 3)" in refused.err
    (advice,) = re.findall(r"`(ignore: .*)`", refused.err)
    assert advice == "ignore: [conv1]"
    text = path.read_text().replace("{use: pretrained,", f"{{use: pretrained, {advice},")
    text = text.replace("in_channels: 3", "in_channels: 1")
    for run, seed in (("first", 0), ("again", 0), ("other", 1)):
        completed = zoo("train", recipe_file(text), "--seed", seed, "--out", run)
        assert completed.code == 0, completed.err
    published = load_file(RESNET14)
    first, again, other = (load_file(tmp_path / run / "model.safetensors") for run in ("first", "again", "other"))
    assert torch.equal(first["fc.weight"], published["fc.weight"])
    assert torch.equal(first["conv1.weight"], again["conv1.weight"])
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(first["conv1.weight"], published["conv1.weight"])


def test_ignored_names_end_at_dots_and_everything_else_must_match(tmp_path: Path) -> None:
    published = model_of(fc=nn.Linear(2, 3), fc2=nn.Linear(2, 2), aux=nn.Linear(1, 1))
    weights = saved(published, tmp_path / "x.safetensors")
    model = model_of(fc=nn.Linear(2, 5), fc2=nn.Linear(2, 2))
    initial = model.fc.weight.detach().clone()
    loaded = pretrained(model=model, weights=weights, ignore=["fc", "aux"])
    assert torch.equal(loaded.fc.weight, initial)
    assert torch.equal(loaded.fc2.weight, published.fc2.weight)
    with pytest.raises(UsageError, match=r"unexpected aux\.bias; unexpected aux\.weight$"):
        pretrained(model=model, weights=weights, ignore=["fc"])
    with pytest.raises(UsageError, match="ignore: 'fc3' is in neither the model nor its weights; did you mean fc, fc2"):
        pretrained(model=model, weights=weights, ignore=["fc3"])
    with pytest.raises(UsageError, match="'ignore' leaves no weights to load"):
        pretrained(model=model, weights=weights, ignore=["fc", "fc2", "aux"])
    with pytest.raises(UsageError, match="the model has no module 'fc3'; did you mean"):
        pretrained(model=model, weights=weights, part="fc3")


def test_the_advice_names_whole_parts_quotes_numbers_and_keeps_quiet_about_another_model(tmp_path: Path) -> None:
    def head(outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2), nn.Linear(2, outputs))

    weights = saved(head(3), tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match=r'write `ignore: \["3"\]` beside'):
        pretrained(model=head(4), weights=weights)
    pretrained(model=head(4), weights=weights, ignore=["3"])
    with pytest.raises(UsageError) as refused:
        pretrained(model=nn.Sequential(nn.Linear(7, 2)), weights=weights)
    assert "ignore" not in str(refused.value)


def test_no_claim_of_weights_is_tested_with_a_random_head(zoo: Zoo, recipe_file: Write) -> None:
    claim = "claims:\n  - {of: weights, split: test, metric: accuracy, value: 0.9, decimals: 1, source: x}\n"
    model = PUBLISHED.replace("{use: pretrained,", "{use: pretrained, ignore: [fc],")
    refused = zoo("check", recipe_file(TINY + claim, (TINY_MODEL, model)))
    assert (refused.code, "tiny.yaml:3:26: pretrained: the parts that it ignores" in refused.err) == (2, True)
    of_its_own = recipe_file(TINY + claim, (TINY_MODEL, f"{model}\nweights: hub:me/finetuned"))
    assert zoo("check", of_its_own).code == 0
