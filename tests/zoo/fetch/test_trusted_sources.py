"""What a recipe or a repository of somebody else's can make this machine do: what the lock and the list allow."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from huggingface_hub import constants
from transformers import BertForSequenceClassification

from harness.records.record import read_record
from tests.helpers.glue_hub import TOKENIZER, VOCABULARY, classifier, fill_hub, glue_data, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Write, Zoo
from zoo.errors import MissingError, SourceError, UsageError
from zoo.fetch.hub import Hub
from zoo.fetch.lock import FilePin, Lock, Pin, read_lock
from zoo.fetch.sources import Sources

MRPC = (ROOT / "configs" / "glue" / "bert-base-uncased-mrpc.yaml").read_text()
OWN = "hub:yoshitomo-matsubara/bert-base-uncased-mrpc"


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        yield fill_hub(server)


@pytest.fixture
def here(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The command line with that Hub, an empty cache, and a lock that pins nothing."""
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


@pytest.fixture
def sources(hub: LocalHub, tmp_path: Path) -> Sources:
    client = Hub(deadline=10)
    client.endpoint, client.cache = hub.url, tmp_path / "cache"
    return Sources(lock=Lock(tmp_path / "zoo.lock", {}, tmp_path / "trusted.json"), hub=client)


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
    call: str, here: Zoo, hub: LocalHub, recipe_file: Write
) -> None:
    """Nothing is asked of the Hub either: to check a recipe that somebody published is to read it."""
    model = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
    path = recipe_file(recipe_file().read_text(), (model, call))
    requests = len(hub.requests)
    ended = here("check", path)
    assert ended.code == 2
    assert "cannot be named in one" in ended.err or "is a method" in ended.err or "cannot be set in one" in ended.err
    hub.add("models", "evil/nice", {"zoo.yaml": path.read_bytes(), "evil.py": b"open('executed', 'w')"})
    assert len(hub.requests) == requests
    assert here("check", "evil/nice").code == 2
    assert here("reproduce", "evil/nice").code == 2
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


@pytest.mark.parametrize(("slot", "before", "call"), SHELL, ids=[f"{slot}: {call[:50]}" for slot, _, call in SHELL])
def test_a_slot_admits_only_what_it_is_for(
    slot: str, before: str, call: str, here: Zoo, hub: LocalHub, recipe_file: Write
) -> None:
    """A function of an allowed package that runs a command, downloads or writes is no loss, optimiser or model."""
    path = recipe_file(recipe_file().read_text(), (before, call))
    hub.add("models", "evil/shell", {"zoo.yaml": path.read_bytes()})
    for command in (("check", path), ("check", "evil/shell"), ("reproduce", "evil/shell"), ("train", path)):
        ended = here(*command)
        assert ended.code == 2
        assert f"is nothing that can stand here ({slot})" in ended.err
    assert not Path("executed").exists()


DOWNLOADS = [
    "{use: torchvision.models.segmentation.deeplabv3_resnet50, weights: DEFAULT, weights_backbone: null}",
    "{use: torchvision.models.segmentation.deeplabv3_resnet50, num_classes: 10}",
    "{use: deeplabv3_resnet50, num_classes: 10, weights_backbone: null, pretrained_backbone: true}",
    "{use: resnet18, num_classes: 10, pretrained: true}",
    "{use: torchvision.models.resnet18, weights: IMAGENET1K_V1}",
    "{use: get_model, name: resnet18, weights: DEFAULT}",
    "{use: torchvision.models.get_model, name: resnet18, weights: DEFAULT}",
    "{use: zoo.models.sequence_classifier.published_classifier, folder: evil/nice, weights: x, expected: {}}",
]


@pytest.mark.parametrize("call", DOWNLOADS)
def test_no_model_brings_bytes_that_nobody_verifies(
    call: str, here: Zoo, hub: LocalHub, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("something was downloaded")

    monkeypatch.setattr("torch.hub.download_url_to_file", asked)
    model, requests = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}", len(hub.requests)
    path = recipe_file(recipe_file().read_text(), (model, call))
    for command in ("check", "train"):
        ended = here(command, path)
        assert ended.code == 2, ended.err
        refusals = (": null; `pretrained` starts from", "zoo.models has no 'get_model'", "nothing that can stand here")
        assert any(refusal in ended.err for refusal in refusals)
    assert len(hub.requests) == requests


@pytest.mark.parametrize("name", ["/elsewhere", "../../elsewhere", ".hidden", "a b", "a/b"])
def test_a_name_cannot_lead_out_of_the_runs(name: str, here: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    ended = here("train", recipe_file(recipe_file().read_text(), ("name: tiny", f"name: '{name}'")))
    assert ended.code == 2
    assert f"the name {name!r} has other signs than" in ended.err
    assert not list(tmp_path.rglob("record.json"))


def test_what_the_lock_pins_of_a_repository_holds_for_it_at_that_commit(
    here: Zoo, hub: LocalHub, tmp_path: Path
) -> None:
    recipe = MRPC.replace(OWN, "hub:.").replace("bert-base-uncased-mrpc", "own", 1).encode()
    commit = hub.add("models", "own/pinned", {**classifier("base", 2, seed=1), "zoo.yaml": recipe})
    wrong = {"pytorch_model.bin": {"sha256": "0" * 64}}
    for revision in ({"revision": commit}, {}):
        (tmp_path / "zoo.lock").write_text(
            json.dumps({"schema": 1, "sources": {"hub:own/pinned": {**revision, "files": wrong}}})
        )
        ended = here("reproduce", "own/pinned", "--device", "cpu")
        assert ended.code == 5, ended.err
        assert f"pytorch_model.bin: expected sha256 {'0' * 64}" in ended.err
        assert not list(tmp_path.rglob("record.json"))
    other = {"revision": "1" * 40, "files": wrong}
    (tmp_path / "zoo.lock").write_text(json.dumps({"schema": 1, "sources": {"hub:own/pinned": other}}))
    assert here("show", f"own/pinned@{commit}").code == 0  # of another commit the lock says nothing


def test_a_locked_file_of_weights_that_is_not_there_is_not_replaced(sources: Sources, hub: LocalHub) -> None:
    hub.add("models", "someone/other", classifier("base", 2, seed=1, style="now"))
    pin = Pin(files={"pytorch_model.bin": FilePin(sha256="0" * 64)})
    lock = Lock(sources.lock.path, {"hub:someone/other": pin}, sources.lock.own)
    with pytest.raises(MissingError, match=r"does not have pytorch_model.bin, which the lock names"):
        Sources(lock=lock, hub=sources.hub).fetch("hub:someone/other")


def test_a_recipe_that_is_published_later_is_seen(here: Zoo, hub: LocalHub) -> None:
    files = classifier("base", 2, seed=1)
    hub.add("models", "own/later", files)
    for _ in range(2):
        assert "has no file 'zoo.yaml'; it has config.json, " in here("reproduce", "own/later").err
    recipe = MRPC.replace(OWN, "hub:.").replace("bert-base-uncased-mrpc", "own", 1).encode()
    hub.add("models", "own/later", {**files, "zoo.yaml": recipe})
    shown = here("show", "own/later")
    assert shown.code == 0
    assert recipe.decode().strip() in shown.out
    assert "own" in here("list", "own/later").out


def test_a_published_recipe_is_renewed_in_a_lock(here: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    recipe = MRPC.replace(OWN, "hub:.").replace("bert-base-uncased-mrpc", "own", 1).encode()
    files = {**classifier("base", 2, seed=1), "zoo.yaml": recipe}
    first = hub.add("models", "own/renewed", files)
    assert here("lock", "--update", "own/renewed").code == 0
    pins = read_lock(tmp_path / "zoo.lock").pins["hub:own/renewed"]
    assert pins.revision == first
    assert {"zoo.yaml", "pytorch_model.bin", "config.json"} <= pins.files.keys()
    second = hub.add("models", "own/renewed", {**files, "notes.txt": b"new"})
    assert json.loads(here("lock", "own/renewed", "--json").out)["sources"]
    assert read_lock(tmp_path / "zoo.lock").pins["hub:own/renewed"].revision == first
    assert f"+ hub:own/renewed revision {second}" in here("lock", "--update", "own/renewed").out
    assert not [source for source in read_lock(tmp_path / "zoo.lock").pins if "@" in source]


def test_renewing_one_entry_keeps_what_is_known_of_others(here: Zoo, tmp_path: Path) -> None:
    for task in ("cola", "mrpc"):
        assert here("lock", "--update", f"bert-base-uncased-{task}").code == 0
    pinned = read_lock(tmp_path / "zoo.lock").pins["hub:datasets/nyu-mll/glue"]
    assert {name.split("/")[0] for name in pinned.files} == {"README.md", "cola", "mrpc"}
    lock = json.loads((tmp_path / "zoo.lock").read_text())
    lock["sources"]["hub:datasets/nyu-mll/glue"]["files"]["cola/train-00000-of-00001.parquet"]["sha256"] = "0" * 64
    (tmp_path / "zoo.lock").write_text(json.dumps(lock))
    ended = here("lock", "--update", "bert-base-uncased-cola")
    assert ended.code == 5
    assert f"expected sha256 {'0' * 64}" in ended.err
    assert here("lock", "--check", "bert-base-uncased-cola").code == 2


def test_a_lock_that_another_process_holds_is_given_up(sources: Sources, hub: LocalHub) -> None:
    sources.lock.own.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{sources.lock.own}.lock"), pytest.raises(SourceError, match="another process holds"):
        sources.fetch(OWN, "config")


@pytest.mark.parametrize("given", ["soon", "nan", "-1", "inf"])
def test_a_deadline_is_a_number_of_seconds(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEADLINE", given)
    with pytest.raises(UsageError, match="ZOO_DEADLINE is a number of seconds"):
        Hub()


def test_another_tokenizer_is_another_run(here: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    for name, words in (("first", VOCABULARY), ("second", [*VOCABULARY[:5], *reversed(VOCABULARY[5:])])):
        hub.add("models", f"words/{name}", {**classifier("base", 2, seed=1), "vocab.txt": "\n".join(words).encode()})
        text = MRPC.replace(f"weights: {OWN}", "weights: hub:words/first")
        (tmp_path / "own.yaml").write_text(
            text.replace(f"of: {OWN}", f"of: hub:words/{name}").replace("bert-base-uncased-mrpc", "own", 1)
        )
        ended = here("reproduce", "own.yaml", "--json", "--device", "cpu")
        assert json.loads(ended.out)["entries"][0]["error"] is None, ended.err
    records = [read_record(path) for path in tmp_path.rglob("record.json")]
    assert len({record.identity.key for record in records}) == len(records) == 2
    assert all(any("vocab.txt" in name for name in record.identity.sources["files"]) for record in records)


def test_the_key_of_a_published_recipe_is_of_bytes_not_of_commits(here: Zoo, hub: LocalHub) -> None:
    recipe = MRPC.replace(OWN, "hub:.").replace("bert-base-uncased-mrpc", "own", 1).encode()
    files = {**classifier("base", 2, seed=1), "zoo.yaml": recipe}
    first = hub.add("models", "own/nice", files)
    second = hub.add("models", "own/nice", {**files, "notes.txt": b"nobody reads this"})
    keys = []
    for commit in (first, second):
        ended = here("reproduce", f"own/nice@{commit}", "--json", "--device", "cpu", "--records", commit)
        (entry,) = json.loads(ended.out)["entries"]
        assert entry["error"] is None, ended.err
        record = read_record(Path(entry["records"][0]))
        assert record.provenance[f"hub:own/nice@{commit}"]["revision"] == commit
        keys.append(record.identity.key)
    assert first != second
    assert keys[0] == keys[1]


def test_a_published_recipe_is_checked_at_the_commit_that_the_lock_names(
    here: Zoo, hub: LocalHub, tmp_path: Path
) -> None:
    recipe = MRPC.replace(OWN, "hub:.").replace("bert-base-uncased-mrpc", "own", 1).encode()
    commit = hub.add("models", "own/locked", {**classifier("base", 2, seed=1), "zoo.yaml": recipe})
    hub.add("models", "own/locked", {"zoo.yaml": b"name: [broken"})
    pinned = {"schema": 1, "sources": {"hub:own/locked": {"revision": commit, "files": {}}}}
    (tmp_path / "zoo.lock").write_text(json.dumps(pinned))
    ended = here("check", "own/locked")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("way", ["relative", "link"])
def test_another_hubs_bytes_never_enter_the_projects_lock(
    way: str, here: Zoo, damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = damaged / "configs" / "zoo.lock"
    before = committed.read_bytes()
    if way == "link":
        (tmp_path / "link.lock").symlink_to(committed)
    else:
        monkeypatch.chdir(damaged)
    ended = here(
        "lock", "--update", "bert-base-uncased-cola", "--lock", "configs/zoo.lock" if way == "relative" else "link.lock"
    )
    assert ended.code == 2
    assert "is for https://huggingface.co" in ended.err
    assert committed.read_bytes() == before


def test_a_digest_that_is_known_is_enforced_when_a_lock_is_renewed(here: Zoo, tmp_path: Path) -> None:
    pinned = {
        "sources": {
            "hub:yoshitomo-matsubara/bert-base-uncased-cola": {"files": {"pytorch_model.bin": {"sha256": "0" * 64}}}
        }
    }
    (tmp_path / "zoo.lock").write_text(json.dumps({"schema": 1, **pinned}))
    ended = here("lock", "--update", "bert-base-uncased-cola")
    assert ended.code == 5
    assert f"pytorch_model.bin: expected sha256 {'0' * 64}" in ended.err
    assert json.loads((tmp_path / "zoo.lock").read_text())["sources"] == pinned["sources"]


def test_no_file_is_read_that_was_not_fetched_and_verified(here: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    files = glue_data()
    for pattern in (b"other/train-*", b"/etc/*", b"../../*"):
        card = files["README.md"].replace(b"mrpc/train-*", pattern)
        name = f"someone/card{len(pattern)}"
        commit = hub.add("datasets", name, {**files, "README.md": card})
        planted = tmp_path / "cache" / f"datasets--{name.replace('/', '--')}" / "snapshots" / commit / "other"
        planted.mkdir(parents=True)
        (planted / "train-0.parquet").write_bytes(files["mrpc/train-00000-of-00001.parquet"])
        (tmp_path / "card.yaml").write_text(MRPC.replace("hub:datasets/nyu-mll/glue", f"hub:datasets/{name}"))
        ended = here("train", "card.yaml", "--device", "cpu")
        assert ended.code == 2
        assert "the data have no split 'train'" in ended.err


def test_a_log_that_is_not_there_keeps_nothing_from_being_fetched_and_judged_offline(
    here: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("models", "someone/unlogged", classifier("base", 2, seed=1))
    text = (ROOT / "configs" / "glue" / "bert-base-uncased-wnli.yaml").read_text()
    own = "hub:yoshitomo-matsubara/bert-base-uncased-wnli"
    (tmp_path / "unlogged.yaml").write_text(text.replace(own, "hub:someone/unlogged"))
    fetched = here("fetch", "unlogged.yaml")
    assert fetched.code == 0, fetched.err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    requests = len(hub.requests)
    for _ in range(2):
        ended = here("verify", "unlogged.yaml", "--json", "--device", "cpu")
        (entry,) = json.loads(ended.out)["entries"]
        assert (entry["error"], entry["verdict"]) == (None, "not-compared"), ended.err
    assert len(hub.requests) == requests


def test_a_hub_that_does_not_say_a_commit_leaves_nothing_behind(sources: Sources, hub: LocalHub) -> None:
    hub.add("models", "someone/vague", {"config.json": b"{}"})
    hub.repos["models", "someone/vague"].main = "main"
    hub.repos["models", "someone/vague"].commits["main"] = {"config.json": b"{}"}
    with pytest.raises(Exception, match="does not say which commit main is"):
        sources.fetch("hub:someone/vague", "config")
    assert not sources.lock.own.exists()
    assert sources.fetch(OWN, "config").names == ["config.json"]


def test_a_lock_that_names_other_weights_than_were_read_before_is_obeyed(sources: Sources, hub: LocalHub) -> None:
    files = classifier("base", 2, seed=1, style="now")
    commit = hub.add("models", "someone/both", {**files, "pytorch_model.bin": b"the locked ones"})
    assert sources.fetch("hub:someone/both").weights == "model.safetensors"
    pin = Pin(revision=commit, files={"pytorch_model.bin": FilePin(size=15)})
    lock = Lock(sources.lock.path, {"hub:someone/both": pin}, sources.lock.own)
    assert Sources(lock=lock, hub=sources.hub).fetch("hub:someone/both").weights == "pytorch_model.bin"


def test_weights_in_several_files_are_loaded(here: Zoo, hub: LocalHub, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    for name, data in classifier("base", 2, seed=1, style="now").items():
        (folder / name).write_bytes(data)
    BertForSequenceClassification.from_pretrained(folder).save_pretrained(tmp_path / "parts", max_shard_size="8KB")
    files = {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    assert len([name for name in files if name.endswith(".safetensors")]) > 1
    scores = []
    for name, published in (("parts", files), ("whole", classifier("base", 2, seed=1, style="now"))):
        hub.add("models", f"someone/{name}", {**published, **TOKENIZER})
        (tmp_path / f"{name}.yaml").write_text(MRPC.replace(f"weights: {OWN}", f"weights: hub:someone/{name}"))
        ended = here("reproduce", f"{name}.yaml", "--json", "--device", "cpu")
        (entry,) = json.loads(ended.out)["entries"]
        assert entry["error"] is None, ended.err
        scores.append(np.load(Path(entry["records"][0]).with_name("predictions-validation.npz"))["logits"])
    assert np.array_equal(*scores)


def test_a_password_in_the_address_of_a_hub_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Hub(deadline=1)
    client.endpoint = "http://someone:secret@127.0.0.1:9"
    assert client.shown == "http://127.0.0.1:9"


def test_the_committed_lock_names_what_is_publicly_known() -> None:
    pins = read_lock(None).pins
    assert pins["hub:google-bert/bert-base-uncased"].revision == "86b5e0934494bd15c9632b12f734a8a67f723594"
    weights = [pin.files for source, pin in pins.items() if source.startswith("hub:yoshitomo-matsubara/")]
    assert len(weights) == 27
    known = [files["pytorch_model.bin"] for files in weights if files]
    assert sum(pin.sha256 is not None for pin in known) == 12
    assert sum(pin.etag_sha256 is not None for pin in known) == 2  # two digests are known by their own digest alone
