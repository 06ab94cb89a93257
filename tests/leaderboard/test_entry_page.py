"""The page of an entry: its runs, commands, and the comparison of records of the same weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.records.find_runs import read_all
from leaderboard.entry_page import commands
from leaderboard.flips import compare_records
from tests.helpers.html_tree import parse_page
from tests.helpers.project import ROOT
from zoo.recipes import catalogue

EVIDENCE = ROOT / "leaderboard" / "records"
PLOTTED, UNRUN = "digits-resnet8_from_digits-resnet14", "bert-base-uncased-mrpc"


def test_a_page_shows_every_run_and_the_recipe(built_site: Path) -> None:
    root = parse_page(built_site / "entries" / f"{PLOTTED}.html")
    records = [record for _, record in read_all(EVIDENCE) if record.entry == PLOTTED]
    for record in records:
        assert record.identity.folder in root.text
        assert record.identity.key[:12] in root.text
        assert record.environment["commit"][:7] in root.text
    assert f"name: {PLOTTED}" in root.all("pre")[-1].text
    assert len(root.all("circle")) == sum(record.identity.is_reference for record in records)
    assert {element.text for element in root.all("dt")} >= {"torch", "python", "threads", "device"}


def test_a_page_shows_the_commands_that_run_the_claims_again(built_site: Path) -> None:
    root, claim = (
        parse_page(built_site / "entries" / f"{PLOTTED}.html"),
        catalogue.select_one(PLOTTED).recipe.claims[-1],
    )
    reference = f" --train --seeds {claim.reference_runs} --first-seed 1000"
    for arguments in ("", f" --train --seeds {claim.seeds}", reference):
        assert f"zoo reproduce {PLOTTED}{arguments}" in [element.text for element in root.all("code")]


def test_the_page_of_an_entry_without_runs_says_so(built_site: Path) -> None:
    root = parse_page(built_site / "entries" / f"{UNRUN}.html")
    assert "No run of this entry is committed." in root.text
    assert f"zoo reproduce {UNRUN} --train --seeds 8" in root.text
    assert not root.all("svg")


def test_commands_name_the_data_that_a_user_must_provide() -> None:
    shown = dict(commands(catalogue.select_one("ilsvrc2012-resnet18_from_resnet34")))
    assert shown
    assert all(command.endswith(" --data ilsvrc2012=DIR") for command in shown.values())


@pytest.fixture
def changed_predictions(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The file and arrays of published weights, in a copy of the records, with one prediction gained and two lost."""
    shutil.copytree(EVIDENCE / PLOTTED, tmp_path / PLOTTED)
    file = next((tmp_path / PLOTTED).glob("weights-*/*.npz"))
    with np.load(file) as stored:
        arrays = dict(stored)
    wrong = np.flatnonzero(arrays["predictions"] != arrays["labels"])[:1]
    right = np.flatnonzero(arrays["predictions"] == arrays["labels"])[:2]
    arrays["predictions"][wrong] = arrays["labels"][wrong]
    arrays["predictions"][right] = (arrays["labels"][right] + 1) % 10
    arrays["logits"][0, 0] += 0.5
    np.savez(file, **arrays)
    return file, arrays


def test_predictions_of_the_same_weights_are_compared_example_by_example(
    changed_predictions: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    (row,) = compare_records(catalogue.select_one(PLOTTED), read_all(tmp_path))
    n = len(changed_predictions[1]["labels"])
    assert (row["n"], row["differ"], row["gained"], row["lost"]) == (n, 3, 1, 2)
    assert row["drift"] == pytest.approx(0.5, abs=1e-6)
    assert (row["a"].split("-")[1], row["b"].split("-")[0]) == ("seed1000", "weights")


def test_records_of_other_examples_are_not_compared(
    changed_predictions: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    file, arrays = changed_predictions
    arrays["labels"][0] += 1
    np.savez(file, **arrays)
    assert not compare_records(catalogue.select_one(PLOTTED), read_all(tmp_path))
