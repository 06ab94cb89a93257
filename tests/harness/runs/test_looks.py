"""Looks at the trainings of an entry are counted in the folder of its runs."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from harness.judging.judge_runs import Outcome, claim_name
from harness.judging.types import Judgement, Verdict
from harness.records.record import RecordedRun, read_record
from harness.runs.looks import FILE, look_numbers, record_look
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.recipes import catalogue

ENTRY = catalogue.select_one("digits-resnet8")
PATH = next((ROOT / "leaderboard" / "records" / ENTRY.name).glob("retrain-seed0-*/record.json"))


def with_seeds(*seeds: int) -> list[RecordedRun]:
    record = read_record(PATH)
    return [(PATH, replace(record, identity=replace(record.identity, seed=seed))) for seed in seeds]


CLAIM = next(claim for claim in ENTRY.recipe.claims if claim.of == "retrain")
NAME = claim_name(CLAIM)


def looked(folder: Path, *seeds: int, verdict: Verdict = "inconclusive") -> None:
    """Record a look at the runs with these seeds."""
    judgement = Judgement(claim=CLAIM, verdict=verdict, why="")
    outcome = Outcome(entry=ENTRY, mode="retrain", verdict=verdict, judgements=(judgement,))
    record_look(folder, outcome, with_seeds(*seeds))


def look(folder: Path, *seeds: int) -> int:
    """Return the number of this look at the claim."""
    return look_numbers(folder, ENTRY, with_seeds(*seeds)).get(NAME, 1)


def test_more_seeds_after_an_open_verdict_are_a_new_look(tmp_path: Path) -> None:
    assert look(tmp_path, 0, 1, 2) == 1
    looked(tmp_path, 0, 1, 2)
    assert look(tmp_path, 0, 1, 2, 3) == 2
    looked(tmp_path, 0, 1, 2, 3)
    assert look(tmp_path, 0, 1) == 3
    assert look(tmp_path, 100, 101) == 1  # fresh seeds are a test of their own


def test_the_same_seeds_again_keep_the_number_of_their_look(tmp_path: Path) -> None:
    for seeds in ((0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1)):
        looked(tmp_path, *seeds)
    assert [look(tmp_path, 1, 0), look(tmp_path, 0, 1, 2), look(tmp_path, 3, 0, 1, 2)] == [1, 2, 3]


def test_a_claim_that_is_settled_needs_no_further_look(tmp_path: Path) -> None:
    looked(tmp_path, 0, 1, verdict="reproduced")
    assert look(tmp_path, 0, 1, 2) == 1


def test_looks_at_another_version_of_the_recipe_do_not_count(tmp_path: Path) -> None:
    looked(tmp_path, 0)
    path = tmp_path / ENTRY.name / FILE
    path.write_text(json.dumps({"other": json.loads(path.read_text())[ENTRY.recipe.digest]}))
    assert look(tmp_path, 0, 1) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"x": 1}', '{"x": [["a"]]}', '{"x": [{"seeds": 1}]}'])
def test_a_damaged_file_of_looks_counts_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ENTRY.name).mkdir()
    (tmp_path / ENTRY.name / FILE).write_text(text)
    assert look(tmp_path, 0, 1) == 1
    looked(tmp_path, 0)
    assert look(tmp_path, 0, 1) == 2


def test_looks_at_another_claimed_value_do_not_count(tmp_path: Path) -> None:
    looked(tmp_path, 0)
    (path,) = tmp_path.glob(f"*/{FILE}")
    path.write_text(path.read_text().replace(str(CLAIM.value), "0.5"))
    assert look(tmp_path, 0, 1) == 1


def test_commands_that_end_at_once_lose_no_look(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(looked, tmp_path), range(8)))
    assert len(json.loads((tmp_path / ENTRY.name / FILE).read_text())[ENTRY.recipe.digest]) == 8


OPEN = "claims:\n  - {of: retrain, split: test, metric: accuracy, value: 0.99999, sigma: 0.2, source: x, n: 898}\n"


def test_reproduce_counts_its_looks_and_ends_after_the_last_one(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(TINY + OPEN)
    whys = []
    for seeds in (1, 2, 2, 3):
        (entry,) = json.loads(zoo("reproduce", path, "--train", "--seeds", seeds, "--json").out)["entries"]
        assert entry["verdict"] == "inconclusive"
        whys.append(entry["claims"][0]["why"])
    assert ["look 3 of at most 3" in why for why in whys] == [False, False, False, True]
