"""Which parameters learn: paths in `trainable` and `groups`, frozen modules, tied parameters."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.losses import CrossEntropy
from harness.training.objective import Objective, TermRoles
from tests.helpers.project import TINY, Write, Zoo
from zoo.fetch import weights_file
from zoo.models import cifar_resnet
from zoo.recipes.stage import STUDENT
from zoo.tasks.base import Batch


class Layers(nn.Module):
    """Two blocks whose names begin alike."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.layer10 = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer10(self.layer1(x))
        return out


def objective(model: nn.Module, **terms: nn.Module) -> Objective:
    terms = terms or {"ce": CrossEntropy()}
    return Objective({"student": model}, terms, {name: TermRoles("student", None, 1.0) for name in terms})


def batch(*shape: int) -> Batch:
    return Batch(inputs=torch.randn(*shape), labels=torch.arange(shape[0]) % 4, ids=torch.arange(shape[0]))


def test_freezing_layer1_leaves_layer10_trainable_and_frozen_batchnorm_keeps_its_statistics() -> None:
    """torchdistill compares names by `startswith`, so that freezing layer1 freezes layer10 too."""
    torch.manual_seed(0)
    model = Layers()
    trained = objective(model)
    trained.freeze({"student": ["layer10"]})
    trained.train()
    assert [module.training for module in model.layer1] == [False] * 3
    assert [module.training for module in model.layer10] == [True] * 3
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(trained.parameter_groups({})[0]["params"], lr=0.1)
    for _ in range(3):
        trained(batch(8, 4), {})["total"].backward()
        optimizer.step()
    del before["layer10.0.bias"]  # batch normalization subtracts it again: its gradient is rounding, or zero
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value) == name.startswith("layer1."), name
    assert all(parameter.grad is None for parameter in model.layer1.parameters())


def test_a_pattern_selects_single_parameters() -> None:
    model = Layers()
    trained = objective(model)
    trained.freeze({"student": ["*.0.bias"]})
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["layer1.0.bias", "layer10.0.bias"]


def test_a_stage_after_a_frozen_one_trains_all_parameters_again(zoo: Zoo, recipe_file: Write) -> None:
    stage = TINY[TINY.index("  - epochs") :]
    frozen = TINY.replace("    criterion:", "    trainable: [fc]\n    criterion:")
    assert zoo("train", recipe_file(frozen), "--out", "head").code == 0
    assert zoo("train", recipe_file(frozen + stage), "--out", "then").code == 0
    torch.manual_seed(0)
    start = cifar_resnet(depth=8, width=2, in_channels=1).state_dict()
    head, then = (load_file(Path(run, "model.safetensors")) for run in ("head", "then"))
    for name, value in start.items():
        assert torch.equal(head[name], value) == (not name.startswith("fc.")), name
        assert not torch.equal(then[name], value), name


def test_a_tied_parameter_is_trained_and_saved_if_any_of_its_names_is_trainable(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    model = Tied()
    objective = Objective({STUDENT: model}, {}, {})
    objective.freeze({STUDENT: ["b"]})
    assert model.b.weight.requires_grad
    assert model.b.bias.requires_grad
    assert not model.a.bias.requires_grad
    groups = objective.parameter_groups({"b": {"lr": 1}})
    assert [len(group["params"]) for group in groups] == [2]
    weights_file.save(model, tmp_path / "tied.safetensors")
    weights_file.load_into(Tied(), tmp_path / "tied.safetensors")
