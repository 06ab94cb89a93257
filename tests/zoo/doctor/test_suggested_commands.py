"""The commands that messages suggest run as they are printed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hub_server import LocalHub
from tests.helpers.project import TINY, Write, Zoo
from zoo.doctor import examine
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue

CLAIM = "claims:\n  - {of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.01, source: a paper}\n"
COMMAND = re.compile(r"zoo ((?:lock|reproduce) .*)")


@pytest.fixture
def server() -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.plain["weights.pt"] = b"weights"
        yield server


def suggested(text: str) -> list[str]:
    """Return the arguments of the one command in a text."""
    match = COMMAND.search(text)
    assert match, text
    return shlex.split(match[1])


def fix(path: Path, code: str) -> str:
    (hazard,) = [hazard for hazard in examine(catalogue.local(path), Sources(data={})) if hazard.code == code]
    return hazard.fix


def test_the_fix_of_an_unknown_digest_pins_it(
    zoo: Zoo, server: LocalHub, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "other.lock"))
    path = recipe_file(f"{TINY}weights: {server.url}/plain/weights.pt\n")
    completed = zoo(*suggested(fix(path, "D102")))
    assert (completed.code, f"+ {server.url}/plain/weights.pt" in completed.out) == (0, True), completed.err


def test_the_hint_at_a_lock_that_does_not_exist_writes_it(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(TINY)
    for arguments, named in (([path], shlex.quote(str(path))), (["--suite", "starter"], "starter")):
        lock = tmp_path / f"my {len(arguments)}.lock"
        (hint,) = [line for line in zoo("check", *arguments, "--lock", lock).lines if "no such lock yet" in line]
        (command,) = re.findall(r"`zoo (lock .*)` writes the lock", hint)
        assert command == f"lock --update {named} --lock {shlex.quote(str(lock))}"
        completed = zoo(*shlex.split(command))
        assert (completed.code, lock.exists()) == (0, True), completed.err
        assert "no such lock" not in zoo("check", *arguments, "--lock", lock).err


def test_the_fix_of_a_reference_without_a_seed_trains_reference_runs(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(TINY + CLAIM)
    command = suggested(fix(path, "D201"))
    assert command[-4:] == ["--seeds", "5", "--first-seed", "1000"]
    completed = zoo(*command[:-3], "1", *command[-2:])  # four seeds fewer, for time
    assert completed.code in (0, 1, 3), completed.err


def test_the_advice_for_a_missing_download_works_while_online(
    zoo: Zoo, server: LocalHub, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_LOCK", str(tmp_path / "other.lock"))
    path = recipe_file(f"{TINY}weights: {server.url}/plain/weights.pt\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    offline = zoo("reproduce", path)
    assert (offline.code, f"run `zoo fetch {path}` once" in offline.err) == (4, True), offline.err
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert zoo("fetch", path).code == 0
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "`zoo fetch" not in zoo("reproduce", path).err


def test_the_advice_for_a_foreign_package_lets_the_recipe_be_checked(
    zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    (tmp_path / "foreign_losses.py").write_text("from harness.losses import CrossEntropy\n")
    path = recipe_file(TINY, ("loss: CrossEntropy", "loss: foreign_losses.CrossEntropy"))
    refused = zoo("check", path)
    assert refused.code == 2
    (option,) = re.findall(r"(--trust \w+) allows", refused.err)
    assert zoo("check", path, *option.split()).code == 0
