"""Completion: what bash, zsh and fish get when they ask as their scripts do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.project import ROOT, Zoo
from zoo.cli.completion import PREFIX, join_words

Complete = Callable[..., list[str]]
DIGITS = ["digits-resnet14", "digits-resnet8", "digits-resnet8_from_digits-resnet14"]


@pytest.fixture
def complete(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Return what bash gets for these words, the last of which is completed."""

    def run(*words: str) -> list[str]:
        for name, value in {
            "_ZOO_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1),
            PREFIX: "",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        return zoo().out.split()

    return run


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ver"], ["verify"]),
        (["attest", "s"], ["sign"]),
        (["verify", "digits-res"], DIGITS),
        (["verify", "digits-resnet8", "start"], ["starter"]),
        (["verify", "--suite", "timm-s"], ["timm-sketch"]),
        (["suite", "pasc"], ["pascal_voc2012"]),
        (["evaluate", "x.csv", "--as", "digits-resnet1"], ["digits-resnet14"]),
        (["verify", "--fr"], ["--from", "--fresh"]),
        (["verify", "--precision", "f"], ["fp32", "fp16"]),
        (["verify", "--precision", "=", "f"], ["fp32", "fp16"]),
        (["verify", "--on", ""], ["local", "slurm", "ray", "hf-jobs"]),
        (["verify", "--device", "c"], ["cpu", "cuda"]),
        (["verify", "--fail-on", "inconclusive,not-r"], [f"inconclusive,not-{v}" for v in ("reproduced", "run")]),
        (["publish", "digits-resnet1"], ["digits-resnet14"]),
        (["diff", "digits-resnet8", ":", "w"], ["weights"]),
        (["diff", "digits-resnet8", ":", "1000", "digits-resnet8", ":", "w"], ["weights"]),
        (["diff", "digits-resnet8:w"], ["digits-resnet8:weights"]),
        (["verify", "nothing-like-this"], []),
    ],
)
def test_entries_suites_runs_and_choices_are_offered(words: list[str], offered: list[str], complete: Complete) -> None:
    assert complete("zoo", *words) == offered


def test_recipe_files_are_offered_but_no_name_that_a_shell_could_run(complete: Complete) -> None:
    Path("own").mkdir()
    for name in ("mine.yaml", "mine.txt", "mine$(touch x).yaml", "mine\\$(touch x).yaml", "mine`x`.yaml", "own/a.yml"):
        Path(name.replace("touch x", "touch_x")).touch()
    assert complete("zoo", "train", "mine") == ["mine.yaml"]
    assert complete("zoo", "train", "own/") == ["own/a.yml"]


def test_the_runs_of_the_user_are_offered(complete: Complete) -> None:
    for name in ("retrain-seed7-0123456789ab", "weights-0123456789ab", ".unfinished"):
        (Path("own") / "mine" / name).mkdir(parents=True)
    assert complete("zoo", "publish", "--records", "own", "mine") == ["mine"]
    assert complete("zoo", "publish", "--records", "own", "mine", ":", "") == ["7", "weights"]


def test_words_without_colons_are_left_alone() -> None:
    environment = {"_ZOO_COMPLETE": "complete_bash", "COMP_WORDS": "zoo\nverify\n", "COMP_CWORD": "2"}
    join_words(environment)
    assert (environment["COMP_WORDS"], environment["COMP_CWORD"]) == ("zoo\nverify\n", "2")


@pytest.mark.process
def test_completion_imports_neither_torch_nor_the_libraries_of_the_hub(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['zoo']\nfrom zoo.cli import main\ntry: main()\nfinally:"
        " print([m for m in ('torch', 'transformers', 'huggingface_hub', 'numpy', 'requests') if m in sys.modules])"
    )
    done = _shell([sys.executable, "-c", code], tmp_path, _ZOO_COMPLETE="complete_bash",
        COMP_WORDS="zoo\nverify\ndigits-resnet1", COMP_CWORD="2")  # fmt: skip
    assert done.splitlines() == ["digits-resnet14", "[]"]


BASH = """\
source <(_ZOO_COMPLETE=source_bash zoo)
COMP_WORDS=(zoo diff digits-resnet8 : w); COMP_CWORD=4; _zoo_completion zoo; echo "${COMPREPLY[@]}"
"""
ZSH = """\
compdef() { : }; _arguments() { print -r -- $1 }; words=(zoo verify digits-resnet1); CURRENT=3
source <(_ZOO_COMPLETE=source_zsh zoo); _zoo_completion
"""
FISH = """\
_ZOO_COMPLETE=source_fish zoo | source; complete -C "zoo verify digits-resnet1"
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("shell", "script", "offered"),
    [
        (["bash", "--norc", "-c"], BASH, "weights"),
        (["zsh", "-f", "-c"], ZSH, "digits-resnet14"),
        (["fish", "--no-config", "-c"], FISH, "digits-resnet14"),
    ],
)
def test_the_script_for_a_shell_completes_there(shell: list[str], script: str, offered: str, tmp_path: Path) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    command = tmp_path / "bin" / "zoo"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zoo "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    assert offered in _shell([*shell, script], tmp_path, PATH=path)


def test_install_completion_is_an_option(zoo: Zoo) -> None:
    assert "--install-completion" in zoo("--help").out


def _shell(command: list[str], folder: Path, **env: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder), "ZOO_HOME": str(folder / "home")} | env
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout
