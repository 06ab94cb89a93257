"""An untrusted recipe can only do what the lock and the allow-list permit."""

from pathlib import Path

import pytest

from tests.helpers.device import device
from tests.helpers.glue_hub import glue_data
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Write, Zoo

MRPC = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
RUNS_CODE = [
    "{use: transformers.AutoModelForSequenceClassification.from_pretrained, pretrained_model_name_or_path: evil/nice}",
    "{use: transformers.AutoModel.from_config, config: x}",
    "{use: transformers.pipeline, model: evil/nice}",
    "{use: transformers.dynamic_module_utils.get_class_from_dynamic_module, class_reference: x}",
    "{use: transformers.utils.hub.cached_file, path_or_repo_id: evil/nice, filename: evil.py}",
    "{use: datasets.load_dataset, path: evil/nice}",
    "{use: transformers.BertConfig, trust_remote_code: true}",
]


@pytest.mark.parametrize("call", RUNS_CODE, ids=[call.split(",")[0].removeprefix("{use: ") for call in RUNS_CODE])
def test_no_recipe_loads_by_name_or_runs_code_of_a_repository(
    call: str, glue_zoo: Zoo, glue_hub: LocalHub, recipe_file: Write
) -> None:
    """No request is sent to the Hub either: checking a published recipe only reads it."""
    model = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
    path = recipe_file(recipe_file().read_text(), (model, call))
    requests = len(glue_hub.requests)
    completed = glue_zoo("check", path)
    assert completed.code == 2
    refusals = ("cannot be named in one", "is a method", "cannot be used as model", "cannot be set in one")
    assert any(refusal in completed.err for refusal in refusals), completed.err
    glue_hub.add("models", "evil/nice", {"zoo.yaml": path.read_bytes(), "evil.py": b"open('executed', 'w')"})
    assert len(glue_hub.requests) == requests
    assert glue_zoo("check", "evil/nice").code == 2
    assert glue_zoo("reproduce", "evil/nice").code == 2
    assert not Path("executed").exists()


SHELL = [
    ("loss", "CrossEntropy", "{use: torch.utils.collect_env.run, command: touch executed}"),
    ("loss", "CrossEntropy", "{use: torchvision.datasets.utils.download_url, url: x, root: ., filename: executed}"),
    ("optimizer", "{use: SGD, lr: 0.1, momentum: 0.9}", "{use: torch.utils.collect_env.run, command: touch executed}"),
    ("schedule", "{use: linear, warmup: 0.2}", "{use: torch.utils.collect_env.run, command: touch executed}"),
    ("task", "task: digits", "task: {use: torch.utils.collect_env.run, command: touch executed}"),
    (
        "model",
        "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}",
        "{use: torch.utils.collect_env.run, command: x}",
    ),
]


@pytest.mark.parametrize(("field", "before", "call"), SHELL, ids=[f"{field}: {call[:50]}" for field, _, call in SHELL])
def test_a_field_admits_only_what_it_is_for(
    field: str, before: str, call: str, glue_zoo: Zoo, glue_hub: LocalHub, recipe_file: Write
) -> None:
    """A function of an allowed package that runs a command, downloads or writes is no loss, optimizer or model."""
    path = recipe_file(recipe_file().read_text(), (before, call))
    glue_hub.add("models", "evil/shell", {"zoo.yaml": path.read_bytes()})
    for command in (("check", path), ("check", "evil/shell"), ("reproduce", "evil/shell"), ("train", path)):
        completed = glue_zoo(*command)
        assert completed.code == 2
        assert f"cannot be used as {field}" in completed.err
    assert not Path("executed").exists()


DOWNLOADS = [
    "{use: torchvision.models.segmentation.deeplabv3_resnet50, weights: DEFAULT, weights_backbone: null}",
    "{use: torchvision.models.segmentation.deeplabv3_resnet50, num_classes: 10}",
    "{use: deeplabv3_resnet50, num_classes: 10, weights_backbone: null, pretrained_backbone: true}",
    "{use: resnet18, num_classes: 10, pretrained: true}",
    "{use: torchvision.models.resnet18, weights: IMAGENET1K_V1}",
    "{use: get_model, name: resnet18, weights: DEFAULT}",
    "{use: torchvision.models.get_model, name: resnet18, weights: DEFAULT}",
    "{use: zoo.models.published.published_classifier, folder: evil/nice, weights: x, expected: {}}",
]


@pytest.mark.parametrize("call", DOWNLOADS)
def test_no_model_downloads_unverified_weights(
    call: str, glue_zoo: Zoo, glue_hub: LocalHub, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: object, **__: object) -> None:
        raise AssertionError("something was downloaded")

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    model, requests = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}", len(glue_hub.requests)
    path = recipe_file(recipe_file().read_text(), (model, call))
    for command in ("check", "train"):
        completed = glue_zoo(command, path)
        assert completed.code == 2, completed.err
        refusals = (": null; `pretrained` starts from", "zoo.models has no 'get_model'", "cannot be used as model")
        assert any(refusal in completed.err for refusal in refusals)
    assert len(glue_hub.requests) == requests


@pytest.mark.parametrize("name", ["/elsewhere", "../../elsewhere", ".hidden", "a b", "a/b", "a" * 101])
def test_the_name_of_an_entry_cannot_lead_out_of_the_runs_folder(
    name: str, glue_zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    completed = glue_zoo("train", recipe_file(recipe_file().read_text(), ("name: tiny", f"name: '{name}'")))
    assert completed.code == 2
    assert f"{name!r} cannot be a name" in completed.err
    assert not list(tmp_path.rglob("record.json"))


def test_a_dataset_card_cannot_name_files_that_were_not_verified(
    glue_zoo: Zoo, glue_hub: LocalHub, tmp_path: Path
) -> None:
    files = glue_data()
    for pattern in (b"other/train-*", b"/etc/*", b"../../*"):
        card = files["README.md"].replace(b"mrpc/train-*", pattern)
        name = f"someone/card{len(pattern)}"
        commit = glue_hub.add("datasets", name, {**files, "README.md": card})
        planted = tmp_path / "cache" / f"datasets--{name.replace('/', '--')}" / "snapshots" / commit / "other"
        planted.mkdir(parents=True)
        (planted / "train-0.parquet").write_bytes(files["mrpc/train-00000-of-00001.parquet"])
        (tmp_path / "card.yaml").write_text(MRPC.replace("hub:datasets/nyu-mll/glue", f"hub:datasets/{name}"))
        completed = glue_zoo("train", "card.yaml", "--device", device())
        assert completed.code == 2
        assert "the data have no split 'train'" in completed.err


@pytest.mark.parametrize("way", ["relative", "link"])
def test_another_hub_never_changes_the_projects_lock(
    way: str, glue_zoo: Zoo, damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = damaged / "configs" / "zoo.lock"
    before = committed.read_bytes()
    if way == "link":
        (tmp_path / "link.lock").symlink_to(committed)
    else:
        monkeypatch.chdir(damaged)
    completed = glue_zoo(
        "lock", "--update", "bert-base-uncased-cola", "--lock", "configs/zoo.lock" if way == "relative" else "link.lock"
    )
    assert completed.code == 2
    assert "is for https://huggingface.co" in completed.err
    assert "--lock FILE writes another" in completed.err
    assert glue_zoo("lock", "--update", "bert-base-uncased-cola", "--lock", tmp_path / "other.lock").code == 0
    assert committed.read_bytes() == before
