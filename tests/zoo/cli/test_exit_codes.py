"""Exit codes of entries and errors."""

from dataclasses import replace

import pytest
import typer

from harness.judging.judge_runs import Outcome
from harness.judging.types import not_run
from zoo.cli.exit_codes import code_of_error, code_of_outcome, end, failing_verdicts
from zoo.errors import InternalError, NoDataError, UsageError
from zoo.recipes import catalogue

WNLI = catalogue.select_one("bert-base-uncased-wnli")


def test_the_most_severe_code_ends_the_command() -> None:
    for codes, most_severe in (([3, 4], 4), ([4, 1], 1), ([1, 2], 2), ([2, 5], 5), ([5, 70], 70)):
        with pytest.raises(typer.Exit) as completed:
            end(codes)
        assert completed.value.exit_code == most_severe
    end([0, 0])


@pytest.mark.parametrize(("named", "failing", "code"), [(False, [], 0), (False, ["not-run"], 3), (True, [], 4)])
def test_a_missing_gated_data_set_is_an_error_only_if_its_entry_was_named(
    named: bool, failing: list[str], code: int
) -> None:
    entry = catalogue.select_one("pascal_voc2012-deeplabv3_resnet50")
    outcome = Outcome(entry=entry, mode="weights", verdict="not-run", error=NoDataError("pascal_voc2012"))
    assert code_of_outcome(outcome, [entry.name] if named else [], failing) == code
    assert code_of_error(NoDataError("pascal_voc2012"), named) == (4 if named else 3)


def test_a_bug_fails_whatever_verdicts_fail() -> None:
    outcome = Outcome(
        entry=catalogue.select_one("digits-resnet8"), mode="weights", verdict="not-run", error=InternalError("x")
    )
    assert code_of_outcome(outcome, [], failing_verdicts("none")) == 70


def test_a_named_entry_that_did_not_run_ends_with_3_even_if_its_claims_are_only_reported() -> None:
    claim = next(claim for claim in WNLI.recipe.claims if claim.of == "retrain")
    outcome = Outcome(entry=WNLI, mode="retrain", verdict="not-run", judgements=(not_run(claim, "no network"),))
    assert not outcome.counts
    assert code_of_outcome(outcome, [WNLI.name]) == 3
    assert code_of_outcome(outcome, ["glue"]) == 0
    assert code_of_outcome(outcome, [WNLI.name], failing_verdicts("not-reproduced")) == 0
    assert code_of_outcome(replace(outcome, verdict="not-compared"), [WNLI.name]) == 0


def test_fail_on_names_verdicts() -> None:
    assert failing_verdicts(None) is None
    assert failing_verdicts("not-reproduced, inconclusive") == {"not-reproduced", "inconclusive"}
    with pytest.raises(UsageError, match=r"--fail-on: 'not_reproduced' is not a verdict that can fail; did you mean"):
        failing_verdicts("not_reproduced")
