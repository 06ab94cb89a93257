"""No claim of a stranger makes the audit fail or take long."""

import time

from hypothesis import given
from hypothesis import strategies as st

from harness.auditing.audit import audit
from harness.auditing.outcome import AuditOutcome, data_of, text_of
from harness.auditing.types import VERDICTS_BY_SEVERITY
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import Mark

MARK = Mark(path="README.md", line=1, column=1)
METRICS = st.sampled_from(
    ["accuracy", "f1", "precision", "recall", "acc@5", "mcc", "exact_match", "F1 (macro)", "f1 class 1", "f1 class 12",
     "recall weighted", "micro f1", "balanced_accuracy", "cosine_f1", "f1 label_x", "pearson", "max_f1"]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["0", "1", "-1", "100", "100 %", "-0.0", "1e-30", "1e29", "0.5e1", "85,7", "1.0", "~0.9", ".5", "50%"]
    ),
    st.decimals(-101, 101, allow_nan=False).map(str),
    st.floats(0, 1).map(repr),
)
CLAIMS = st.builds(
    PublishedClaim,
    metric=st.one_of(METRICS, st.text(max_size=30)),
    text=VALUES,
    mark=st.just(MARK),
    average=st.sampled_from(["", "macro", "binary", "samples", "other"]),
    dataset=st.sampled_from(["glue", "emotion", "cifar100", "squad", "conll2003", "x/y", ""]),
    config=st.sampled_from(["mrpc", "mnli", "wnli", "", "stsb"]),
    split=st.sampled_from(["", "validation", "test", "train", "x"]),
    n=st.sampled_from([None, None, 1, 408, 10**11]),
)


@given(st.lists(CLAIMS, max_size=6))
def test_any_claims_have_a_verdict(claims: list[PublishedClaim]) -> None:
    found = audit(PublishedClaims(name="x", claims=tuple(claims)))
    assert [claim.claim for claim in found.claims] == claims
    assert found.verdict in VERDICTS_BY_SEVERITY
    outcome = AuditOutcome(name="x", audit=found)
    assert text_of(outcome, 80) and data_of(outcome)["claims"] is not None


def test_a_card_with_thousands_of_claims_takes_less_than_seconds() -> None:
    claims = tuple(
        PublishedClaim(metric=metric, text=f"{50 + number % 40}.{number:04}", mark=MARK, dataset=f"mteb/task{number}")
        for number in range(1500)
        for metric in ("accuracy", "ap", "f1", "cos_sim_spearman")
    )
    started = time.process_time()
    assert audit(PublishedClaims(name="x", claims=claims)).verdict == "uninformative"
    assert time.process_time() - started < 5
