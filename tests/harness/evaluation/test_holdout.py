"""A seeded hold-out: the rows of torch's `random_split`, which the training never sees."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import random_split

from harness.evaluation.holdout import held_out_rows, with_holdout
from harness.training.epoch_scores import selection_criterion
from tests.helpers.project import TINY, Write, Zoo
from tests.helpers.training import training_of
from zoo.errors import UsageError
from zoo.recipes.schema import Holdout
from zoo.tasks import digits
from zoo.tasks.base import Task
from zoo.tasks.pixels import PixelSplit

TENTH = Holdout(of="train", share=0.1, seed=42)
HOLDOUT = "holdout: {of: train, share: 0.1, seed: 42}\n"


def test_the_rows_are_those_of_random_split() -> None:
    stay, held = held_out_rows(50_000, TENTH)
    parts = random_split(range(50_000), [45_000, 5_000], torch.Generator().manual_seed(42))  # type: ignore[arg-type]
    assert [stay, held] == [sorted(part.indices) for part in parts]
    assert [len(part) for part in held_out_rows(899, TENTH)] == [810, 89]
    with pytest.raises(UsageError, match="leaves one of the parts empty"):
        held_out_rows(1, TENTH)


def test_both_parts_have_their_own_rows_and_ids() -> None:
    whole, task = digits().load("train"), with_holdout(digits(), TENTH)
    stay, held = held_out_rows(len(whole), TENTH)
    for name, rows in (("train", stay), ("validation", held)):
        part = task.load(name)
        batch = part.batch([0, 3])
        assert torch.equal(batch.inputs, whole.batch([rows[0], rows[3]]).inputs)
        assert (batch.ids.tolist(), len(part), task.content(name)["rows"]) == ([0, 3], len(rows), len(rows))
        assert torch.equal(part.labels, whole.labels[rows])
    assert task.scored == ("test", "validation")
    with pytest.raises(UsageError, match="has a split 'test' already; choose another name: `name: held_out`"):
        with_holdout(digits(), Holdout(of="train", share=0.1, seed=42, name="test"))
    with pytest.raises(ValueError, match="below 2\\*\\*63"):
        Holdout(of="train", share=0.1, seed=2**63)


def test_held_out_images_are_not_augmented() -> None:
    def load(*, flip: bool) -> PixelSplit:
        pixels = torch.arange(10 * 3 * 4, dtype=torch.uint8).reshape(10, 3, 2, 2)
        return PixelSplit(pixels, torch.arange(10), mean=[0.0] * 3, std=[1.0] * 3, flip=flip)

    task = Task(
        name="x", splits={"train": lambda: load(flip=True)}, scored=(), metrics=(),
        plain={"train": lambda: load(flip=False)},
    )  # fmt: skip
    held = with_holdout(task, TENTH)
    assert [getattr(held.load(name), "fixed", None) for name in ("train", "validation")] == [False, True]
    with pytest.raises(UsageError, match="without its random transforms"):
        with_holdout(Task(name="x", splits=task.splits, scored=(), metrics=()), TENTH).load("validation")


def test_a_recipe_trains_without_the_held_out_rows_and_scores_them(zoo: Zoo, recipe_file: Write) -> None:
    claim = "claims: [{of: retrain, split: validation, metric: accuracy, value: 0.3, n: 89, source: s}]\n"
    runs = []
    for holdout in (HOLDOUT, HOLDOUT.replace("42", "43")):
        completed = zoo("train", recipe_file(TINY + holdout + claim), "--json")
        assert completed.code == 0, completed.err
        runs.append(json.loads(Path(json.loads(completed.out)["record"]).read_text()))
    data = runs[0]["sources"]["data"]
    assert {name: split["rows"] for name, split in data.items()} == {"train": 810, "validation": 89, "test": 898}
    assert [(result["split"], result["n"]) for result in runs[0]["results"]] == [("test", 898), ("validation", 89)]
    assert runs[0]["key"] != runs[1]["key"]
    for wrong, message in (
        ("of: trian", "no split 'trian'; did you mean train"),
        ("name: test, of: train", "has a split 'test' already"),
        ("of: train, share: 1.5, seed: -1", "share must be above 0"),
    ):
        text = HOLDOUT.replace("of: train, share: 0.1, seed: 42" if "share" in wrong else "of: train", wrong)
        assert message in zoo("check", recipe_file(TINY + text)).err


def test_the_best_epoch_is_selected_on_the_holdout(recipe_file: Write, tmp_path: Path) -> None:
    """Selecting on the test split would make its score optimistic."""
    for holdout, split in ((HOLDOUT, "validation"), ("", "test")):
        run = training_of(recipe_file(TINY.replace("- epochs", "- selection: best\n    epochs") + holdout), tmp_path)
        assert selection_criterion(run, run.recipe.stages[0]) == (split, ("accuracy",))


def test_a_holdout_of_a_users_task_is_refused_before_anything_is_trained(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_digits.py").write_text("from zoo.tasks import digits\n")
    monkeypatch.syspath_prepend(tmp_path)
    for holdout, message in (
        ("trian", "no split 'trian'; did you mean train"),
        ("train, name: test", "'test' already"),
    ):
        path = recipe_file(
            TINY.replace("task: digits", "task: own_digits.digits") + HOLDOUT.replace("of: train", f"of: {holdout}")
        )
        completed = zoo("train", path, "--trust", "own_digits")
        assert (completed.code, message in completed.err) == (2, True), completed.err
