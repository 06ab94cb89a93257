"""Weights of a repository or folder in any model: ours, torchvision's, own code, and recipes beside their weights."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor
from torchvision.models import mobilenet_v2
from transformers import BertConfig, BertForSequenceClassification

from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import classifier, pickled, results, use_hub, write_files
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Write, Zoo
from zoo.fetch import weights_file
from zoo.fetch.checksum import sha256
from zoo.fetch.repository_files import INDEX
from zoo.fetch.sources import Sources
from zoo.recipes.build import Builder
from zoo.recipes.load_model import load_model
from zoo.recipes.values import Call

STARTER = ROOT / "zoo" / "starter" / "digits-resnet8.safetensors"
MODEL = "{use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}"
RECIPE = f"""\
name: published
task: digits
model: {MODEL}
weights: hub:.
claims:
  - {{of: weights, split: test, metric: accuracy, value: 0.9788419, decimals: 7, n: 898, source: its author}}
"""
OWN_CODE = """\
from zoo.models.cifar_resnet import cifar_resnet

def build(width):
    return cifar_resnet(depth=8, width=width, num_classes=10, in_channels=1)
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        yield server


@pytest.fixture
def hub_zoo(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Run commands with that Hub, an empty lock and an empty cache."""
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def split_files(state: Mapping[str, Tensor]) -> dict[str, bytes]:
    """Return the files of weights that are split into two parts, as `save_pretrained` does."""
    items = list(state.items())
    parts = {f"model-0000{number}-of-00002.safetensors": dict(items[number - 1 :: 2]) for number in (1, 2)}
    listed = {name: file for file, part in parts.items() for name in part}
    return {**{file: save(part) for file, part in parts.items()}, INDEX: json.dumps({"weight_map": listed}).encode()}


def test_a_recipe_beside_weights_without_a_configuration_is_verified(hub_zoo: Zoo, hub: LocalHub) -> None:
    files = {"zoo.yaml": RECIPE.encode(), "model.safetensors": STARTER.read_bytes()}
    commit = hub.add("models", "someone/digits", files)
    completed = hub_zoo("verify", f"someone/digits@{commit}", "--json", "--device", device())
    entry = results(completed)["published"]
    assert (completed.code, entry["verdict"]) == (0, "reproduced"), completed.err
    record = read_record(Path(entry["records"][0]))
    assert [name.rsplit("/")[-1] for name in record.identity.sources["files"]] == ["model.safetensors"]
    assert record.weights == sha256(STARTER)
    checked = hub_zoo("check", f"someone/digits@{commit}")
    assert checked.code == 0, checked.err


def test_parts_a_pickle_and_a_single_file_of_any_name_give_the_same_scores(
    hub_zoo: Zoo, hub: LocalHub, recipe_file: Write, tmp_path: Path
) -> None:
    state = weights_file.read(STARTER)
    layouts = {
        "parts": split_files(state),
        "pickle": {"pytorch_model.bin": pickled({"state_dict": state})},
        "other": {"best.pth": pickled(state), "config.json": b'{"anything": 1}'},
    }
    for name, files in layouts.items():
        hub.add("models", f"someone/{name}", files)
        write_files(tmp_path / name, files)
        for source in (f"hub:someone/{name}", f"file:{name}"):
            path = recipe_file(RECIPE, ("hub:.", source))
            entry = results(hub_zoo("verify", path, "--json", "--device", device()))["published"]
            assert (entry["error"], entry["verdict"]) == (None, "reproduced"), source
        scored = hub_zoo("evaluate", tmp_path / name, "--as", "digits-resnet8", "--device", device())
        assert "0.9788" in scored.out, scored.err
    sources = [read_record(path).identity.sources["files"] for path in tmp_path.rglob("record.json")]
    assert len({json.dumps(files, sort_keys=True) for files in sources}) == 6
    assert any(any(INDEX in name for name in files) and len(files) == 3 for files in sources)


def test_a_model_of_torchvision_gets_the_weights_of_a_repository_in_parts(hub_zoo: Zoo, hub: LocalHub) -> None:
    arguments = {"weights": None, "num_classes": 3, "width_mult": 0.1}
    state = mobilenet_v2(**arguments).state_dict()
    hub.add("models", "someone/vision", split_files(state))
    builder = Builder(sources=Sources())
    model = load_model(Call(use="mobilenet_v2", args=arguments), builder.sources.fetch("hub:someone/vision"), builder)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert type(model).__module__.startswith("torchvision")


def test_own_code_gets_the_weights_of_a_repository(
    hub_zoo: Zoo, hub: LocalHub, recipe_file: Write, tmp_path: Path
) -> None:
    hub.add("models", "someone/own", {"model.safetensors": STARTER.read_bytes(), "config.json": b"{}"})
    (tmp_path / "published_own_code.py").write_text(OWN_CODE)
    path = recipe_file(RECIPE, ("hub:.", "hub:someone/own"), (MODEL, "{use: published_own_code.build, width: 8}"))
    completed = hub_zoo("verify", path, "--json", "--trust", "published_own_code", "--device", device())
    assert results(completed)["published"]["verdict"] == "reproduced", completed.err
    path = recipe_file(RECIPE, ("hub:.", "hub:someone/own"), (MODEL, "{use: published_own_code.build, width: 4}"))
    completed = hub_zoo("verify", path, "--trust", "published_own_code", "--device", device())
    assert completed.code == 2
    assert "model.safetensors: the weights do not fit the model: " in completed.err
    assert "is (8, 1, 3, 3), the model's is (4, 1, 3, 3)" in completed.err


def test_a_folder_of_transformers_is_loaded_with_its_configuration(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "tiny", classifier("base", 3, seed=1))
    call = Call(use="sequence_classifier", args={"init": "hub:never/read", "num_labels": 3})
    reports: list[str] = []
    builder = Builder(sources=Sources(report=reports.append))
    model = load_model(call, builder.sources.fetch(f"file:{folder}"), builder)
    assert isinstance(model, BertForSequenceClassification)
    assert reports == []


def test_positions_of_old_checkpoints_are_left_out_with_one_note(tmp_path: Path) -> None:
    size = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = Call(use="transformers.BertConfig", args={**size, "intermediate_size": 4})
    call = Call(use="transformers.BertForSequenceClassification", args={"config": config})
    state = BertForSequenceClassification(BertConfig(**size, intermediate_size=4)).state_dict()
    name, reports = "bert.embeddings.position_ids", list[str]()
    builder = Builder(sources=Sources(report=reports.append))
    for positions in (torch.arange(512).unsqueeze(0), torch.arange(3)):
        (tmp_path / "old.pt").write_bytes(pickled({**state, name: positions}))
        fetched = Sources().fetch(f"file:{tmp_path / 'old.pt'}")
        model = load_model(call, fetched, builder)
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    (message,) = reports
    assert f"{name} of an older version of transformers only counts positions" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bert.embeddings.position_ids", torch.ones(4, dtype=torch.int64)),
        ("bert.embeddings.position_ids", torch.arange(4.0)),
        ("bert.embeddings.token_type_ids", torch.arange(4)),
        ("bert.position_ids", torch.arange(4)),
    ],
)
def test_any_other_unexpected_tensor_stays_an_error(name: str, value: Tensor, tmp_path: Path) -> None:
    layer = torch.nn.Linear(1, 1)
    (tmp_path / "x.pt").write_bytes(pickled({**layer.state_dict(), name: value}))
    with pytest.raises(Exception, match=f"unexpected {name}"):
        weights_file.load_into(layer, tmp_path / "x.pt")


def test_a_folder_without_weights_or_with_several_is_an_error_with_their_names(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(RECIPE, ("hub:.", "file:mine"))
    folder = write_files(path.parent / "mine", {"notes.txt": b""})
    refused = zoo("verify", path)
    assert refused.code == 4
    assert "has neither model.safetensors nor pytorch_model.bin; it has notes.txt" in refused.err
    for name in ("first.pt", "last.pt"):
        (folder / name).write_bytes(STARTER.read_bytes())
    refused = zoo("verify", path)
    assert refused.code == 4
    assert "several files of weights, first.pt, last.pt" in refused.err
