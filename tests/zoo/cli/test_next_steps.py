"""The plan before trainings, and the commands that a report suggests. Each suggested command is run."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.helpers.device import device
from tests.helpers.project import TINY, Write, Zoo
from zoo import api
from zoo.errors import UsageError

CLAIM = """\
claims:
  - {of: retrain, split: test, metric: accuracy, value: VALUE, sigma: 0.01, reference_runs: 10, source: me}
"""


def suggested(out: str) -> list[str]:
    """The arguments of the command in the line `next: zoo ...`, which may be the first of several."""
    (line,) = [line.strip() for line in out.splitlines() if line.strip().startswith("next: ")]
    program, *arguments = shlex.split(line.removeprefix("next: "))
    assert program == "zoo"
    return arguments


def test_a_dry_run_prints_the_plan_and_makes_nothing(zoo: Zoo) -> None:
    completed = zoo("verify", "digits*", "--train", "--dry-run", "--records", "runs")
    assert completed.code == 0
    assert "15 runs to make; about " in completed.out
    assert not list(Path().rglob("record.json"))
    data = json.loads(zoo("reproduce", "digits-resnet8", "--dry-run", "--json").out)
    assert [(runs["entry"], runs["mode"], runs["missing"]) for runs in data["plan"]] == [
        ("digits-resnet8", "weights", 1)
    ]


def test_before_several_trainings_their_number_is_reported(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file()
    first = zoo("reproduce", recipe, "--train", "--seeds", "2", "--device", device())
    assert (
        first.lines[0]
        == "2 runs to make; no time estimate for 2 of them: tiny has no earlier run to go by (--dry-run lists them)"
    )
    assert not zoo("reproduce", recipe, "--train", "--seeds", "2", "--device", device()).err


@pytest.mark.parametrize("option", [("--seeds", "2"), ("--first-seed", "3")])
def test_options_of_training_need_train(zoo: Zoo, option: tuple[str, str]) -> None:
    completed = zoo("verify", "digits-resnet8", *option)
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "need --train" in completed.err


def test_a_suite_restricts_the_entries_that_are_named(zoo: Zoo, recipe_file: Write) -> None:
    listed = json.loads(zoo("list", "digits*", "--suite", "starter", "--json").out)["entries"]
    assert [entry["entry"] for entry in listed] == [
        "digits-resnet14", "digits-resnet8", "digits-resnet8_from_digits-resnet14",
    ]  # fmt: skip
    other = zoo("verify", "digits-resnet8", "--suite", "glue", "--train")
    assert (other.code, other.err) == (2, "'digits-resnet8' selects no entry of the suite glue\n")
    local = zoo("verify", recipe_file(), "--suite", "glue")
    assert (local.code, "selects no entry of the suite glue" in local.err) == (2, True)


def test_weights_that_are_not_reproduced_suggest_explain(zoo: Zoo, damaged: Path) -> None:
    path = damaged / "configs" / "starter" / "digits-resnet8.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("value: 0.9788419", "value: 0.8997773"), encoding="utf-8")
    completed = zoo("verify", "digits-resnet8", "--device", device())
    assert (
        "digits-resnet8: not-reproduced\n  accuracy on test: The run has 879 of 898 right, 71 more than claimed"
        in completed.out
    )
    arguments = suggested(completed.out)
    assert arguments == ["explain", "digits-resnet8", "--device", device()]
    assert zoo(*arguments).code == 1


def test_weights_of_a_recipe_file_suggest_explain_with_the_file_and_the_trusted_package(
    zoo: Zoo, recipe_file: Write
) -> None:
    text = Path(__file__).parents[3].joinpath("configs/starter/digits-resnet8.yaml").read_text(encoding="utf-8")
    recipe = recipe_file(text.replace("value: 0.9788419", "value: 0.8997773"), name="my recipe.yaml")
    arguments = suggested(zoo("reproduce", recipe, "--trust", "mine").out)
    assert arguments == ["explain", str(recipe), "--trust", "mine"]
    assert zoo(*arguments).code == 1


def test_an_entry_without_published_weights_suggests_training_it(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file(TINY + CLAIM.replace("VALUE", "0.5"))
    completed = zoo("verify", recipe, "--records", "runs", "--device", device())
    assert completed.code == 3
    arguments = suggested(completed.out)
    assert arguments == ["reproduce", str(recipe), "--train", "--device", device(), "--records", "runs"]
    assert zoo(*arguments, "--seeds", "1").code in (0, 1, 3)


def test_an_inconclusive_retraining_suggests_enough_seeds(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file(TINY + CLAIM.replace("VALUE", "0.5"))
    (measured,) = json.loads(zoo("reproduce", recipe, "--train", "--seeds", "1", "--json").out)["entries"][0]["claims"]
    value = measured["measured"] + 0.015
    recipe = recipe_file(TINY + CLAIM.replace("VALUE", str(value)))
    completed = zoo("reproduce", recipe, "--train", "--seeds", "1")
    assert completed.out.startswith("tiny: inconclusive")
    arguments = suggested(completed.out)
    assert arguments[:4] == ["reproduce", str(recipe), "--train", "--seeds"]
    assert int(arguments[4]) > 1
    assert zoo(*arguments, "--dry-run").code == 0


@pytest.mark.slow
def test_what_is_known_of_the_other_claims_is_shown_without_running_it(zoo: Zoo) -> None:
    assert zoo("reproduce", "digits-resnet8", "--records", "runs").code == 0
    (entry,) = json.loads(
        zoo("reproduce", "digits-resnet8", "--train", "--seeds", "1", "--records", "runs", "--json").out
    )["entries"]
    weights, retrain = entry["claims"]
    assert (weights["of"], weights["verdict"], weights["tested"]) == ("weights", "reproduced", False)
    assert weights["why"].startswith("From earlier runs: ")
    assert entry["verdict"] == retrain["verdict"]
    both = json.loads(zoo("verify", "digits-resnet8", "--records", "runs", "--json").out)["entries"][0]
    assert [claim["verdict"] for claim in both["claims"]] == ["reproduced", retrain["verdict"]]
    assert both["verdict"] == "reproduced"


def test_an_entry_whose_claims_are_of_the_other_kind_says_why_nothing_is_tested(zoo: Zoo, recipe_file: Write) -> None:
    claims, weights = CLAIM.replace("VALUE", "0.25"), "weights: file:run/model.safetensors\nstages"
    assert zoo("train", recipe_file(), "--out", "run").code == 0
    for text, reason in (
        (TINY, "no published weights to evaluate"),
        (TINY.replace("stages", weights), "no claims about"),
    ):
        assert f"  the recipe has {reason}" in zoo("reproduce", recipe_file(text + claims)).out
        completed = zoo("verify", recipe_file(text + claims))
        assert (completed.code, f"  the recipe has {reason}" in completed.out) == (3, True)
        assert completed.out.count("; its claims are about retraining") == 1
        assert suggested(completed.out)[-1] == "--train"
    about_weights = claims.replace("retrain", "weights").replace(", sigma: 0.01, reference_runs: 10", "")
    other = zoo("verify", recipe_file(TINY.replace("stages", weights) + about_weights), "--train", "--seeds", "1")
    assert "  the recipe has no claims about retraining, only about the published weights\n" in other.out
    assert suggested(other.out) == ["reproduce", str(Path("tiny.yaml").absolute())]


def test_a_plan_in_a_folder_with_a_space_is_quoted_in_the_suggested_commands(zoo: Zoo) -> None:
    planned = " ".join(zoo("plan", "digits-resnet8", "--records", "my runs").out.split())
    make_first, show = (shlex.split(part) for part in planned.split("`")[1::2])
    shown = zoo(*show[1:])
    assert (shown.code, "1 waiting" in shown.out) == (3, True)
    assert shlex.split(" ".join(shown.out.split()).split("`")[1]) == make_first
    assert zoo(*make_first[1:]).code == 0


def test_a_recipe_without_claims_leads_to_reference_runs_and_to_a_claim(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file()
    first = zoo("reproduce", recipe, "--train", "--seeds", "1")
    reference = zoo(*suggested(first.out))
    assert "to claim the scores of these 5 reference runs, add to `claims` of the recipe:\n" in reference.out
    assert "next: " not in reference.out
    (claim,) = [line for line in reference.out.splitlines() if line.startswith("    - {of: retrain")]
    recipe.write_text(f"{recipe.read_text()}claims:\n{claim}\n")
    judged = zoo("reproduce", recipe, "--train", "--seeds", "5")
    assert judged.code in (0, 1), judged.out  # five seeds against five reference runs decide
    only = zoo("reproduce", recipe, "--train", "--seeds", "5", "--first-seed", "1000")
    assert "Claims are made from such reference runs, and not judged by them" in " ".join(only.out.split())


@pytest.mark.parametrize("claim", ["", CLAIM.replace("VALUE", "0.9")])
def test_a_training_ends_with_commands_that_run(claim: str, zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file(TINY + claim)
    trained = zoo("train", recipe, "--out", "my run", "--device", device())
    *_, record, first, second = trained.out.splitlines()
    assert record.startswith("record: ") and first == "next: zoo plot 'my run'"
    assert second.split()[:2] == ["zoo", "reproduce" if claim else "upload"]
    second += " --seeds 2" if claim else ""
    for line in (first.removeprefix("next: "), second):
        done = zoo(*shlex.split(line)[1:])
        assert done.code in ((0, 1, 3) if "reproduce" in line else (0,)), done.err
    assert Path("plot.svg").is_file()


def test_quiet_and_json_print_no_next_step_of_a_training(zoo: Zoo, recipe_file: Write) -> None:
    recipe = recipe_file()
    assert zoo("train", recipe, "--out", "a", "--quiet").out.splitlines()[-1].startswith("record: ")
    assert zoo("train", recipe, "--out", "a", "--quiet").out.splitlines()[-1].startswith("record: ")
    assert json.loads(zoo("train", recipe, "--out", "b", "--json").out)["next_step"] is None


def test_the_folder_of_a_finished_run_is_not_trained_again_by_mistake(
    zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    assert zoo("train", recipe_file(), "--out", "mine", "--seed", "4").code == 0
    (tmp_path / "mirror").mkdir()
    refused = zoo("train", "mine/", "--records", "more", "--mirror", "mirror")
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert "the folder of a finished run" in refused.err
    assert "`zoo train mine/recipe.yaml --seed 5 --records more --mirror mirror`" in refused.err
    for command in refused.err.split("`")[1::2]:
        assert zoo(*shlex.split(command)[1:]).code == 0
    with pytest.raises(UsageError, match=r"finished run.*--seed 5`"):
        api.train("mine")


def test_the_folder_of_a_training_has_no_published_weights_and_leads_to_commands_that_run(
    zoo: Zoo, recipe_file: Write
) -> None:
    assert zoo("train", recipe_file(), "--out", "my run", "--device", device()).code == 0
    commands = {
        "zoo evaluate 'my run' --as 'my run/recipe.yaml'",
        "zoo upload 'my run' OWNER/NAME",
        "zoo verify",
    }
    for command in ("verify", "reproduce", "explain"):
        done = zoo(command, "my run")
        text = " ".join(done.out.split())
        assert (done.code, {*text.split("`")[1::2]}) == (3, commands)
        assert "next: zoo reproduce 'my run/recipe.yaml' --train" in text
    assert zoo("evaluate", "my run", "--as", "my run/recipe.yaml", "--device", device()).code == 0
    assert zoo("upload", "my run", "OWNER/NAME", "--dry-run").code == 0
    shutil.copy("my run/recipe.yaml", "my run/zoo.yaml")  # as in a downloaded repository
    assert "my run/zoo.yaml --train" in " ".join(zoo("verify", "my run").out.split()).replace("'", "")


@pytest.mark.parametrize("weights", [False, True])
def test_explain_without_claims_says_what_to_do_next(weights: bool, zoo: Zoo, recipe_file: Write) -> None:
    text = TINY
    if weights:
        assert zoo("train", recipe_file(), "--out", "run").code == 0
        text = TINY.replace("stages", "weights: file:run/model.safetensors\nstages")
    recipe = recipe_file(text)
    done = zoo("explain", recipe)
    output = " ".join(done.out.split())
    assert done.code == 3
    assert json.loads(zoo("explain", recipe, "--json").out)["advice"]
    command = output.split("`")[-2] if weights else output.partition("next: ")[2]
    words = shlex.split(command)
    assert words == ["zoo", *(["verify", str(recipe)] if weights else ["reproduce", str(recipe), "--train"])]
    assert zoo(*words[1:], *(["--dry-run"])).code == 0
