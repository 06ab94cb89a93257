"""The findings of the audit in cards: each rule, with honest cards and with faults."""

from dataclasses import replace

import pytest

from harness.auditing.audit import audit
from harness.auditing.outcome import AuditOutcome, summary_of, text_of
from harness.auditing.types import Audit
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import Mark

MRPC = {"dataset": "glue", "config": "mrpc"}
SCORES = {"accuracy": "0.8578", "precision": "0.8508", "recall": "0.9606", "f1": "0.9024"}
"""Of the matrix TP 268, FP 47, FN 11, TN 82."""


def of(scores: dict[str, str], **fields: str) -> Audit:
    """Audit one result; a metric may have an average after a space."""
    claims = tuple(
        PublishedClaim(
            metric=name.partition(" ")[0], average=name.partition(" ")[2], text=text,
            mark=Mark(path="README.md", line=line, column=1), **fields,
        )
        for line, (name, text) in enumerate(scores.items(), 1)
    )  # fmt: skip
    return audit(PublishedClaims(name="made", claims=claims))


def texts(found: Audit) -> list[str]:
    return [claim.text for claim in found.claims]


def test_the_scores_of_a_card_come_from_one_confusion_matrix() -> None:
    found = of({"accuracy": "0.8578431372549019", "f1": "0.9023569023569024"}, **MRPC)
    assert texts(found) == [
        "350 of 408 (validation): consistent",
        "F1 implies 268 true positives: consistent",
    ]
    assert found.verdict == "consistent"


def test_every_further_score_must_follow() -> None:
    found = of({**SCORES, "matthews_correlation": "0.6609"}, split="validation", **MRPC)
    assert found.verdict == "consistent", texts(found)
    wrong = of({**SCORES, "matthews_correlation": "0.6709"}, split="validation", **MRPC)
    assert "no confusion matrix with 129 and 279 rows has this MCC and the other scores" in wrong.claims[-1].text
    assert [claim.verdict for claim in wrong.claims][-1] == "impossible"


@pytest.mark.parametrize(
    ("text", "split", "found"),
    [
        ("0.8578", "validation", "350 of 408: consistent"),
        ("85.78", "validation", "350 of 408: consistent"),
        ("85.78 %", "validation", "350 of 408: consistent"),
        (
            "0.8577",
            "validation",
            "no share of 408 rows; the nearest are 349/408 = 0.855392 and 350/408 = 0.857843; perhaps the mean",
        ),
        ("0.8578", "", "350 of 408 (validation): uninformative"),
        ("0.858", "validation", "350 of 408: uninformative"),
        ("0.85784", "validation", "350 of 408: consistent"),
        ("0.8578431606292725", "validation", "350 of 408: consistent"),
        ("87.25489974021912", "validation", "356 of 408: consistent"),
        ("85.78000000000002", "validation", "350 of 408: consistent"),
        ("0.82843", "train", "338 of 408 (validation), and no share of 3,668 rows: inconsistent"),
        (
            "0.8766666666666667",
            "validation",
            "263 of 300 rows or a multiple: a part or other data, and no share of 408",
        ),
        ("0.8581730769230769", "validation", "a share of 416 rows: rows repeated to fill batches of 16, not of 408"),
        (
            "0.8578 ± 0.01",
            "validation",
            "a value with ± may be a mean of several runs, which is no count",
        ),
        ("0.8577 ± 0.01", "train", "a value with ± may be a mean of several runs, which is no count of rows: uninf"),
        ("0.8578", "dev2", "the data set has no split 'dev2'; its splits are validation, train, test: uninformative"),
        ("1.01e2", "validation", "101 is outside of 0 to 100: impossible"),
        ("0.6838", "validation", "279 of 408; is the score of a constant answer on validation, 0.6838: consistent"),
        ("many", "validation", "the value is no number: uninformative"),
    ],
)
def test_an_accuracy_is_a_count_of_the_rows(text: str, split: str, found: str) -> None:
    (shown,) = texts(of({"accuracy": text}, split=split, **MRPC))
    assert shown.startswith(found), shown


def test_three_decimals_on_408_rows_say_nothing() -> None:
    found = of({"accuracy": "0.858", "f1": "0.902"}, split="validation", **MRPC)
    assert {claim.verdict for claim in found.claims} == {"uninformative"}


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"dataset": "gleu", "config": "mrpc"}, "the number of rows is not known; did you mean glue?"),
        ({"dataset": "glue", "config": "mprc"}, "the number of rows is not known; did you mean mrpc?"),
        ({"dataset": "", "dataset_name": "Gleu MRPC"}, "the number of rows is not known; did you mean glue?"),
        ({"dataset": "glue", "dataset_name": "GLUE MPRC"}, "the number of rows is not known; did you mean mrpc?"),
        ({"dataset": "someone/private"}, "the number of rows is not known: uninformative"),
    ],
)
def test_a_misspelled_data_set_has_a_hint(fields: dict[str, str], hint: str) -> None:
    (text,) = texts(of({"accuracy": "0.8725490"}, **fields))
    assert hint in text


@pytest.mark.parametrize(("name", "hint"), [("accurracy", "; did you mean accuracy?"), ("loss", ""), ("recall@10", "")])
def test_a_misspelled_metric_has_a_hint(name: str, hint: str) -> None:
    assert texts(of({name: "0.8725490"}, **MRPC)) == [f"no rule for the metric {name!r}{hint}: uninformative"]


def test_a_loss_has_a_reason_too() -> None:
    accuracy, loss = (
        PublishedClaim(metric=name, text="0.5", mark=Mark(path="README.md", line=line, column=1))
        for line, name in enumerate(("accuracy", "loss"), 1)
    )
    found = audit(PublishedClaims(name="made", claims=(accuracy,), no_scores=(loss,)))
    assert texts(found)[1] == "no rule for the metric 'loss': uninformative"


def test_claims_are_in_the_order_of_their_lines_a_loss_among_scores() -> None:
    first, loss, last = (
        PublishedClaim(metric=name, text="0.5", mark=Mark(path="README.md", line=line, column=1))
        for line, name in enumerate(("accuracy", "loss", "f1"), 9)
    )
    found = audit(PublishedClaims(name="made", claims=(first, last), no_scores=(loss,)))
    assert [claim.claim.metric for claim in found.claims] == ["accuracy", "loss", "f1"]


def test_no_loader_explains_a_share_of_fewer_rows_than_a_batch_has() -> None:
    claim = PublishedClaim(metric="accuracy", text="0.5", mark=Mark(path="t.csv", line=2, column=1), n=1)
    (found,) = audit(PublishedClaims(name="t", claims=(claim,))).claims
    assert found.text.startswith("no share of 1 rows")
    assert "batches" not in found.text


def test_a_chance_that_rounds_to_one_is_shown_as_100_per_cent() -> None:
    found = of({"accuracy": "0.5"}, split="validation", **MRPC)
    (claim,) = found.claims
    certain = replace(claim, findings=(replace(claim.findings[0], chance=0.995),))
    assert "(100 % by luck)" in text_of(AuditOutcome(name="made", audit=replace(found, claims=(certain,))), None)


def test_an_error_rate_is_a_count_of_the_wrong_rows() -> None:
    sst2 = {"dataset": "glue", "config": "sst2", "split": "validation"}
    assert texts(of({"accuracy": "92.546", "top1_err": "7.454"}, **sst2))[1] == "65 of 872: consistent"
    wrong = of({"accuracy": "92.55", "error rate": "7.80"}, **sst2)
    assert "accuracy and error (0.9255 and 0.0780) do not add up to 1" in texts(wrong)[0]
    assert wrong.verdict == "impossible"


def test_an_average_over_batches_is_named() -> None:
    batches = [(32, 27)] * 12 + [(24, 22)]
    value = sum(right / size for size, right in batches) / len(batches)
    found = of({"accuracy": repr(value), "f1": "0.91234567890123"}, split="validation", **MRPC)
    assert texts(found)[0] == "the mean over batches of 32, not of 408: consistent"
    assert found.claims[1].verdict == "uninformative"


def test_a_score_that_fits_another_average_than_declared_is_named() -> None:
    declared = of({"accuracy": "0.8578", "f1 binary": "0.8506"}, split="validation", **MRPC)
    assert texts(declared)[1] == "fits as weighted average, not as declared: inconsistent"
    undeclared = of({"accuracy": "0.8578", "f1": "0.8506"}, split="validation", **MRPC)
    assert texts(undeclared)[1].startswith("F1, averaged as weighted, implies 268 true positives")


def test_two_scores_that_cannot_both_be_true_are_named_and_neither_is_blamed() -> None:
    scores = {"f1 macro": "0.6633", "precision macro": "0.6787"}  # the macro precision would be 0.6746
    f1, precision = texts(of(scores, split="validation", dataset="glue", config="sst2"))
    assert f1 == (
        "cannot be true together with macro precision 0.6787 (line 2): no confusion matrix with 428 and 444 rows has"
        " both: inconsistent"
    )
    assert precision.startswith("cannot be true together with macro f1 0.6633 (line 1)")


def test_precision_and_recall_that_are_swapped_are_named() -> None:
    found = of({**SCORES, "precision": "0.9606", "recall": "0.8508"}, split="validation", **MRPC)
    assert found.verdict == "inconsistent"
    assert sum("precision and recall fit only if they are swapped" in text for text in texts(found)) == 2


def test_scores_of_another_split_are_named() -> None:
    scores = {"accuracy": "0.858", "recall": "0.9605734767025089", "f1": "0.9023569023569024"}
    found = of(scores, split="train", **MRPC)
    assert texts(found)[1].startswith("the scores fit the split validation, and no confusion matrix of train")
    assert found.verdict == "inconsistent"


def test_a_digit_of_f1_alone_is_found_by_the_matrices() -> None:
    found = of({"f1": "0.9068100"}, split="validation", **MRPC)
    assert found.verdict == "consistent"
    wrong = of({"f1": "0.9068200"}, split="validation", **MRPC)
    assert texts(wrong) == ["no confusion matrix with 129 and 279 rows has this F1: inconsistent"]


def test_a_single_score_of_another_split_is_named() -> None:
    (text,) = texts(of({"recall": "0.9967948717948718"}, split="validation", dataset="glue", config="wnli"))
    assert text.startswith("the score fits the split train, and no confusion matrix of validation"), text


@pytest.mark.parametrize("scores", [{"accuracy": "0.8578"}, {"accuracy": "0.85784", "f1": "0.90236"}])
def test_the_summary_says_how_many_random_digits_would_be_consistent(scores: dict[str, str]) -> None:
    found = of(scores, split="validation", **MRPC)
    text = summary_of([AuditOutcome(name="made", audit=found)], None)
    assert text.startswith("The target is consistent. ")
    if len(scores) == 1:
        assert "1 claim is consistent. If its digits were random, the chance of that would be 0.041." in text
    else:
        assert "2 claims are consistent. If their digits were random, " in text and " of them would be." in text


def test_the_summary_counts_targets_and_claims_apart() -> None:
    good, few = of({"accuracy": "0.85784"}, split="validation", **MRPC), of({"accuracy": "0.9"})
    outcomes = [AuditOutcome(name="made", audit=found) for found in (good, good, few)]
    text = summary_of(outcomes, None)
    assert text.startswith(
        "Of 3 targets, 1 is uninformative and 2 consistent. 2 claims are consistent. If their digits"
    )


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ({"accuracy": "0.857", "f1": "90.2"}, "0.857 is written as a fraction, and other scores of the same result as"),
        ({"accuracy": "0.857 %"}, "no share of 408 rows; the nearest are 3/408"),
        ({"f1": "-0.2"}, "-0.2 is outside of 0 to 100"),
    ],
)
def test_scores_on_two_scales_are_found(scores: dict[str, str], found: str) -> None:
    audited = of(scores, split="validation", **MRPC)
    assert audited.claims[0].text.startswith(found)
    assert audited.verdict in ("inconsistent", "impossible")


@pytest.mark.parametrize(
    "scores",
    [
        {"accuracy": "0.53", "acc@5": "4.96"},
        {"accuracy": "0.20 %"},
        {"exact_match": "0.9 %"},
        {"exact_match": "0.9", "f1": "12.3"},
    ],
)
def test_accuracies_below_one_per_cent_are_no_fault(scores: dict[str, str]) -> None:
    assert of(scores, dataset="someone/hard-images").verdict == "uninformative"
    assert of(scores, dataset="ILSVRC/imagenet-1k", split="validation").verdict in ("uninformative", "consistent")


def test_a_correlation_below_one_among_per_cents_is_no_fault() -> None:
    assert of({"accuracy": "83.9", "matthews_correlation": "0.61"}).verdict == "uninformative"
    assert of({"accuracy": "85.78", "matthews_correlation": "0.66"}, split="validation", **MRPC).claims[1].verdict != (
        "inconsistent"
    )


@pytest.mark.parametrize(
    ("scores", "verdict", "found"),
    [
        ({"precision": "0.9337", "recall": "0.9495", "f1": "0.9415"}, "consistent", "F1 is the harmonic mean of"),
        ({"precision": "0.9337", "recall": "0.9495", "f1": "0.9445"}, "inconsistent", "F1 is above the harmonic mean"),
        ({"precision": "0.9337", "recall": "0.9495", "f1": "0.9315"}, "uninformative", "F1 is below the harmonic mean"),
        (
            {"precision micro": "0.93", "recall micro": "0.95", "f1 micro": "0.92"}, "impossible",
            "F1 is not the harmonic mean",
        ),
        (
            {"precision macro": "0.93", "recall macro": "0.95", "f1 macro": "0.96"}, "impossible",
            "F1 is above the harmonic mean",
        ),
        ({"exact_match": "86.1", "f1": "83.2"}, "impossible", "F1 of answers is below their exact match"),
        ({"acc@1": "80.1", "acc@5": "79.9"}, "impossible", "top-5 accuracy is below top-1 accuracy"),
        ({"error": "20.5%", "top5 error": "25.5%"}, "impossible", "top-5 accuracy is below top-1 accuracy, computed"),
    ],
)  # fmt: skip
def test_relations_hold_for_data_that_nobody_knows(scores: dict[str, str], verdict: str, found: str) -> None:
    result = of(scores, dataset="someone/private")
    assert result.verdict == verdict, texts(result)
    assert any(text.startswith(found) for text in texts(result))


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ({"accuracy": "0.9265", "f1 micro": "0.9265", "recall weighted": "0.9265"}, "consistent"),
        ({"accuracy": "0.9265", "f1 micro": "0.9365"}, "impossible"),
        ({"accuracy": "0.9265", "recall weighted": "0.9005"}, "impossible"),
        ({"accuracy": "0.9265", "recall macro": "0.20"}, "impossible"),
        ({"accuracy": "0.9265", "recall macro": "0.88"}, "uninformative"),
        ({"accuracy": "0.9265", "f1 macro": "0.88", "f1 weighted": "0.93"}, "uninformative"),
    ],
)
def test_scores_of_many_classes_are_compared_with_the_accuracy(scores: dict[str, str], verdict: str) -> None:
    assert of(scores, dataset="emotion", split="test").verdict == verdict


def test_the_mean_of_the_classes_is_the_macro_average() -> None:
    of_classes = {"f1_entailment": "0.85", "f1_neutral": "0.79", "f1_contradiction": "0.85"}
    mnli = {"dataset": "glue", "config": "mnli", "split": "validation_matched"}
    assert "the mean of the scores of 3 classes" in of({**of_classes, "f1 macro": "0.83"}, **mnli).claims[-1].text
    assert of({**of_classes, "f1 macro": "0.86"}, **mnli).verdict == "impossible"


def test_the_thresholds_of_similarities_are_not_joined() -> None:
    scores = {"cosine_accuracy": "0.8578", "cosine_f1": "0.99"}
    assert of(scores, split="validation", **MRPC).verdict == "uninformative"


def several(*scores: dict[str, object]) -> Audit:
    """Audit claims of an accuracy on QQP."""
    fields = {"metric": "accuracy", "dataset": "glue", "config": "qqp", "split": "validation"}
    claims = tuple(
        PublishedClaim(mark=Mark(path="README.md", line=line, column=1), **{**fields, **each})  # type: ignore[arg-type]
        for line, each in enumerate(scores, 1)
    )
    return audit(PublishedClaims(name="made", claims=claims))


def test_two_claims_of_one_score_that_differ_contradict_each_other() -> None:
    found = several({"text": "0.9152609"}, {"text": "0.9153104", "source": "service"})
    assert texts(found)[1] == "37,006 of 40,430; 2 predictions apart from line 1: consistent"
    found = several({"text": "0.9152609"}, {"text": "0.9053178", "source": "service"})
    assert "line 1 claims 0.9152609 of the same, 402 predictions apart" in texts(found)[1]
    assert found.verdict == "inconsistent"


def test_a_score_is_compared_with_every_earlier_one() -> None:
    found = several({"text": "0.91"}, {"text": "0.9152609"}, {"text": "0.9053178"}, {"text": "0.91"})
    assert "line 2 claims 0.9152609 of the same, 402 predictions apart" in texts(found)[2]
    assert "line 3 claims 0.9053178 of the same, 402 predictions apart" in texts(found)[1]


@pytest.mark.parametrize(
    "other",
    [{"split": "train"}, {"metric": "f1"}, {"model": "other"}, {"config": "mrpc"}, {"n": 1000}, {"task": "other"}],
)
def test_claims_of_other_things_do_not_contradict_each_other(other: dict[str, object]) -> None:
    found = several({"text": "0.85"}, {"text": "0.95", **other})
    assert not any("claims" in text for text in texts(found))


@pytest.mark.parametrize(
    ("data", "declared", "undeclared"),
    [
        ({"dataset": "glue", "config": "sst2", "split": "validation"}, "0.9254587", "0.9264874"),  # of 67,349 (train)
        ({"dataset": "imdb", "config": "", "split": "test"}, "0.93148", "0.95"),
    ],
)
def test_a_score_without_a_split_may_be_of_another_one(data: dict[str, object], declared: str, undeclared: str) -> None:
    found = several({**data, "text": declared}, {**data, "text": undeclared, "split": ""})
    assert not any("claims" in text for text in texts(found))
    assert found.verdict != "inconsistent"


def test_a_score_without_a_split_is_compared_if_the_data_set_has_only_one() -> None:
    data = {"dataset": "imagenet-v2", "config": "", "split": ""}
    found = several({**data, "text": "0.6012"}, {**data, "text": "0.7012", "split": "test"})
    assert found.verdict == "inconsistent"


@pytest.mark.parametrize("dataset", ["xnli", "someone/languages"])
def test_claims_of_other_languages_do_not_contradict_each_other(dataset: str) -> None:
    english, french = {"text": "0.85", "config": "en"}, {"text": "0.75", "config": "fr"}
    found = several({**english, "dataset": dataset}, {**french, "dataset": dataset})
    assert not any("claims" in text for text in texts(found))


def test_a_declared_number_of_rows_counts_more_than_the_split() -> None:
    claim = PublishedClaim(
        metric="accuracy", text="0.8733", mark=Mark(path="t.csv", line=2, column=1), dataset="x/y", n=300
    )
    (found,) = audit(PublishedClaims(name="t", claims=(claim,))).claims
    assert found.text == "262 of 300: consistent"


def test_a_kappa_below_zero_is_possible() -> None:
    assert of({"Cohen's kappa": "-0.12"}).verdict == "uninformative"


def test_a_score_that_fits_as_declared_is_not_blamed_for_the_averages_of_others() -> None:
    scores = {
        "accuracy": "0.850490",
        "f1 macro": "0.823718",
        "precision weighted": "0.830903",
        "recall binary": "0.817746",
    }
    verdicts = [claim.verdict for claim in of(scores, split="validation", **MRPC).claims]
    assert verdicts == ["consistent", "uninformative", "inconsistent", "inconsistent"]


def test_all_scores_that_contradict_each_other_are_named_the_accuracy_included() -> None:
    scores = {"accuracy": "0.934", "f1 macro": "0.932", "precision macro": "0.931"}
    found = of(scores, split="validation", **MRPC)
    assert [claim.verdict for claim in found.claims] == ["inconsistent"] * 3
    assert all("accuracy 0.934 (line 1)" in text and "rows has all" in text for text in texts(found)[1:])


def test_an_error_rate_and_f1_come_from_one_confusion_matrix() -> None:
    good = of({"error rate": "0.127451", "f1": "0.906810"}, split="validation", **MRPC)
    assert texts(good)[1] == "F1 implies 253 true positives: consistent"
    wrong = of({"error rate": "0.127451", "f1": "0.950000"}, split="validation", **MRPC)
    assert [claim.verdict for claim in wrong.claims] == ["impossible"] * 2
    assert "has this error and the other scores" in texts(wrong)[0]


def test_an_error_rate_that_is_cut_off_fits_as_well_as_one_that_is_rounded() -> None:
    found = of({"error rate": "0.1274", "f1": "0.906810"}, split="validation", **MRPC)  # of 52 / 408 = 0.12745
    assert not any(claim.is_bad for claim in found.claims), texts(found)


def test_an_error_rate_on_another_scale_than_the_accuracy_is_named() -> None:
    found = of({"accuracy": "0.9950", "error": "0.50"}, dataset="cifar10", split="test")
    assert found.claims[0].verdict == "uninformative"
    assert "the error 0.5000 is 100 times what the accuracy leaves, 0.0050: it is on another scale" in texts(found)[1]
    assert found.verdict == "inconsistent"
