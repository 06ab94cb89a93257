"""fetch: download the files of entries ahead of time."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.helpers.device import device
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.recipes.prefetch import DownloadSize


def test_fetch_lists_the_files_that_entries_need(zoo: Zoo) -> None:
    completed = zoo("fetch", "digits-resnet8", "--json")
    assert completed.code == 0, completed.err
    data = json.loads(completed.out)
    assert data["errors"] == []
    assert [source["needed_for"] for source in data["fetched"]] == ["weights"]


def test_fetch_says_why_nothing_is_downloaded_for_shipped_entries(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    reason = "nothing to download for digits-resnet8: all that is read is shipped with zoo"
    assert reason in zoo("fetch", "digits-resnet8").out
    planned = zoo("fetch", "digits-resnet8", "--to", "cache", "--dry-run")
    assert reason in planned.out
    assert zoo("fetch", "digits-resnet8", "--to", "cache").code == 0
    assert "complete, nothing to download" in zoo("fetch", "--check", "--to", "cache").out
    weights = ROOT / "zoo/starter/digits-resnet8.safetensors"
    local = recipe_file(TINY.replace("model:", f"weights: file:{weights}\nmodel:"))
    assert "nothing to download for tiny: all that is read are files of this machine" in zoo("fetch", local).out


def test_a_server_without_an_answer_is_tried_once_and_named_on_one_line(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DEADLINE", "0.4")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    names = ("bert-base-uncased-mrpc", "bert-base-uncased-rte", "digits-resnet8")
    completed = zoo("fetch", *names, "--json")
    assert completed.code == 4
    errors = set(json.loads(completed.out)["errors"])
    assert len(errors) > 2
    (line,) = (line for line in completed.lines if "did not answer in" in line)
    assert line.startswith("http://127.0.0.1:9 did not answer")
    assert f"{len(errors)} downloads from there are missing; --json lists them" in line
    assert f"no connection: run `zoo fetch {' '.join(names[:2])} --to DIR`" in completed.lines[-1]


def test_a_model_of_the_hub_that_cannot_be_reached_is_named_in_the_advice(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DEADLINE", "0.4")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    completed = zoo("fetch", "someone/model")
    assert completed.code == 4
    assert "run `zoo fetch someone/model --to DIR` on a machine with internet" in completed.lines[-1]
    assert "MB to download" not in completed.err


def test_an_unknown_size_of_downloads_is_not_shown_as_zero(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DEADLINE", "0.4")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert "3 parts of 2 sources, size unknown\n" in zoo("fetch", "bert-base-uncased-mrpc").err
    assert str(DownloadSize(known=10**6, unknown=1)) == "1.0 MB and 1 part of unknown size to download"


def test_a_training_without_network_names_the_option_that_fetches_what_it_reads(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for command in (["verify", "bert-base-uncased-mrpc", "--train"], ["train", "bert-base-uncased-mrpc"]):
        completed = zoo(*command, "--device", device())
        assert completed.code == 4
        assert "run `zoo fetch bert-base-uncased-mrpc --train` once without HF_HUB_OFFLINE" in completed.err


def test_an_entry_without_its_teacher_does_not_stop_the_others(zoo: Zoo, recipe_file: Write) -> None:
    first = recipe_file(TINY, ("    criterion", "    teacher: {run: gone.yaml}\n    criterion"), name="first.yaml")
    starter = (ROOT / "configs" / "starter" / "digits-resnet8.yaml").read_text(encoding="utf-8")
    second = recipe_file(starter, ("name: digits-resnet8", "name: second"), name="second.yaml")
    message = f"{first}:10:15: there is no recipe file gone.yaml in {first.parent}"
    weights = "embedded:digits-resnet8.safetensors"
    fetched = zoo("fetch", "--train", first, second, "--json")
    assert (fetched.code, fetched.lines[-1]) == (2, message)
    assert [source["source"] for source in json.loads(fetched.out)["fetched"]] == [weights]
    shown = zoo("lock", first, second)
    assert (shown.code, shown.err, weights in shown.out) == (2, f"{message}\n", True)
    checked = zoo("lock", "--check", first, second)
    assert (checked.code, checked.out, checked.err) == (2, "", f"{message}\n")
    updated = zoo("lock", "--update", first, second, "--lock", "own.lock")
    assert (updated.code, updated.lines[-1]) == (2, message)
    assert message in zoo("list", first, second, "--here", "--json").out
