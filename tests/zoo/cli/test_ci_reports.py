"""JUnit XML, the summary and annotations of GitHub Actions, and `--fail-on`."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.helpers.project import ROOT, Write, Zoo
from zoo.cli import ci_reports

RECIPE = """\
name: own
task: digits
model: {{use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}}
weights: file:{root}/zoo/starter/digits-resnet8.safetensors
claims:
  - {{of: weights, split: test, metric: accuracy, value: 0.9788, decimals: 4, source: mine}}
  - {{of: weights, split: test, metric: accuracy, value: {value}, decimals: 2, source: "a & <b>"}}
  - {{of: retrain, split: test, metric: accuracy, value: 0.9, sigma: 0.1, source: mine}}
"""


def claim(
    verdict: str, *, name: str = "accuracy on test", of: str = "weights", tested: bool = True, why: str = "so"
) -> dict[str, Any]:
    return {
        "name": name, "of": of, "claimed": 0.9, "measured": 0.8, "decimals": None,
        "verdict": verdict, "why": why, "tested": tested,
    }  # fmt: skip


def verification(*claims: dict[str, Any], error: str | None = None, many: int = 1) -> dict[str, Any]:
    """The JSON of `zoo verify` for some entries with the same claims."""
    entry = {"suite": "s", "verdict": "not-run" if error else claims[0]["verdict"], "error": error, "claims": claims}
    entries = [{"entry": f"e{i}", **entry} for i in range(many)]
    return {"entries": entries, "summary": {"not-reproduced": many, "reproduced": 0}}


def test_junit_has_a_case_for_each_tested_claim(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    path = recipe_file(RECIPE.format(root=ROOT, value=0.9))
    done = zoo("verify", path, "digits-resnet14", "digits-resnet8", "--junit", tmp_path / "ci" / "zoo.xml")
    assert done.code == 1
    root = ET.parse(tmp_path / "ci" / "zoo.xml").getroot()  # noqa: S314
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "0", "skipped": "0",
    }  # fmt: skip
    cases = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases[("local.own", "own: accuracy on test, claimed 0.9788")] == []
    assert cases[("local.own", "own: accuracy on test, claimed 0.9")] == ["failure"]
    assert cases[("starter.digits-resnet8", "digits-resnet8: accuracy on test")] == []
    (failure,) = root.iter("failure")
    assert "claimed 0.9000, measured 0.9788: The run has 879 of 898 right" in str(failure.get("message"))


def test_junit_separates_errors_failures_and_skipped_claims_in_any_text() -> None:
    data = verification(claim("inconclusive", why="bell \x07 & <tag>"), claim("reproduced", of="retrain", tested=False))
    root = ET.fromstring(ci_reports.junit(data, 1.5))  # noqa: S314
    (skipped,) = root.iter("skipped")
    assert skipped.get("message") == "inconclusive: claimed 0.9000, measured 0.8000: bell  & <tag>"
    assert (root.get("tests"), root.get("time")) == ("1", "1.500")
    odd = claim("not-reproduced", why="\ufffe\ud800 lone")
    data = verification(
        {**odd, "name": "accuracy on a\x08b", "claimed": 0.91234}, {**odd, "claimed": 0.91231}, odd, odd
    )
    names = [case.get("name") for case in ET.fromstring(ci_reports.junit(data, 0)).iter("testcase")]  # noqa: S314
    assert (len(set(names)), names[0]) == (4, "e0: accuracy on ab")
    failing = ET.fromstring(ci_reports.junit(verification(claim("inconclusive")), 0, {"inconclusive"}))  # noqa: S314
    assert failing.get("failures") == "1"
    (error,) = ET.fromstring(ci_reports.junit(verification(error="no\nnetwork"), 0)).iter("error")  # noqa: S314
    assert "no" in str(error.get("message"))


def test_annotations_are_at_most_ten_of_a_level_and_count_the_rest() -> None:
    lines = ci_reports.annotations(
        verification(claim("not-reproduced"), claim("inconclusive", name="f1 on test"), many=12),
        {"e0": "configs/s/e0.yaml"},
    )
    errors = [line for line in lines if line.startswith("::error ")]
    assert (len(errors), len(lines)) == (10, 20)
    assert errors[0] == (
        "::error file=configs/s/e0.yaml,title=e0%3A accuracy on test::claimed 0.9000, measured 0.8000: so"
    )
    assert errors[-1].endswith("::and 3 more; the step's summary lists them all")
    assert ci_reports.annotations(verification(claim("reproduced")), {}) == []
    (line,) = ci_reports.annotations(verification(error="100 % lost\nmore"), {})
    assert line == "::error title=e0::100 %25 lost%0Amore"


def test_a_summary_shows_the_worst_verdicts_first_and_stays_below_githubs_limit() -> None:
    text = ci_reports.summary(verification(claim("reproduced"), claim("not-reproduced", why="a | b")))
    rows = [line for line in text.splitlines() if line.startswith("| e0")]
    assert "not-reproduced" in rows[0]
    assert r"a \| b" in rows[0]
    assert "a\\" not in ci_reports.summary(verification(claim("inconclusive", why="plain")))
    odd = ci_reports.summary(verification(claim("inconclusive", why="<img> a\\|b\nc")))
    assert r"&lt;img&gt; a\\\|b" in odd
    assert "| error" in ci_reports.summary(verification(error="broken"))
    assert ci_reports.summary(verification(claim("reproduced")), 10) == ""
    long = ci_reports.summary(verification(claim("not-reproduced", why="x" * 1000), many=3000))
    assert len(long.encode()) <= ci_reports.SUMMARY_BYTES
    assert "more rows are left out" in long
    assert len(long.encode()) > ci_reports.SUMMARY_BYTES // 2


def test_github_actions_gets_a_summary_and_annotations(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    done = zoo("verify", recipe_file(RECIPE.format(root=ROOT, value=0.9)), "--json")
    assert done.code == 1
    annotation = "::error file=tiny.yaml,title=own%3A accuracy on test%2C claimed 0.9::"
    assert any(line.startswith(annotation) for line in done.lines)
    assert "## zoo verify: 1 not-reproduced" in (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [(None, 1), ("not-reproduced", 1), ("inconclusive,not-compared", 0), ("none", 0)],
)
def test_fail_on_names_the_verdicts_that_fail(fail_on: str | None, code: int, zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(RECIPE.format(root=ROOT, value=0.9))
    done = zoo("verify", path, *([] if fail_on is None else ["--fail-on", fail_on]))
    assert done.code == code


def test_errors_fail_whatever_fail_on_says(zoo: Zoo, recipe_file: Write) -> None:
    path = recipe_file(RECIPE.format(root="/nowhere", value=0.9))
    assert zoo("verify", path, "--fail-on", "none").code == 4
    assert zoo("verify", "digits-resnet8", "--fail-on", "not_reproduced").code == 2
