"""State dicts from files: every common layout, and nothing that runs code."""

import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision import models
from torchvision.ops.misc import FrozenBatchNorm2d

from tests.helpers.project import ROOT, Write, Zoo
from zoo.errors import UsageError
from zoo.fetch import weights_file
from zoo.fetch.quantized_weights import without_warnings


def test_safetensors_are_recognised_by_their_content(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "under another name")
    assert torch.equal(weights_file.read(tmp_path / "under another name")["a"], torch.ones(2))
    torch.save({"a": torch.ones(2)}, tmp_path / "pickled.safetensors")
    assert torch.equal(weights_file.read(tmp_path / "pickled.safetensors")["a"], torch.ones(2))


STATE = {"layer.weight": torch.ones(2, 3), "layer.bias": torch.zeros(2)}
LAYOUTS = {
    "a state dict": STATE,
    "at model": {"model": STATE, "epoch": 3, "args": Namespace(lr=0.1, name="x"), "best_value": 91.9},
    "at state_dict": {"state_dict": STATE, "best_prec1": torch.tensor(91.8)},
    "of DataParallel": {f"module.{name}": value for name, value in STATE.items()},
    "of torch.compile": {f"_orig_mod.{name}": value for name, value in STATE.items()},
    "of a compiled part": {name.replace("layer.", "layer._orig_mod."): value for name, value in STATE.items()},
    "of DataParallel over torch.compile": {f"module._orig_mod.{name}": value for name, value in STATE.items()},
    "of torch.compile over DataParallel": {f"_orig_mod.module.{name}": value for name, value in STATE.items()},
    "of an averaged model": {"n_averaged": torch.tensor(3)} | {f"module.{name}": STATE[name] for name in STATE},
    "of both": {"state_dict": {f"module.{name}": value for name, value in STATE.items()}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_state_dict_is_found_in_every_common_layout(layout: str, tmp_path: Path) -> None:
    torch.save(LAYOUTS[layout], tmp_path / "x.pt")
    files = [tmp_path / "x.pt"]
    if all(isinstance(value, torch.Tensor) for value in LAYOUTS[layout].values()):
        files.append(tmp_path / "x.safetensors")
        save_file(LAYOUTS[layout], files[-1])
    for file in files:
        state = weights_file.read(file)
        assert state.keys() == STATE.keys()
        assert all(torch.equal(value, STATE[name]) for name, value in state.items())


class Wrapper(torch.nn.Module):
    """A model whose only part has the name that DataParallel gives to its model."""

    def __init__(self, part: str = "module") -> None:
        super().__init__()
        self.add_module(part, torch.nn.Linear(2, 1))


@pytest.mark.parametrize("part", ["module", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module.module.", "module._orig_mod."])
def test_names_are_changed_only_if_they_do_not_fit_the_model(part: str, prefix: str, tmp_path: Path) -> None:
    model, other = Wrapper(part), Wrapper(part)
    torch.save({f"{prefix}{name}": value for name, value in model.state_dict().items()}, tmp_path / "x.pt")
    weights_file.load_into(other, tmp_path / "x.pt")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_tensor_with_the_name_of_a_checkpoints_part_is_a_tensor(tmp_path: Path) -> None:
    torch.save({"model": torch.ones(1), "state_dict": torch.ones(1)}, tmp_path / "x.pt")
    assert list(weights_file.read(tmp_path / "x.pt")) == ["model", "state_dict"]


@pytest.mark.parametrize("other", ["a.weight", "_orig_mod.a.weight"])
def test_two_tensors_are_never_read_as_one(other: str, tmp_path: Path) -> None:
    save_file({"a._orig_mod.weight": torch.ones(1), other: torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match=r"'a\._orig_mod\.weight'.* would both be 'a\.weight'"):
        weights_file.read(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({1: torch.ones(1)}, "not a state dict of tensors"),
        ({"a": torch.ones(2, device="meta")}, "the tensor 'a' is without values"),
        pytest.param(
            {"a": torch.eye(2).to_sparse()},
            "the tensor 'a' is sparse",
            marks=pytest.mark.filterwarnings("ignore"),
        ),
    ],
)
def test_tensors_that_no_model_loads_are_refused_by_name(
    state: dict[object, torch.Tensor], message: str, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(UsageError, match=message):
        weights_file.read(tmp_path / "x.pt")


class Command:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("executed"),)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "value", [Command(), {"args": Command(), "model": STATE}, Namespace(run=Command()), 7, {"a": 1}]
)
def test_a_pickle_of_anything_else_is_refused_and_not_executed(
    value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(UsageError):
        weights_file.read(tmp_path / "x.pt")
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_architecture_are_refused_with_three_tensors(zoo: Zoo, tmp_path: Path) -> None:
    torch.save({"model": {f"features.{i}.weight": torch.ones(1) for i in range(9)}}, tmp_path / "x.pt")
    completed = zoo("evaluate", tmp_path / "x.pt", "--as", "digits-resnet8")
    assert completed.code == 2
    assert (
        "x.pt: the weights do not fit the model: missing conv1.weight; missing bn1.weight; missing bn1.bias (and"
        in (completed.err)
    )


def test_names_with_a_shared_prefix_and_complex_numbers_are_refused_with_their_cause(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 1))
    for state, message in (
        ({f"net.{name}": value for name, value in model.state_dict().items()}, "without 'net.' at their start"),
        ({"0.weight": torch.ones(1, 2, dtype=torch.complex64), "0.bias": torch.ones(1)}, "0.weight is complex"),
    ):
        torch.save(state, tmp_path / "x.pt")
        with pytest.raises(UsageError, match=message):
            weights_file.load_into(model, tmp_path / "x.pt")


def test_safetensors_that_were_cut_off_are_not_taken_for_a_pickle(tmp_path: Path) -> None:
    save_file({"a": torch.ones(100)}, tmp_path / "x.safetensors")
    for size in (20, 100):
        (tmp_path / "y.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:size])
        with pytest.raises(UsageError, match="these weights cannot be read"):
            weights_file.read(tmp_path / "y.safetensors")


def test_weights_may_lack_the_counter_of_batch_norm(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    old = {name: value + 1 for name, value in model.state_dict().items() if "num_batches" not in name}
    torch.save(old, tmp_path / "x.pt")
    weights_file.load_into(model, tmp_path / "x.pt")
    assert torch.equal(model.state_dict()["0.weight"], torch.full((2,), 2.0))


def test_a_frozen_batch_norm_drops_the_counter(tmp_path: Path) -> None:
    state = torch.nn.Sequential(torch.nn.BatchNorm2d(2)).state_dict()
    torch.save({name: value + 1 for name, value in state.items()}, tmp_path / "x.pt")
    model = torch.nn.Sequential(FrozenBatchNorm2d(2))
    weights_file.load_into(model, tmp_path / "x.pt")
    assert torch.equal(model.state_dict()["0.running_var"], torch.full((2,), 2.0))


def test_a_part_of_a_model_starts_from_a_part_of_a_checkpoint(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    """The starter's ResNet-14 gives its first stage to a deeper one; training continues from these weights."""
    teacher = load_file(ROOT / "zoo" / "starter" / "digits-resnet14.safetensors")
    model = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
    deeper = "{use: cifar_resnet, depth: 14, width: 16, num_classes: 10, in_channels: 1}"
    call = (
        f"{{use: pretrained, model: {deeper}, weights: embedded:digits-resnet14.safetensors, part: layer1, of: layer1}}"
    )
    stage = "    trainable: [fc]\n    clip_norm: 1.0\n"
    path = recipe_file(recipe_file().read_text(), (model, call), ("    clip_norm: 1.0\n", stage))
    assert zoo("check", path).code == 0
    completed = zoo("train", path, "--out", "run")
    assert completed.code == 0, completed.err
    trained: dict[str, Tensor] = load_file(tmp_path / "run" / "model.safetensors")
    assert torch.equal(trained["layer1.0.conv1.weight"], teacher["layer1.0.conv1.weight"])
    assert not torch.equal(trained["layer2.0.conv1.weight"], teacher["layer2.0.conv1.weight"])
    for written in ("of: layer9", "part: layer2, of: layer1"):
        wrong = recipe_file(path.read_text(), ("part: layer1, of: layer1", written), name="wrong.yaml")
        completed = zoo("train", wrong)
        assert completed.code == 2, completed.err
        shutil.rmtree(tmp_path / "home", ignore_errors=True)


def test_the_old_names_in_torchvisions_densenet_files_are_read_as_the_new_ones(tmp_path: Path) -> None:
    new = {"denselayer1.norm1.weight": torch.ones(1), "denselayer1.conv2.weight": torch.zeros(1)}
    torch.save(
        {name.replace("m1", "m.1").replace("v2", "v.2"): value for name, value in new.items()}, tmp_path / "a.pth"
    )
    assert weights_file.read(tmp_path / "a.pth", new) == new
    assert [*weights_file.read(tmp_path / "a.pth")] == ["denselayer1.norm.1.weight", "denselayer1.conv.2.weight"]
    torch.save({**new, "denselayer1.norm.1.weight": torch.zeros(1)}, tmp_path / "b.pth")
    with pytest.raises(UsageError, match=r"would both be 'denselayer1\.norm1\.weight'"):
        weights_file.read(tmp_path / "b.pth", new)


def test_layers_that_ask_for_their_version_are_loaded(tmp_path: Path) -> None:
    network, other = models.mnasnet0_5(), models.mnasnet0_5()
    torch.save(dict(network.state_dict()), tmp_path / "a.pth")  # a plain dict has no versions
    weights_file.load_into(other, tmp_path / "a.pth")
    assert torch.equal(other.classifier[1].weight, network.classifier[1].weight)


@pytest.mark.parametrize("content", [{}, {"fc.scale": torch.ones(1)}, [torch.ones(1)]])
def test_other_weights_than_those_of_a_quantized_model_are_refused(tmp_path: Path, content: object) -> None:
    with without_warnings():
        network = models.quantization.shufflenet_v2_x0_5(quantize=True)
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=r"a\.pth: .*quantized model"):
        weights_file.load_into(network, tmp_path / "a.pth")
