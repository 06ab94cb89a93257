"""`zoo fetch --to` fills a folder, and with it commands run without network, from any place."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.helpers.card_models import SENTIMENTS, card, labels, result, text_data, text_model, texts
from tests.helpers.device import device
from tests.helpers.glue_hub import fill_hub, results, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.suites.generated import GeneratedEntry, GeneratedSuite

STUDENT = "bert-base-uncased-rte_from_bert-large-uncased-rte"
ENTRY, OTHER = "bert-base-uncased-mrpc", "bert-base-uncased-rte"
DEAD = "http://127.0.0.1:8"
TIMM_TABLE = """\
model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation
resnet18.tv_in1k,69.752,30.248,89.072,10.928,11.69,224,0.875,bilinear
"""
CARDLESS = """\
name: torchvision-x
task: digits
model: {use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}
weights: embedded:digits-resnet8.safetensors
claims: [{of: weights, split: test, metric: accuracy, value: 0.9788419, decimals: 7, n: 898, source: our run}]
"""


@pytest.fixture(scope="module")
def glue_hub() -> Iterator[LocalHub]:
    """A Hub with everything that the GLUE entries read, in small."""
    with LocalHub() as server:
        yield fill_hub(server)


@pytest.fixture
def online(zoo: Zoo, glue_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The command line with the GLUE Hub, an empty cache, and a lock that pins nothing."""
    return use_hub(glue_hub, zoo, cache=tmp_path / "hub", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def refuse(*_: object) -> None:
    raise AssertionError("a socket was opened")


def go_offline(cache: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a command nothing but a cache folder: an empty home, an empty cache of the Hub, no network."""
    monkeypatch.setenv("ZOO_CACHE", str(cache))
    monkeypatch.setenv("ZOO_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def moved(cache: Path, to: Path) -> dict[Path, tuple[int, int]]:
    """Move a cache, make it read-only, and return the state of its files."""
    shutil.move(cache, to)
    for path in to.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    to.chmod(0o555)
    return state_of(to)


def state_of(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def keys_of(folder: Path) -> set[str]:
    """Return the names of the run folders: they end with the keys."""
    return {path.parent.name for path in folder.rglob("record.json")}


@pytest.mark.parametrize(
    "options", [(), pytest.param(("--train", "--seeds", "1"), marks=pytest.mark.slow)], ids=["weights", "training"]
)
def test_a_moved_read_only_cache_gives_the_same_run_without_network(
    options: tuple[str, ...], online: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = online("fetch", STUDENT, *options[:1], "--to", "cache")
    assert fetched.code == 0, fetched.err
    command = ("verify", STUDENT, "--json", "--device", device(), *options)
    assert results(online(*command, "--records", "online"))[STUDENT]["error"] is None
    texts = [path.read_text() for path in Path("cache").rglob("*.json")]
    assert not any(str(tmp_path) in text for text in texts)
    before = moved(Path("cache"), tmp_path / "elsewhere")
    shutil.rmtree("hub")
    go_offline(tmp_path / "elsewhere", tmp_path / "new-home", monkeypatch)
    completed = online(*command, "--records", "offline")
    assert results(completed)[STUDENT]["error"] is None, completed.err
    assert keys_of(Path("offline")) == keys_of(Path("online")) != set()
    assert state_of(tmp_path / "elsewhere") == before
    assert not list((tmp_path / "new-home").rglob("trusted.json"))


OFFLINE = """
import socket, sys

def refuse(*_): raise AssertionError("a socket was opened")

socket.socket.connect = socket.getaddrinfo = refuse
from zoo.cli.app import main
main()
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_new_process_needs_the_folder_alone(online: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert online("fetch", ENTRY, "--to", "cache").code == 0
    shutil.move("cache", "elsewhere")
    folders = {"ZOO_HOME": str(tmp_path / "new-home"), "HF_HOME": str(tmp_path / "new-hf"), "ZOO_CACHE": "elsewhere"}
    command = [sys.executable, "-c", OFFLINE, "verify", ENTRY, "--json", "--device", device()]
    environment = {**os.environ, **folders, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["entries"][0]["error"] is None, done.stderr
    assert not (tmp_path / "new-hf").exists()


def test_what_the_cache_lacks_is_an_error_with_a_command_that_works(
    online: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert online("fetch", OTHER, "--to", "cache").code == 0
    with monkeypatch.context() as offline:
        go_offline(tmp_path / "cache", tmp_path / "new-home", offline)
        completed = online("verify", ENTRY, OTHER, "--device", device(), "--json")
        fetched = online("fetch", ENTRY)
    entries = results(completed)
    assert (completed.code, entries[OTHER]["error"]) == (4, None)
    assert "no connection" not in completed.err + fetched.err
    assert fetched.code == 4
    assert f"the cache {tmp_path / 'cache'}: its files are checked, and nothing is downloaded" in fetched.err
    assert f"To add what it lacks: on a machine with internet, run `zoo fetch {ENTRY} --to DIR`" in fetched.err
    assert f"hub:yoshitomo-matsubara/{ENTRY} is not in the cache" in entries[ENTRY]["error"]
    assert f"`zoo fetch {ENTRY} {OTHER} --to DIR`" in entries[ENTRY]["error"]
    assert entries[ENTRY]["next_step"] == f"zoo fetch {ENTRY} --to {tmp_path / 'cache'}"
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))  # `--to` uses the network all the same
    assert online(*shlex.split(entries[ENTRY]["next_step"])[1:]).code == 0
    assert online("fetch", ENTRY, OTHER, "--cache", "cache").code == 0


def test_a_check_lists_what_is_damaged_missing_and_superfluous(
    online: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert online("fetch", ENTRY, OTHER, "--to", "cache").code == 0
    intact = online("fetch", "--check", "--to", "cache", "--json")
    data = json.loads(intact.out)
    assert (intact.code, data["damaged"], data["missing"], data["superfluous"]) == (0, [], [], [])
    assert [(entry["entry"], entry["complete"]) for entry in data["entries"]] == [(ENTRY, True), (OTHER, True)]
    (tmp_path / "cache" / "files" / ".x.partial").touch()
    truncated, removed = _weights_of(ENTRY, tmp_path), _weights_of(OTHER, tmp_path)
    truncated.write_bytes(truncated.read_bytes()[:-1])
    removed.unlink()
    checked = online("fetch", "--check", "--to", "cache", "--json")
    data = json.loads(checked.out)
    assert (checked.code, data["damaged"]) == (5, [f"files/{truncated.parent.name}/{truncated.name}"])
    assert [name.partition(" ")[0] for name in data["missing"]] == [f"hub:yoshitomo-matsubara/{OTHER}"]
    assert data["superfluous"] == ["files/.x.partial"]
    assert [entry["complete"] for entry in data["entries"]] == [False, False]
    monkeypatch.setenv("ZOO_CACHE", "cache")
    text = online("fetch", "--check", ENTRY)
    assert (text.code, f"`zoo fetch {ENTRY} --to cache` repairs the cache" in text.out) == (5, True)
    assert online("fetch", ENTRY, "--to", "cache").code == online("fetch", OTHER, "--to", "cache").code == 0
    assert online("fetch", "--check").code == 0
    training = online("fetch", "--check", ENTRY, "--train", "--json")
    assert (training.code, json.loads(training.out)["entries"][0]["complete"]) == (4, False)


def test_a_dry_run_prints_sizes_and_writes_nothing(online: Zoo, tmp_path: Path) -> None:
    planned = online("fetch", ENTRY, OTHER, "--to", "cache", "--dry-run", "--json")
    data = json.loads(planned.out)
    assert planned.code == 0, planned.err
    assert not Path("cache").exists()
    assert data["total"]["missing_bytes"] == data["total"]["bytes"] > 0 < data["free_bytes"]
    assert data["total"]["files"] <= sum(entry["files"] for entry in data["entries"])
    assert online("fetch", ENTRY, "--to", "cache").code == 0
    stored = json.loads(online("fetch", "--check", "--to", "cache", "--json").out)
    data = json.loads(online("fetch", ENTRY, "--to", "cache", "--dry-run", "--json").out)
    assert (data["total"]["missing_bytes"], data["entries"][0]["files"]) == (0, data["total"]["files"])
    assert data["total"]["bytes"] >= stored["bytes"]
    assert "free disk: " in online("fetch", ENTRY, "--to", "cache", "--dry-run").out


def test_a_dry_run_without_network_says_that_sizes_are_unknown(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errors come first: one for each server, and the command to run where there is internet."""
    monkeypatch.setenv("ZOO_DEADLINE", "0.4")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    urls = [
        recipe_file(TINY, ("name: tiny", f"name: {name}"), ("model:", f"weights: {DEAD}/{name}.pt\nmodel:"), name=name)
        for name in ("one.yaml", "two.yaml")
    ]
    names = ("digits-resnet8", OTHER, *map(str, urls))
    planned = zoo("fetch", *names, "--to", "my cache", "--dry-run", "--lock", "own.lock")
    assert planned.code == 4
    rows = {line.split()[0]: line.split()[1:] for line in planned.out.splitlines() if line.startswith(names[:2])}
    assert rows[OTHER] == ["0", "unknown", "unknown"]
    assert rows["digits-resnet8"][:3] == ["0", "0", "B"]
    assert "0.0 MB" not in planned.out
    assert "together, each file once: 0 files, unknown; to add: unknown" in planned.out
    (line,) = (line for line in planned.lines if DEAD in line and "downloads from there" in line)
    assert "2 downloads from there are missing" in line
    arguments = shlex.join([OTHER, *map(str, urls)])
    assert f"run `zoo fetch {arguments} --to 'my cache'` on a machine with" in planned.lines[-1]
    data = json.loads(zoo("fetch", *names, "--to", "cache", "--dry-run", "--json", "--lock", "own.lock").out)
    assert data["entries"][0]["unknown_sizes"] == 0 < data["entries"][1]["unknown_sizes"]
    assert data["total"]["unknown_sizes"] > 2


def test_the_advice_for_many_entries_repeats_all(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    planned = zoo("fetch", "--all", "--to", "cache", "--dry-run")
    assert "`zoo fetch --all --to cache` on a machine with internet" in planned.lines[-1]
    assert zoo("fetch", "digits-resnet8", "--to", "cache").code == 0
    checked = zoo("fetch", "--all", "--check", "--to", "cache")
    assert "`zoo fetch --all --to cache` repairs the cache" in checked.out
    (line,) = (
        line for line in checked.out.splitlines() if line.startswith("missing: hub:datasets/nyu-mll/glue: data/cola, ")
    )
    assert line.endswith(" more")
    folder = zoo("verify", "digits-resnet8", "--cache", "absent")
    assert (folder.code, "absent: no such folder; `zoo fetch digits-resnet8 --to" in folder.err) == (4, True)


@pytest.mark.parametrize("options", [("--check",), ("--dry-run",), ("--check", "--dry-run", "--to", "x")])
def test_options_that_need_a_folder_are_refused_without_one(options: tuple[str, ...], zoo: Zoo) -> None:
    completed = zoo("fetch", "digits-resnet8", *options)
    assert (completed.code, len(completed.lines)) == (2, 1)


def test_a_generated_suite_is_in_the_folder(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = GeneratedSuite(origin="a table", entries=[GeneratedEntry(name="torchvision-x", recipe=CARDLESS)])
    monkeypatch.setattr("zoo.suites.torchvision_weights.torchvision_suite", lambda: suite)
    assert zoo("fetch", "torchvision-x", "--to", "cache").code == 0
    go_offline(tmp_path / "cache", tmp_path / "new-home", monkeypatch)
    monkeypatch.setattr("zoo.suites.torchvision_weights.torchvision_suite", refuse)
    assert zoo("list", "torchvision-x").code == 0
    assert zoo("fetch", "--check").code == 0


def _weights_of(entry: str, folder: Path) -> Path:
    """Return the weights of an entry in the cache."""
    pins = json.loads((folder / "cache" / "trusted.json").read_text())["endpoints"]["cache"]
    files = pins[f"hub:yoshitomo-matsubara/{entry}"]["files"]
    digest = next(file["sha256"] for name, file in files.items() if name.endswith((".bin", ".safetensors")))
    return folder / "cache" / "files" / digest[:2] / str(digest)


@pytest.fixture
def cards(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Zoo, LocalHub]]:
    """The command line with a Hub that has data sets and models with cards."""
    rows, model = texts(40), text_model(SENTIMENTS)
    data = text_data(["text"], {"validation": (rows, labels(model, rows, right=33))}, SENTIMENTS)
    good = result("someone/reviews", ("accuracy", 0.825), split="validation")
    unknown, gated, bare = (result(name, ("accuracy", 0.5)) for name in ("someone/absent", "someone/gated", "gone"))
    with LocalHub() as hub:
        hub.add("datasets", "someone/reviews", data)
        hub.add("datasets", "someone/gated", data, gated=True)
        hub.add("models", "someone/good", {**model, "README.md": card(good, unknown, gated, bare)})
        hub.add("models", "someone/none", {**model, "README.md": card(unknown)})
        recipe = CARDLESS.replace("name: torchvision-x", "name: published")
        hub.add("models", "someone/recipe", {"zoo.yaml": recipe.encode()})
        yield use_hub(hub, zoo, cache=tmp_path / "hub", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch), hub


def test_models_of_a_list_are_judged_the_same_from_the_cache(
    cards: tuple[Zoo, LocalHub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = cards
    Path("models.txt").write_text("someone/good\nsomeone/none\nsomeone/recipe\n")
    command = ("verify", "--from", "models.txt", "--json", "--device", device())
    expected = run(*command, "--records", "online")
    run("fetch", "--from", "models.txt", "--to", "cache")
    go_offline(tmp_path / "cache", tmp_path / "new-home", monkeypatch)
    found = run(*command, "--records", "offline")
    assert found.code == expected.code, found.err

    def facts(text: str) -> list[tuple[str, ...]]:
        entries = json.loads(text)["entries"]
        return [(each["entry"], each["verdict"], str(each.get("not_compared")), str(each["error"])) for each in entries]

    assert facts(found.out) == facts(expected.out)
    assert sorted(verdict for _, verdict, *_ in facts(found.out)) == ["not-compared", "not-compared", "reproduced"]
    assert keys_of(Path("offline")) == keys_of(Path("online"))
    assert run("fetch", "--check").code == 0
    searched = run("verify", "--search", "task:text-classification")
    assert (searched.code, "a search of the Hub is not in the cache" in searched.err) == (4, True)


def test_a_table_of_timm_is_in_the_folder(
    cards: tuple[Zoo, LocalHub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, hub = cards
    hub.plain["results-imagenet.csv"] = TIMM_TABLE.encode()
    monkeypatch.setattr("zoo.suites.timm_results.Table.url", property(lambda table: f"{hub.url}/plain/{table.file}"))
    assert run("fetch", "--suite", "timm", "--to", "cache").code == 4  # this Hub has no weights of timm
    expected = run("suite", "timm", "--json").out
    go_offline(tmp_path / "cache", tmp_path / "new-home", monkeypatch)
    counts = {row["suite"]: row["entries"] for row in json.loads(run("suite", "--json").out)["suites"]}
    assert (counts["timm"], counts["timm-sketch"]) == (1, None)
    assert run("suite", "timm", "--json").out == expected
    assert "zoo fetch timm-sketch --to" in run("suite", "timm-sketch").err
