"""`zoo explain` names the mode of a training, and other weights: another state dict, or another file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from harness.diagnosis.explain import explain, other_weights, search
from harness.diagnosis.explain.explanation import Explanation
from harness.diagnosis.explain.variant import UNCHANGED, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext, prepare
from tests.helpers.device import device
from tests.helpers.project import ROOT
from zoo.fetch import weights_file
from zoo.fetch.checksum import sha256
from zoo.fetch.fetched import Fetched
from zoo.fetch.sources import Sources
from zoo.models.cifar_resnet import cifar_resnet
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.tasks.digits import digits

WEIGHTS = ROOT / "zoo" / "starter" / "digits-resnet8.safetensors"
RECIPE = """\
name: digits
task: digits
model: {{use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}}
weights: file:{weights}
claims:
  - {{of: weights, split: test, metric: accuracy, value: {value:.7f}, decimals: 7, source: planted}}
"""
State = Mapping[str, Tensor]
Explain = Callable[..., Explanation]


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    return RunContext(builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path / "none")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: RunContext) -> Explain:
    """Explain a claim about weights below the folder of the recipe."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))

    def explained(weights: str, value: float) -> Explanation:
        path = tmp_path / "digits.yaml"
        path.write_text(RECIPE.format(weights=weights, value=value))
        explanation = explain(catalogue.local(path), context)
        json.dumps(explanation.data(), allow_nan=False)
        assert explanation.state == "explained", explanation.text()
        assert all(len(line) <= 80 or str(tmp_path) in line for line in explanation.text(80).splitlines())
        return explanation

    return explained


def published() -> dict[str, Tensor]:
    return weights_file.read(WEIGHTS)


def worse(state: State, noise: float, seed: int) -> dict[str, Tensor]:
    """Return weights with noise."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value + noise * value.std() * torch.randn(value.shape, generator=generator)
        if name.endswith("weight")
        else value
        for name, value in state.items()
    }


def model_with(state: State) -> nn.Module:
    model = cifar_resnet(depth=8, width=8, num_classes=10, in_channels=1)
    model.load_state_dict(dict(state))
    return model.eval()


def accuracy(state: State, *, train: bool = False, batch_size: int = 898) -> float:
    """Return the accuracy on the test split, computed by torch alone."""
    split = digits().load("test")
    model, right = model_with(state).train(train), 0
    with torch.no_grad():
        for rows in torch.arange(len(split)).split(batch_size):
            batch = split.batch(rows.tolist())
            right += int((model(batch.inputs).argmax(dim=1) == batch.labels).sum())
    return right / len(split)


def causes(explanation: Explanation) -> list[tuple[str, str]]:
    return [(attempt.factor, attempt.change) for attempt in explanation.successful]


def test_a_claim_that_was_measured_in_the_mode_of_a_training_is_named(planted: Explain, tmp_path: Path) -> None:
    state = worse(published(), 0.5, 0)
    save_file(state, tmp_path / "w.safetensors")
    value = accuracy(state, train=True, batch_size=128)
    assert value not in (accuracy(state), accuracy(state, train=True, batch_size=32))
    explanation = planted("w.safetensors", value)
    assert causes(explanation) == [("train mode", "eval() -> train(), batches of 128, seed 0")]


def test_the_mode_of_a_training_is_repeatable_and_leaves_the_model_as_it_was(context: RunContext) -> None:
    runner = VariantRunner(prepare(catalogue.select_one("entail-bert-l2h32"), context))
    for module in runner.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.1
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    sample = [runner.run_sample("test", Variant(train=True, batch_size=8)) for _ in range(2)]
    assert sample[0].shift == sample[1].shift > 1e-3
    assert not runner.model.training
    assert all(torch.equal(value, before[name]) for name, value in runner.model.state_dict().items())
    assert runner.run_sample("test", UNCHANGED).shift == 0


@pytest.mark.parametrize(
    ("keys", "factor", "change"),
    [
        (("model", "model_ema"), "EMA", "state dict: model -> model_ema"),
        (("state_dict", "state_dict_ema"), "EMA", "state dict: state_dict -> state_dict_ema"),
        (("model", "best"), "state dict", "state dict: model -> best"),
        (("model", "remapped"), "state dict", "state dict: model -> remapped"),
    ],
)
def test_another_state_dict_of_the_checkpoint_is_named(
    planted: Explain, tmp_path: Path, keys: tuple[str, str], factor: str, change: str
) -> None:
    raw = worse(published(), 0.5, 1)
    torch.save({"epoch": 3, keys[0]: raw, keys[1]: published(), "optimizer": {"state": {}}}, tmp_path / "w.pth")
    value = accuracy(published())
    assert abs(value - accuracy(raw)) > 0.01
    assert causes(planted("w.pth", value)) == [(factor, change)]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "checkpoint-20/model.safetensors", "model_ema.safetensors"])
def test_another_file_of_the_folder_is_named(planted: Explain, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "published"
    files: dict[str, Any] = {"model.safetensors": worse(published(), 0.5, 1), name: published()}
    files |= {"checkpoint-3/model.safetensors": worse(published(), 0.5, 2)}
    for file, state in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (torch.save if name == file and name.endswith("bin") else save_file)(state, folder / file)
    torch.save({"step": torch.zeros(1)}, folder / "optimizer.pt")
    explanation = planted("published", accuracy(published()))
    assert causes(explanation) == [("weights file", f"model.safetensors -> {name}")]
    tried = [attempt.change.split(" -> ")[1] for attempt in explanation.attempts if attempt.factor == "weights file"]
    assert {*tried} == {name, "checkpoint-3/model.safetensors"}


def test_other_files_are_tried_unless_a_cheaper_change_is_unlikely_by_chance(
    planted: Explain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    state = worse(published(), 0.5, 0)
    save_file(state, folder / "model.safetensors")
    save_file(worse(published(), 0.5, 2), folder / "other.safetensors")
    value = accuracy(state, train=True, batch_size=128)
    for limit, is_tried in ((1.0, False), (0.0, True)):
        monkeypatch.setattr(search, "UNLIKELY", limit)
        attempts = [attempt for attempt in planted("published", value).attempts if attempt.factor == "weights file"]
        assert [bool(attempt.values) for attempt in attempts] == [is_tried]
        assert is_tried or "unlikely by chance" in attempts[0].reason


def test_one_unreadable_file_loses_no_other(planted: Explain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of two files differ only by a character that separates folders."""
    names = ("model.safetensors", "bad.safetensors", "ema/model.safetensors", "ema-model.safetensors")
    (tmp_path / "published" / "ema").mkdir(parents=True)
    for seed, name in enumerate(names):
        state = published() if name == names[-1] else worse(published(), 0.5, seed)
        save_file(state, tmp_path / "published" / name)

    def fail_for_one(path: Path) -> str:
        if path.name == "bad.safetensors":
            raise PermissionError(13, "Permission denied", path.name)
        return sha256(path)

    monkeypatch.setattr(other_weights, "sha256", fail_for_one)
    explanation = planted("published", accuracy(published()))
    assert causes(explanation) == [("weights file", "model.safetensors -> ema-model.safetensors")]
    tried = [attempt.change.split(" -> ")[1] for attempt in explanation.attempts if attempt.factor == "weights file"]
    assert {*tried} == {*names[2:]}
    (reason,) = [attempt.reason for attempt in explanation.attempts if attempt.factor.endswith("bad.safetensors")]
    assert reason.endswith("bad.safetensors: Permission denied")


def test_only_files_that_are_tried_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["model.safetensors", *(f"checkpoint-{step}/model.safetensors" for step in range(1, 9))]
    for name in names:
        (tmp_path / "published" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "published" / name).write_bytes(name.encode())
    hashed: list[Path] = []
    monkeypatch.setattr(other_weights, "sha256", lambda path: hashed.append(path) or sha256(path))
    fetched = Fetched(f"file:{tmp_path / 'published'}", tmp_path / "published", "0", {}, "model.safetensors")
    found = [name for name, _ in other_weights.other_weights(Sources(), fetched, tmp_path)]
    assert found == names[:-6:-1]
    assert [path.relative_to(tmp_path / "published").as_posix() for path in hashed] == found


def test_the_keys_of_a_checkpoint_are_listed_without_reading_its_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"model_ema": published(), "epoch": 3, "model": published()}, tmp_path / "w.pth")
    loaded: list[Any] = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: loaded.append(load(*args, **options)) or loaded[-1])
    assert weights_file.state_dict_keys(tmp_path / "w.pth") == ("model", "model_ema")
    assert all(value.is_meta for checkpoint in loaded for value in checkpoint["model"].values())
