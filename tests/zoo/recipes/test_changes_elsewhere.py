"""`--changed-since` in somebody's own repository, with their own recipes and code."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.git import git
from tests.helpers.project import TINY, Zoo
from zoo.recipes import catalogue
from zoo.recipes.changes import changed_since

Affected = Callable[[], dict[str, str]]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two recipes: one names its model in `mine.py`, the other local weights."""
    root = tmp_path / "theirs"
    (root / "recipes").mkdir(parents=True)
    (root / "weights").mkdir()
    (root / "mine.py").write_text("")
    (root / "weights" / "a.safetensors").write_bytes(b"a")
    (root / "requirements.txt").write_text("torch\n")
    (root / "README.md").write_text("")
    own_model = TINY.replace("name: tiny", "name: coded").replace("use: cifar_resnet", "use: mine.net")
    (root / "recipes" / "coded.yaml").write_text(own_model)
    weighted = TINY.replace("name: tiny", "name: weighted").replace(
        "model:", "weights: file:weights/a.safetensors\nmodel:"
    )
    (root / "recipes" / "weighted.yaml").write_text(weighted)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "all")
    monkeypatch.chdir(root)
    return root


def affected(lock: Path | None = None) -> dict[str, str]:
    return changed_since("HEAD", catalogue.select(["recipes"]), lock)


def test_a_folder_selects_its_recipes(repository: Path) -> None:
    assert [entry.name for entry in catalogue.select(["recipes"])] == ["coded", "weighted"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("README.md", []),
        ("recipes/coded.yaml", ["coded"]),
        ("recipes/weighted.fingerprint.json", ["weighted"]),
        ("mine.py", ["coded"]),
        ("helpers/other.py", ["coded"]),
        ("weights/a.safetensors", ["weighted"]),
        ("requirements.txt", ["coded", "weighted"]),
        ("requirements-gpu.txt", ["coded", "weighted"]),
        ("pyproject.toml", ["coded", "weighted"]),
    ],
)
def test_a_changed_file_affects_the_recipes_that_use_it(path: str, names: list[str], repository: Path) -> None:
    (repository / path).parent.mkdir(exist_ok=True)
    with (repository / path).open("a") as file:
        file.write("\n# changed\n")
    assert affected() == dict.fromkeys(names, path)


def test_a_changed_pin_in_the_lock_of_the_repository_affects_its_readers(repository: Path) -> None:
    text = (repository / "recipes/weighted.yaml").read_text().replace("file:weights/a.safetensors", "hub:them/model")
    (repository / "recipes/weighted.yaml").write_text(text)
    lock, pin = repository / "their.lock", {"files": {"a": {"size": 1}}, "revision": "a" * 40}
    lock.write_text(json.dumps({"schema": 1, "sources": {"hub:them/model": pin}}))
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "a lock")
    assert affected(lock) == {}
    lock.write_text(json.dumps({"schema": 1, "sources": {"hub:them/model": pin | {"revision": "b" * 40}}}))
    assert affected(lock) == {"weighted": "the lock's pin of hub:them/model"}
    assert affected() == {}


def test_verify_compares_with_the_repository_of_the_working_directory(
    repository: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    done = zoo("verify", "recipes", "--changed-since", "HEAD")
    assert (done.code, done.err) == (0, "none of the 2 entries has changed since HEAD\n")
    os.utime(repository / "recipes/coded.yaml")
    assert zoo("verify", "recipes", "--changed-since", "HEAD").err == done.err
