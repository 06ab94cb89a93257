"""lock: show, check and update what is pinned."""

import hashlib
import shlex
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.helpers.project import TINY, Write, Zoo


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ('{"sources": {"hub:a/b": {"files": {"x": {"size": "x"}}}}}', "x: size cannot be 'x'"),
        ('{"sources": {"hub:a/b": {"files": {"x": {"sha256": 7}}}}}', "x: sha256 cannot be 7"),
        ('{"schema": 9, "sources": {}}', "its schema is 9"),
        ('{"endpoints": []}', "own.lock: "),
        ("[", "the lock cannot be read"),
    ],
)
def test_a_damaged_lock_is_exit_5_and_one_line(content: str, name: str, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "own.lock").write_text(content)
    completed = zoo("check", "digits-resnet8", "--lock", "own.lock")
    assert (completed.code, len(completed.lines)) == (5, 1)
    assert name in completed.err


def test_the_lock_is_checked_against_all_recipes(zoo: Zoo) -> None:
    assert zoo("lock", "--check").out.rstrip().endswith("zoo.lock: ok")
    completed = zoo("lock", "--check", "--update")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert len(zoo("lock").out.splitlines()) > 40


def test_the_lock_is_checked_against_a_recipe_of_ones_own(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file(TINY.replace("model:", "weights: https://example.org/a.pt\nmodel:"))
    problem = "https://example.org/a.pt is named by a recipe and not in the lock\n"
    completed = zoo("lock", "--check", recipe, "--lock", "own.lock")
    assert (completed.code, completed.err.endswith(f"own.lock: {problem}")) == (1, True)
    assert zoo("lock", "--check", "digits-resnet8").code == 0


def test_a_mirror_serves_a_file_after_its_digest_is_pinned(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message for a file that is not pinned names the command that pins it."""
    content = b"weights"
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "other-name").write_bytes(content)
    recipe = recipe_file(TINY.replace("model:", "weights: https://example.invalid/a.pt\nmodel:"))
    options = ("--mirror", "mirror", "--lock", "own.lock")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    missing = zoo("fetch", recipe, *options)
    assert missing.code == 4
    suggested = shlex.split(missing.err.splitlines()[-1].partition("is pinned: zoo ")[2])
    digest = hashlib.sha256(content).hexdigest()
    command = [word.replace("SHA256", digest) for word in suggested]
    assert zoo(*command, "--lock", "own.lock").out == f"+ https://example.invalid/a.pt a.pt sha256 {digest}\n"
    assert zoo("fetch", recipe, *options).code == 0
    other = zoo("lock", "--lock", "own.lock", "--add-digest", f"https://example.invalid/a.pt={'0' * 64}")
    assert (other.code, "expected sha256" in other.err) == (5, True)


@pytest.mark.parametrize("text", ["a.pt=12", f"hub:a/b#c={'0' * 64}", f"https://a.org/b.pt={'g' * 64}", "="])
def test_a_malformed_digest_is_refused_with_the_right_forms(text: str, zoo: Zoo) -> None:
    completed = zoo("lock", "--add-digest", text, "--lock", "own.lock")
    assert (completed.code, "hub:OWNER/NAME@COMMIT#FILE=SHA256" in completed.err) == (2, True)
    assert not Path("own.lock").exists()
