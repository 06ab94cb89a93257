"""The model families compared with the tensors of published checkpoints and with forwards written from the papers."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.facts import FACTS, facts
from tests.helpers.project import Write, Zoo
from zoo.models import cifar_densenet, cifar_resnet, wide_resnet

PUBLISHED: Mapping[str, tuple[Callable[[], nn.Module], int]] = {
    **{
        f"resnet{depth}": (lambda depth=depth: cifar_resnet(depth=depth), parameters)  # type: ignore[misc]
        for depth, parameters in ((20, 272_474), (32, 466_906), (44, 661_338), (56, 855_770), (110, 1_730_714))
    },
    "wide_resnet40_4": (lambda: wide_resnet(depth=40, widen_factor=4), 8_949_210),
    "wide_resnet28_10": (lambda: wide_resnet(depth=28, widen_factor=10), 36_479_194),
    "wide_resnet16_8": (lambda: wide_resnet(depth=16, widen_factor=8), 10_961_370),
    "densenet_bc_k12_depth100": (lambda: cifar_densenet(depth=100, growth_rate=12), 769_162),
}
State = Mapping[str, Tensor]
TINY_MODEL = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_model_has_the_published_tensors(name: str) -> None:
    make, parameters = PUBLISHED[name]
    with torch.device("meta"):
        model = make()
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    if FACTS.exists():
        recorded = facts("cifar_state_dicts.json")[name]
        assert {key: list(value.shape) for key, value in model.state_dict().items()} == recorded["state_dict"]
        assert recorded["parameters"] == parameters


def test_resnet_1202_has_as_many_layers_and_parameters_as_in_the_paper() -> None:
    """He et al., table 6: 19.4 million parameters, with the shortcuts of option A."""
    with torch.device("meta"):
        model = cifar_resnet(depth=1202, shortcut="padding")
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == 1202
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(19.4e6, abs=5e4)


def normalized(x: Tensor, state: State, name: str) -> Tensor:
    """BatchNorm with running statistics: Ioffe and Szegedy 2015, algorithm 2."""
    mean, variance, gamma, beta = (
        state[f"{name}.{part}"][None, :, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return gamma * (x - mean) / torch.sqrt(variance + 1e-5) + beta


def residual(x: Tensor, state: State) -> Tensor:
    """ResNet-20, He et al., section 4.2: three stages of three blocks; a block that halves the image has a shortcut."""
    x = normalized(F.conv2d(x, state["conv1.weight"], padding=1), state, "bn1").clamp(min=0)
    for stage in (1, 2, 3):
        for block in range(3):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            out = F.conv2d(x, state[f"{at}.conv1.weight"], stride=stride, padding=1)
            out = normalized(out, state, f"{at}.bn1").clamp(min=0)
            out = normalized(F.conv2d(out, state[f"{at}.conv2.weight"], padding=1), state, f"{at}.bn2")
            if f"{at}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{at}.downsample.0.weight"], stride=stride)
                x = normalized(x, state, f"{at}.downsample.1")
            elif stride == 2:  # option A: every second pixel, and zeros for the added channels
                sub = x[:, :, ::2, ::2]
                x = torch.zeros_like(out)
                first = (out.shape[1] - sub.shape[1]) // 2
                x[:, first : first + sub.shape[1]] = sub
            x = (out + x).clamp(min=0)
    return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


def wide(x: Tensor, state: State) -> Tensor:
    """WRN-16-2, Zagoruyko and Komodakis, figure 1(d): BN, ReLU, convolution, twice; the shortcut reads the input."""
    x = F.conv2d(x, state["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        for block in range(2):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            out = normalized(x, state, f"{at}.bn1").clamp(min=0)
            out = F.conv2d(out, state[f"{at}.conv1.weight"], stride=stride, padding=1)
            out = normalized(out, state, f"{at}.bn2").clamp(min=0)
            out = F.conv2d(out, state[f"{at}.conv2.weight"], padding=1)
            if f"{at}.shortcut.0.weight" in state:
                x = F.conv2d(x, state[f"{at}.shortcut.0.weight"], stride=stride)
            x = out + x
    return normalized(x, state, "bn1").clamp(min=0).mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


def dense(x: Tensor, state: State) -> Tensor:
    """DenseNet-BC of depth 22, Huang et al., section 3: layers read all earlier outputs; transitions halve channels."""
    x = F.conv2d(x, state["features.conv0.weight"], padding=1)
    for block in (1, 2, 3):
        if block > 1:
            at = f"features.transition{block - 1}"
            x = F.conv2d(normalized(x, state, f"{at}.norm").clamp(min=0), state[f"{at}.conv.weight"])
            x = F.avg_pool2d(x, 2)
        for layer in (1, 2, 3):
            at = f"features.denseblock{block}.denselayer{layer}"
            new = F.conv2d(normalized(x, state, f"{at}.norm1").clamp(min=0), state[f"{at}.conv1.weight"])
            new = F.conv2d(normalized(new, state, f"{at}.norm2").clamp(min=0), state[f"{at}.conv2.weight"], padding=1)
            x = torch.cat([x, new], 1)
    x = normalized(x, state, "features.norm5").clamp(min=0).mean((2, 3))
    return x @ state["classifier.weight"].T + state["classifier.bias"]


@pytest.mark.parametrize(
    ("model", "forward"),
    [
        (cifar_resnet(depth=20), residual),
        (cifar_resnet(depth=20, shortcut="padding"), residual),
        (wide_resnet(depth=16, widen_factor=2, dropout=0.3), wide),
        (cifar_densenet(depth=22, growth_rate=6), dense),
    ],
    ids=["resnet", "resnet, option A", "wide resnet", "densenet"],
)
def test_a_forward_computes_what_the_paper_describes(
    model: nn.Module, forward: Callable[[Tensor, State], Tensor]
) -> None:
    generator = torch.Generator().manual_seed(0)
    state = dict(model.state_dict())
    for name, value in state.items():
        if value.is_floating_point():  # variances must be positive
            drawn = torch.rand(value.shape, generator=generator, dtype=torch.float64)
            state[name] = drawn + 0.5 if "running_var" in name else drawn - 0.5
    model.double().load_state_dict(state)
    images = torch.randn(3, 3, 32, 32, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(model.eval()(images), forward(images, state), rtol=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        "{use: wide_resnet, depth: 18, widen_factor: 2}",
        "{use: cifar_densenet, depth: 101, growth_rate: 12}",
        "{use: cifar_resnet, depth: 20, shortcut: identity}",
        "{use: resnet19}",
    ],
)
def test_wrong_arguments_of_a_model_are_reported_in_one_line(call: str, zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo("check", recipe_file(recipe_file().read_text(), (TINY_MODEL, call)))
    assert (completed.code, len(completed.lines)) == (2, 1)


@pytest.mark.parametrize("name", ["resnet18", "torchvision.models.resnet18", "deeplabv3_resnet50"])
def test_a_recipe_names_a_model_of_torchvision(name: str, zoo: Zoo, recipe_file: Write) -> None:
    null = ", weights_backbone: null" if "deeplab" in name else ""
    path = recipe_file(recipe_file().read_text(), (TINY_MODEL, f"{{use: {name}, num_classes: 10{null}}}"))
    assert zoo("check", path).code == 0


def test_a_model_of_another_package_needs_trust(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    (tmp_path / "models_of_mine.py").write_text(
        "from torch import nn\n\ndef create_model(model_name, pretrained=False, num_classes=10):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    call = "{use: models_of_mine.create_model, model_name: tiny, num_classes: 10}"
    path = recipe_file(recipe_file().read_text(), (TINY_MODEL, call))
    assert "--trust models_of_mine allows them" in zoo("check", path).err
    completed = zoo("train", path, "--trust", "models_of_mine", "--out", "run")
    assert completed.code == 0, completed.err
