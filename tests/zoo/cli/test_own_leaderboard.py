"""Adding runs to the committed records, and a leaderboard of somebody's own recipes and runs."""

import json
import re
import shutil
from pathlib import Path

import pytest

from harness.records.digests import record_digest
from tests.helpers.html_tree import parse_page
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo import paths

STARTER = ROOT / "configs" / "starter" / "digits-resnet8.yaml"


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of committed records."""
    folder = tmp_path / "committed"
    folder.mkdir()
    monkeypatch.setattr(paths, "evidence", lambda: folder)
    return folder


def set_environment(run: Path, **changes: object) -> None:
    record = json.loads((run / "record.json").read_text())
    record["environment"] |= changes
    record["record_sha256"] = record_digest(record)
    (run / "record.json").write_text(json.dumps(record))


def test_a_run_whose_inputs_are_committed_already_is_not_added_and_that_is_reported(zoo: Zoo, evidence: Path) -> None:
    assert zoo("reproduce", "digits-resnet8", "--records", "runs").code == 0
    (run,) = Path("runs/digits-resnet8").glob("weights-*")
    set_environment(run, dirty=False)
    added = zoo("leaderboard", "--add", run, "--html", "site")
    assert added.lines[0] == f"added {evidence / 'digits-resnet8' / run.name}"
    set_environment(run, threads=64)
    again = zoo("leaderboard", "--add", run, "--html", "site")
    folder = evidence / "digits-resnet8" / run.name
    assert again.lines[0] == f"not added: {run}: {folder} has the same inputs and the same results"
    assert json.loads((folder / "record.json").read_text())["environment"]["threads"] != 64


def test_own_recipes_and_runs_make_a_leaderboard_of_their_own(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file(STARTER.read_text(encoding="utf-8").replace("name: digits-resnet8", "name: ours"))
    assert zoo("verify", recipe, "--records", "runs").code == 0
    page = zoo("leaderboard", recipe, "--records", "runs")
    assert page.code == 0
    assert page.out.startswith("2 claims of 1 entry: 1 reproduced, 1 not-run.\n")
    assert "| **ours** " in page.out
    assert "| published weights: accuracy on test | 0.9788419 | 0.9788419 | reproduced |" in re.sub(" +", " ", page.out)
    assert zoo("leaderboard", recipe, "--records", "runs", "--html", "site").code == 0
    assert [path.name for path in Path("site/entries").iterdir()] == ["ours.html"]
    rows = json.loads(zoo("leaderboard", recipe, "--records", "runs", "--json").out)["rows"]
    assert [(row["entry"], row["of"], row["verdict"]) for row in rows] == [
        ("ours", "weights", "reproduced"),
        ("ours", "retrain", "not-run"),
    ]


def test_entries_without_claims_are_listed_and_every_number_counts_what_it_says(zoo: Zoo, recipe_file: Write) -> None:
    Path("my recipes").mkdir()
    claimed = "claims:\n  - {of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.1, source: s}\n"
    named = {name: ("name: tiny", f"name: {name}") for name in ("one", "plain", "other")}
    recipes = {name: recipe_file(TINY, change, name=f"{name}.yaml") for name, change in named.items()}
    recipes["claimed"] = recipe_file(TINY + claimed, ("name: tiny", "name: claimed"), name="my recipes/x.yaml")
    assert zoo("train", recipes["one"]).code == zoo("train", recipes["other"]).code == 0
    chosen = [recipes[name].relative_to(Path.cwd()) for name in ("claimed", "one", "plain")]
    page = zoo("leaderboard", *chosen)
    assert page.out.startswith("1 claim of 1 entry: 1 not-run.\n")
    assert page.out.endswith("Entries without claims: one, plain.\n")
    assert zoo("leaderboard", *chosen, "--html", "site").code == 0
    index = parse_page(Path("site/index.html"))
    assert "1 claim of 1 entry; 2 entries without claims; 1 recorded run." in index.text
    assert {element.text for element in index.all("li")} >= {
        "one local; no claims; 1 recorded run",
        "plain local; no claims; 0 recorded runs",
    }
    again = {name: parse_page(Path(f"site/entries/{name}.html")).all("pre")[0].text for name in ("claimed", "one")}
    assert again == {
        "claimed": "zoo reproduce 'my recipes/x.yaml' --train --seeds 3",
        "one": "zoo train one.yaml",
    }
    assert zoo("leaderboard", chosen[1], "--html", "unclaimed").code == 0
    assert "1 entry without claims; 1 recorded run." in parse_page(Path("unclaimed/index.html")).text


def test_own_runs_of_shipped_entries_are_shown_with_records(zoo: Zoo) -> None:
    assert zoo("verify", "digits-resnet8", "--records", "runs").code == 0
    rows = json.loads(zoo("leaderboard", "--records", "runs", "--json").out)["rows"]
    assert [row["entry"] for row in rows if row["verdict"] == "reproduced"] == ["digits-resnet8"]


def test_runs_in_folders_of_the_users_choice_are_found_by_leaderboard_and_diff(zoo: Zoo, recipe_file: Write) -> None:
    claim = "{of: retrain, split: test, metric: accuracy, value: 0.5, sigma: 0.02, reference_runs: 10, source: here}"
    recipe = recipe_file(TINY + f"claims: [{claim}]\n")
    for seed in ("0", "1"):
        assert zoo("train", recipe, "--seed", seed, "--out", f"mine{seed}").code == 0
    assert zoo("train", recipe, "--out", "copy").code == 0
    (row,) = json.loads(zoo("leaderboard", recipe, "--json").out)["rows"]
    assert row["n"] == 2
    named = zoo("diff", f"{recipe}:0", "tiny:1", "--limit", "0")
    assert (named.code, named.out) == (
        0,
        zoo("diff", *(Path(f).absolute() for f in ("copy", "mine1")), "--limit", "0").out,
    )
    absent = zoo("diff", recipe, "absent.yaml:1")
    assert (absent.code, "give the seed or folder of one: tiny:0, tiny:1" in absent.err) == (2, True)
    shutil.rmtree("mine1")
    assert json.loads(zoo("leaderboard", recipe, "--json").out)["rows"][0]["n"] == 1


@pytest.mark.parametrize(
    "words", [["--check", "digits-resnet8"], ["--check", "--html", "x"], ["--add", "x", "digits*"]]
)
def test_arguments_that_contradict_each_other_are_wrong_usage(zoo: Zoo, words: list[str]) -> None:
    completed = zoo("leaderboard", *words)
    assert (completed.code, len(completed.lines)) == (2, 1)
