"""What continuous integration reads: JUnit's XML, GitHub's summary and annotations, `--fail-on`."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.judging.judge_runs import Outcome
from tests.conftest import ROOT, Write, Zoo
from zoo.cli import app, ci_reports
from zoo.errors import NoDataError
from zoo.recipes import catalogue

RECIPE = """\
name: own
task: digits
model: {{use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}}
weights: file:{root}/zoo/starter/digits-resnet8.safetensors
claims:
  - {{of: weights, split: test, metric: accuracy, value: 0.9788, decimals: 4, source: mine}}
  - {{of: weights, split: test, metric: accuracy, value: {value}, decimals: 4, source: "a & <b>"}}
  - {{of: retrain, split: test, metric: accuracy, value: 0.9, sigma: 0.1, source: mine}}
"""


def claim(verdict: str, *, of: str = "weights", asked: bool = True, why: str = "so") -> dict[str, Any]:
    return {
        "of": of, "split": "test", "metric": "accuracy", "claimed": 0.9, "measured": 0.8, "verdict": verdict,
        "why": why, "asked": asked,
    }  # fmt: skip


def found(*claims: dict[str, Any], error: str | None = None, many: int = 1) -> dict[str, Any]:
    entry = {"suite": "s", "verdict": "not-run" if error else claims[0]["verdict"], "error": error, "claims": claims}
    entries = [{"entry": f"e{i}", **entry} for i in range(many)]
    return {"entries": entries, "summary": {"not-reproduced": many, "reproduced": 0}}


def test_junit_has_a_case_for_each_entry_and_claim(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    path = recipe_file(RECIPE.format(root=ROOT, value=0.9))
    done = zoo("verify", path, "digits-resnet14", "digits-resnet8", "--junit", tmp_path / "ci" / "zoo.xml")
    assert done.code == 1
    root = ET.parse(tmp_path / "ci" / "zoo.xml").getroot()  # noqa: S314
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "0", "skipped": "0",
    }  # fmt: skip
    cases = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases[("local.own", "own: weights accuracy on test, claimed 0.9788")] == []
    assert cases[("local.own", "own: weights accuracy on test, claimed 0.9")] == ["failure"]
    assert cases[("starter.digits-resnet8", "digits-resnet8: weights accuracy on test")] == []
    (failure,) = root.iter("failure")
    assert "claimed 0.9000, measured 0.9788: Difference +0.0788" in str(failure.get("message"))


def test_junit_tells_errors_from_failures_and_holds_any_text() -> None:
    data = found(claim("inconclusive", why="bell \x07 & <tag>"), claim("reproduced", of="retrain", asked=False))
    root = ET.fromstring(ci_reports.junit(data, 1.5))  # noqa: S314
    (skipped,) = root.iter("skipped")
    assert skipped.get("message") == "inconclusive: claimed 0.9000, measured 0.8000: bell  & <tag>"
    assert (root.get("tests"), root.get("time")) == ("1", "1.500")
    odd = claim("not-reproduced", why="\ufffe\ud800 lone")
    data = found({**odd, "split": "a\x08b", "claimed": 0.91234}, {**odd, "claimed": 0.91231}, odd, odd)
    names = [case.get("name") for case in ET.fromstring(ci_reports.junit(data, 0)).iter("testcase")]  # noqa: S314
    assert (len(set(names)), names[0]) == (4, "e0: weights accuracy on ab")
    failing = ET.fromstring(ci_reports.junit(found(claim("inconclusive")), 0, {"inconclusive"}))  # noqa: S314
    assert failing.get("failures") == "1"
    (error,) = ET.fromstring(ci_reports.junit(found(error="no\nnetwork"), 0)).iter("error")  # noqa: S314
    assert "no" in str(error.get("message"))


def test_annotations_are_at_most_ten_of_a_kind_and_say_how_many_more() -> None:
    lines = ci_reports.annotations(
        found(claim("not-reproduced"), claim("inconclusive", of="retrain"), many=12), {"e0": "configs/s/e0.yaml"}
    )
    errors = [line for line in lines if line.startswith("::error ")]
    assert (len(errors), len(lines)) == (10, 20)
    assert errors[0] == (
        "::error file=configs/s/e0.yaml,title=e0%3A weights accuracy on test::claimed 0.9000, measured 0.8000: so"
    )
    assert errors[-1].endswith("::and 3 more; the step's summary has them all")
    assert ci_reports.annotations(found(claim("reproduced")), {}) == []
    (line,) = ci_reports.annotations(found(error="100 % lost\nmore"), {})
    assert line == "::error title=e0::100 %25 lost%0Amore"


def test_a_summary_has_the_gravest_first_and_stays_below_githubs_limit() -> None:
    text = ci_reports.summary(found(claim("reproduced"), claim("not-reproduced", why="a | b")))
    rows = [line for line in text.splitlines() if line.startswith("| e0")]
    assert "not-reproduced" in rows[0]
    assert r"a \| b" in rows[0]
    assert "a\\" not in ci_reports.summary(found(claim("inconclusive", why="plain")))
    odd = ci_reports.summary(found(claim("inconclusive", why="<img> a\\|b\nc")))
    assert r"&lt;img&gt; a\\\|b" in odd
    assert "| error" in ci_reports.summary(found(error="broken"))
    assert ci_reports.summary(found(claim("reproduced")), 10) == ""
    long = ci_reports.summary(found(claim("not-reproduced", why="x" * 1000), many=3000))
    assert len(long.encode()) <= ci_reports.SUMMARY_BYTES
    assert "more rows are left out" in long
    assert len(long.encode()) > ci_reports.SUMMARY_BYTES // 2


def test_in_a_workflow_summary_and_annotations_are_written(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    done = zoo("verify", recipe_file(RECIPE.format(root=ROOT, value=0.9)), "--json")
    assert done.code == 1
    assert any(line.startswith("::error title=own%3A weights accuracy on test%2C claimed 0.9::") for line in done.lines)
    assert "## zoo verify: 1 not-reproduced" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [(None, 1), ("not-reproduced", 1), ("inconclusive,not-compared", 0), ("none", 0)],
)
def test_fail_on_names_the_verdicts_that_count(fail_on: str | None, code: int, zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(RECIPE.format(root=ROOT, value=0.9))
    done = zoo("verify", path, *([] if fail_on is None else ["--fail-on", fail_on]))
    assert done.code == code


def test_fail_on_wants_verdicts_and_errors_always_count(zoo: Zoo, recipe_file: Write) -> None:
    done = zoo("verify", "digits-resnet8", "--fail-on", "not_reproduced")
    assert (done.code, "--fail-on: 'not_reproduced' is no verdict that can fail; did you mean" in done.err) == (2, True)
    path = recipe_file(RECIPE.format(root="/nowhere", value=0.9))
    assert zoo("verify", path, "--fail-on", "none").code == 4


@pytest.mark.parametrize(("asked", "failing", "code"), [(False, [], 0), (False, ["not-run"], 3), (True, [], 4)])
def test_data_that_everyone_must_get_are_an_error_only_to_who_named_them(
    asked: bool, failing: list[str], code: int
) -> None:
    entry = catalogue.one("pascal_voc2012-deeplabv3_resnet50")
    outcome = Outcome(entry=entry, mode="weights", verdict="not-run", error=NoDataError("pascal_voc2012"))
    assert app._code(outcome, [entry.name] if asked else None, frozenset(failing)) == code
