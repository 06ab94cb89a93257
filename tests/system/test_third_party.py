"""A walk through a repository of somebody else: own recipes, own model code, own CI and own leaderboard."""

import json
from pathlib import Path

import pytest

from tests.helpers.device import device
from tests.helpers.git import git
from tests.helpers.project import TINY, Zoo

CODE = '''"""Our model."""
from torch import nn


def small(width: int = 8) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
'''
OURS = TINY.replace("name: tiny", "name: ours").replace(
    "model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}",
    "model: {use: ours.small, width: 16}",
)
CLAIM = """\
weights: file:models/ours.safetensors
claims:
  - {of: weights, split: test, metric: accuracy, value: VALUE, decimals: 4, source: our README}
"""
OPTIONS = ("--trust", "ours", "--device", device(), "--records", "runs")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "research"
    (root / "recipes").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "ours.py").write_text(CODE)
    (root / "recipes/ours.yaml").write_text(OURS)
    (root / "requirements.txt").write_text("zoo-reproduce==0.2.0\n")
    (root / ".gitignore").write_text("runs/\nsite/\nzoo.xml\n")
    git(root, "init", "--quiet", "--initial-branch", "main")
    monkeypatch.chdir(root)
    return root


def publish(zoo: Zoo, root: Path) -> float:
    """Train the model, put its weights and its claim into the repository, and return the claimed score."""
    trained = zoo("train", "recipes/ours.yaml", "--trust", "ours", "--device", device(), "--out", "out", "--json")
    assert trained.code == 0, trained.err
    value = round(json.loads(trained.out)["results"][0]["metrics"]["accuracy"], 4)
    (root / "out/model.safetensors").rename(root / "models/ours.safetensors")
    (root / "recipes/ours.yaml").write_text(OURS + CLAIM.replace("VALUE", str(value)))
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "our model")
    return value


def test_a_third_party_checks_verifies_and_publishes_its_own_models(
    zoo: Zoo, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    value = publish(zoo, repository)
    assert zoo("check", "recipes", "--trust", "ours").out == f"{Path('recipes/ours.yaml')}: ok\n"
    locked = zoo("lock", "--update", "recipes", "--lock", "zoo.lock", "--trust", "ours")
    assert locked.code == 0, locked.err
    assert zoo("lock", "--check", "recipes", "--lock", "zoo.lock", "--trust", "ours").code == 0
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "a lock")

    assert zoo("verify", "recipes", *OPTIONS, "--lock", "zoo.lock").code == 0
    quiet = zoo("verify", "recipes", *OPTIONS, "--changed-since", "HEAD")
    assert quiet.err == "the entry has not changed since HEAD\n"

    recipe = repository / "recipes/ours.yaml"
    recipe.write_text(recipe.read_text().replace(str(value), f"{(round(value * 898) + 45) / 898:.7f}"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(repository / "summary.md"))
    failed = zoo("verify", "recipes", *OPTIONS, "--changed-since", "main", "--junit", "zoo.xml")
    assert failed.code == 1
    assert "changed: recipes/ours.yaml: ours" in failed.err
    assert "::error file=recipes/ours.yaml,title=ours" in failed.err
    assert 'failures="1"' in (repository / "zoo.xml").read_text()
    assert "not-reproduced" in (repository / "summary.md").read_text()
    monkeypatch.delenv("GITHUB_ACTIONS")
    git(repository, "checkout", "--quiet", "recipes")

    page = zoo("leaderboard", "recipes", "--records", "runs")
    assert page.out.startswith("1 claim of 1 entry: 1 reproduced.\n")
    assert zoo("leaderboard", "recipes", "--records", "runs", "--html", "site").code == 0
    entry = (repository / "site/entries/ours.html").read_text()
    (record,) = (repository / "site/records/ours").iterdir()
    assert f'href="../records/ours/{record.name}"' in entry
    assert 'href="../verdicts.html"' in entry
    assert {path.name for path in (repository / "site").glob("*.html")} == {"audit.html", "index.html", "verdicts.html"}
