"""Every shipped claim on published weights is audited: none is inconsistent but those that are known to be."""

import pytest

from harness.auditing.audit import audit
from harness.auditing.types import Audit
from zoo.claims.recipe_claims import claims_of_entry
from zoo.recipes import catalogue

CONTRADICTORY = {"ilsvrc2012-resnet18_from_resnet18-tfkd", "ilsvrc2012-resnet18_from_resnet34-at"}
"""The README and the log of torchdistill claim different accuracies for these weights, as their recipes say."""


@pytest.fixture(scope="module")
def audits() -> dict[str, Audit]:
    return {entry.name: audit(claims_of_entry(entry)) for entry in catalogue.entries()}


def test_no_entry_is_inconsistent_but_those_with_two_contradictory_sources(audits: dict[str, Audit]) -> None:
    assert {name for name, found in audits.items() if found.verdict in ("inconsistent", "impossible")} == CONTRADICTORY
    for name in CONTRADICTORY:
        bad = {f.rule for claim in audits[name].claims for f in claim.findings if f.is_bad}
        assert bad == {"contradiction"}


def test_all_scores_of_glue_but_three_are_evidence(audits: dict[str, Audit]) -> None:
    weak = {
        name: [claim.claim.metric for claim in found.claims if claim.verdict != "consistent"]
        for name, found in audits.items()
        if name.startswith("bert-")
    }
    assert {name: metrics for name, metrics in weak.items() if metrics} == {
        "bert-base-uncased-mnli": ["accuracy"],
        "bert-large-uncased-stsb": ["pearson", "spearman"],
    }


@pytest.mark.parametrize(
    ("entry", "texts"),
    [
        ("bert-base-uncased-mrpc", ["356 of 408: consistent", "F1 implies 253 true positives: consistent"]),
        ("bert-base-uncased-cola", ["MCC implies 649 true positives: consistent"]),
        ("bert-base-uncased-qqp", ["36,770 of 40,430: consistent", "F1 implies 13,210 true positives: consistent"]),
        ("bert-large-uncased-qqp", ["36,821 of 40,430: consistent",
                                    "F1 implies 13,328 true positives if cut off or in single precision: consistent"]),
        ("cifar10-resnet20", ["9,192 of 10,000: uninformative"]),
    ],
)  # fmt: skip
def test_the_report_names_the_counts(audits: dict[str, Audit], entry: str, texts: list[str]) -> None:
    assert [claim.text for claim in audits[entry].claims] == texts
