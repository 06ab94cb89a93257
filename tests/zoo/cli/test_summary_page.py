"""The reports of a sweep: which claims arithmetic contradicts, losses, and narrow terminals."""

from pathlib import Path
from typing import Any

import pytest

from harness.judging.judge_runs import Outcome
from harness.judging.types import Judgement
from zoo.cli.render import verification_data
from zoo.cli.summary_page import summary_page
from zoo.cli.verdict_text import summary_text
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.claim import Claim
from zoo.recipes.options import RunOptions, SourceOptions

AUDIT = "audit: accuracy 0.8577 (glue mrpc, validation): no share of 408 rows"


def outcome(*judgements: Judgement, **fields: Any) -> Outcome:
    entry = Entry("someone--odd", LOCAL, Path("absent.yaml"), card="hub:someone/odd@main", audit=(AUDIT,))
    return Outcome(entry=entry, mode="weights", judgements=judgements, findings=(AUDIT,), **fields)


def judged(metric: str, verdict: Any, **claim: Any) -> Judgement:
    of_claim = Claim(of="weights", split="validation", metric=metric, source="README.md, line 3", **claim)
    return Judgement(claim=of_claim, verdict=verdict, why="no-score: a loss" if metric == "loss" else "")


def page_of(found: Outcome) -> str:
    return summary_page([found], verification_data([found], RunOptions(), SourceOptions()))


def test_contradictions_are_a_section_with_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://user:secret@hub.example/")
    page = page_of(outcome(judged("accuracy", "reproduced", value=0.8577, decimals=4), verdict="reproduced"))
    section = page.partition("## Contradicted by arithmetic")[2]
    assert "[someone/odd@\u200bmain](<https://hub.example/someone/odd/tree/main>)" in section
    assert "no share of 408 rows" in section


def test_a_model_whose_scores_are_reproduced_is_as_its_card_claims_though_a_loss_is_not_compared() -> None:
    score, loss = judged("accuracy", "reproduced", value=0.5, decimals=1), judged("loss", "not-compared", gates=False)
    page = page_of(outcome(score, loss, verdict="reproduced"))
    assert page.startswith("# 1 model, 1 claim\n")
    assert "every claim is reproduced" in page
    assert "## Not compared" not in page
    section = page.partition("## Losses and other claims that do not count")[2]
    assert [cell.strip() for cell in section.splitlines()[4].split("|")][1:3] == ["no-score", "1"]


def test_the_page_counts_a_failure_that_is_only_reported_apart() -> None:
    score = judged("accuracy", "reproduced", value=0.5, decimals=1)
    reported = judged("f1", "not-reproduced", value=0.5, decimals=1, gates=False)
    page = page_of(outcome(score, reported, verdict="reproduced"))
    assert "## Not reproduced" not in page
    assert "not-reproduced" in page.partition("## Losses and other claims that do not count")[2]


@pytest.mark.parametrize("endpoint", ["hub.example", "ftp//hub", "//hub.example"])
def test_an_address_of_the_hub_without_a_scheme_makes_no_link(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    page = page_of(outcome(judged("accuracy", "reproduced", value=0.8577, decimals=4), verdict="reproduced"))
    assert "someone/odd@\u200bmain" in page
    assert "](<" not in page


def test_a_narrow_table_rounds_long_scores_and_breaks_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    score = judged("accuracy", "reproduced", value=0.6685779816513762, decimals=16)
    found = outcome(score, verdict="reproduced")
    text = summary_text([found], verification_data([found], RunOptions(), SourceOptions()))
    assert max(map(len, text.splitlines())) <= 80
    assert " 0.668578 " in text
    assert "0.6685779" not in text
    assert any("someone/odd@main" in line for line in text.splitlines())
    assert all(name in text for name in ("accuracy on", "validation"))
    monkeypatch.setenv("COLUMNS", "200")
    assert " 0.6685779817 " in summary_text([found], verification_data([found], RunOptions(), SourceOptions()))
