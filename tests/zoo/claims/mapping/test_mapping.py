"""How claims are mapped: values, splits, columns, metrics and the number of tokens."""

from decimal import Decimal

import pytest

from zoo.claims.mapping.columns import choose_columns
from zoo.claims.mapping.data_card import DataConfig
from zoo.claims.mapping.map_claims import map_claims
from zoo.claims.mapping.metrics import metric_of
from zoo.claims.mapping.model_facts import ModelFacts
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.mapping.scores import read_score
from zoo.claims.mapping.splits import choose_split
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import Mark
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources
from zoo.recipes.public_data import PUBLIC

MNLI = PUBLIC["glue/mnli"].rows
PAIR = ("sentence1", "sentence2")
REVIEWS = {"train": 25_000, "test": 25_000, "unsupervised": 50_000}


def claim(text: str = "0.84", **fields: str) -> PublishedClaim:
    words = {"metric": "accuracy", "dataset": "someone/data", **fields}
    return PublishedClaim(text=text, mark=Mark(path="README.md", line=1, column=1), **words)  # type: ignore[arg-type]


def model(outputs: int = 2, kind: str = "classification") -> ModelFacts:
    names = tuple(f"LABEL_{number}" for number in range(outputs))
    return ModelFacts(
        repo=HubRepo("model", "a/b", "0" * 40), outputs=outputs, kind=kind, classes=names, max_length=128,
        length_source="",
    )  # fmt: skip


def split_of(rows: dict[str, int], text: str = "0.84", preferred: str = "", **fields: str) -> str:
    published = claim(text, **fields)
    return choose_split(published, read_score(published), "accuracy", tuple(rows), rows, preferred).name


@pytest.mark.parametrize(
    ("text", "fraction", "decimals"),
    [
        ("0.857", "0.857", 3),
        ("85.70", "0.8570", 4),
        ("86", "0.86", 2),
        ("85.7 %", "0.857", 3),
        ("0.5 %", "0.005", 3),
        ("1.0", "1.0", 1),
        ("100.0", "1.000", 3),
        ("8.578431372549019e-01", "0.8578431372549019", 16),
        ("-0.12", "-0.12", 2),
    ],
)
def test_a_value_is_read_as_a_fraction_with_its_decimals(text: str, fraction: str, decimals: int) -> None:
    score = read_score(claim(text))
    assert (score.value, score.decimals, score.text) == (Decimal(fraction), decimals, fraction)


def test_a_claim_on_other_rows_says_nothing_about_the_scale() -> None:
    small = claim("0.8578", dataset="glue", config="mrpc")
    others = [{"config": "qnli"}, {"split": "test"}, {"metric": "f1"}]
    siblings = [claim("85.78", **{"dataset": "glue", "config": "mrpc", **fields}) for fields in others]
    assert read_score(small, [small, *siblings]).value == Decimal("0.8578")


def test_beside_a_per_cent_the_number_of_rows_decides_about_the_scale() -> None:
    fields = {"dataset": "glue", "config": "mrpc", "split": "validation"}
    small = claim("0.8578", **fields)  # 350 of 408; 0.8578 % is no share of them
    assert read_score(small, [small, claim("85.78", **fields)]).value == Decimal("0.8578")


@pytest.mark.parametrize(("text", "metric"), [("1.0", "accuracy"), ("0.9", "accuracy"), ("0.9", "f1")])
def test_a_scale_that_no_number_of_rows_decides_is_a_reason(text: str, metric: str) -> None:
    small = claim(text, metric=metric)
    with pytest.raises(UnmappedError) as caught:
        read_score(small, [small, claim("85.7", metric=metric)])
    assert caught.value.reason is Reason.UNCLEAR_SCALE


@pytest.mark.parametrize(
    ("text", "decimals"),
    [
        ("0.8725489974021912", 6),  # 356 of 408 in single precision
        ("87.25489974021912", 6),
        ("87.25489807128906", 6),
        ("85.78000000000002", 4),
        ("85.77999877929688", 4),
        ("0.8578431372549019", 16),
    ],
)
def test_the_decimals_of_a_float_are_those_that_mean_something(text: str, decimals: int) -> None:
    assert read_score(claim(text)).decimals == decimals


@pytest.mark.parametrize(
    ("rows", "fields", "expected"),
    [
        (MNLI, {}, "validation_matched"),
        (MNLI, {"config": "mnli_mismatched"}, "validation_mismatched"),
        (MNLI, {"metric": "accuracy_mm"}, "validation_mismatched"),
        (MNLI, {"split": "validation"}, "validation_matched"),
        (MNLI, {"split": "validation_mismatched"}, "validation_mismatched"),
        ({"train": 10, "validation": 10, "test": 10}, {}, "validation"),
        ({"train": 10, "validation": 10, "test": 10}, {"split": "TEST"}, "test"),
        ({"train": 10, "dev": 10}, {"split": "validation"}, "dev"),
        ({"train": 10, "dev": 10}, {}, "dev"),
        ({"train": 10, "eval": 10}, {"split": "validation"}, "eval"),
        ({"train": 10, "eval": 10, "validation": 10}, {"split": "eval"}, "eval"),
        (REVIEWS, {}, "test"),
        (REVIEWS, {"split": "eval"}, "test"),
        ({"train": 10}, {}, "train"),
    ],
)
def test_the_split_is_the_declared_one_or_found_by_its_name(
    rows: dict[str, int], fields: dict[str, str], expected: str
) -> None:
    assert split_of(rows, **fields) == expected


@pytest.mark.parametrize("word", ["", "eval", "Evaluation", "null"])
def test_an_undeclared_split_is_the_one_whose_size_fits_the_printed_digits(word: str) -> None:
    rows = {"validation": 408, "test": 1725}
    assert split_of(rows, "0.8579", split=word) == "test"
    assert split_of(rows, "0.8578", split=word) == "validation"  # fits both sizes
    assert split_of(rows, "0.8577", split=word) == "validation"  # fits neither


def test_a_declared_split_that_stands_for_several_is_assumed_by_the_digits() -> None:
    published = claim("0.83248", split="validation")
    chosen = choose_split(published, read_score(published), "accuracy", tuple(MNLI), MNLI)
    assert chosen.name == "validation_mismatched"
    assert chosen.why.startswith("assumed: 'validation' stands for validation_mismatched; of ")
    published = claim("0.84", split="validation")
    chosen = choose_split(published, read_score(published), "accuracy", tuple(MNLI), MNLI)
    assert chosen.why.startswith("assumed: 'validation' stands for validation_matched; ")


@pytest.mark.parametrize(("rows", "split"), [({"a": 1, "b": 2}, ""), ({"train": 1, "test": 2}, "dev")])
def test_a_split_that_does_not_exist_is_a_reason(rows: dict[str, int], split: str) -> None:
    with pytest.raises(UnmappedError) as caught:
        split_of(rows, split=split)
    assert caught.value.reason is Reason.NO_SPLIT


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            DataConfig(name=None, splits=(), mapping={"premise": "text1", "hypothesis": "text2", "y": "target"}),
            (("premise", "hypothesis"), "y"),
        ),
        (
            DataConfig(name=None, splits=(), texts=(*PAIR[::-1],), columns=(*PAIR[::-1], "label")),
            (PAIR, "label"),
        ),
        (
            DataConfig(name=None, splits=(), texts=("title", "content"), columns=("title", "content", "feeling"),
                       classes={"feeling": ("a", "b")}),
            (("content",), "feeling"),
        ),
        (DataConfig(name=None, splits=(), texts=("words",), columns=("words", "stars")), (("words",), "stars")),
    ],
)  # fmt: skip
def test_columns_are_found_by_the_index_by_names_or_by_types(
    data: DataConfig, expected: tuple[tuple[str, ...], str]
) -> None:
    found = choose_columns(data)
    assert (found.inputs, found.label) == expected


@pytest.mark.parametrize(
    ("texts", "columns", "reason"),
    [
        ((), (), Reason.NO_TEXT),
        (("left", "right"), ("left", "right", "label"), Reason.NO_TEXT),
        (("text",), ("text", "id"), Reason.NO_LABEL),
    ],
)
def test_columns_that_no_rule_finds_are_a_reason(
    texts: tuple[str, ...], columns: tuple[str, ...], reason: Reason
) -> None:
    with pytest.raises(UnmappedError) as caught:
        choose_columns(DataConfig(name=None, splits=(), texts=texts, columns=columns))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("metric", "outputs", "use", "arguments"),
    [
        ("eval_accuracy", 3, "accuracy", ()),
        ("f1", 2, "f1", ()),
        ("F1 (macro)", 3, "f1", (("average", "macro"),)),
        ("precision", 2, "sklearn.metrics.precision_score", (("zero_division", 0),)),
        ("recall_weighted", 3, "sklearn.metrics.recall_score", (("average", "weighted"), ("zero_division", 0))),
        ("Matthews Correlation", 2, "matthews_correlation", ()),
        ("Cohen's kappa", 3, "sklearn.metrics.cohen_kappa_score", ()),
    ],
)
def test_a_metric_of_classes_is_found(metric: str, outputs: int, use: str, arguments: tuple[object, ...]) -> None:
    found = metric_of(claim(metric=metric), model(outputs))
    assert (found.use, found.arguments) == (use, arguments)


@pytest.mark.parametrize(
    ("metric", "outputs", "kind", "reason"),
    [
        ("f1", 3, "classification", Reason.UNDEFINED_METRIC),
        ("f1", 4, "multilabel", Reason.UNDEFINED_METRIC),
        ("", 2, "classification", Reason.NO_METRIC),
        ("rouge1", 2, "classification", Reason.UNKNOWN_METRIC),
        ("pearson", 2, "classification", Reason.UNKNOWN_METRIC),
        ("accuracy", 1, "regression", Reason.UNKNOWN_METRIC),
        ("cosine_pearson", 1, "regression", Reason.UNKNOWN_METRIC),
    ],
)
def test_a_metric_that_is_unknown_or_undefined_is_a_reason(
    metric: str, outputs: int, kind: str, reason: Reason
) -> None:
    with pytest.raises(UnmappedError) as caught:
        metric_of(claim(metric=metric), model(outputs, kind))
    assert caught.value.reason is reason


def test_no_claim_counts_if_a_card_names_several_models_and_none_is_this_one() -> None:
    claims = (claim(model="teacher"), claim(model="student"))
    mapped = map_claims(PublishedClaims(name="someone/my-distil", claims=claims, revision="0" * 40), Sources())
    assert [each.error.reason for each in mapped.unmapped] == [Reason.OTHER_MODEL] * 2


@pytest.mark.parametrize(
    ("metric", "use"),
    [
        ("f1", "answer_f1"),
        ("best_f1", "best_answer_f1"),
        ("eval_best_exact", "best_exact_match"),
        ("HasAns_exact", "has_answer_exact_match"),
        ("squad_v2.HasAns_f1", "has_answer_f1"),
        ("NoAns_f1", "no_answer_accuracy"),
        ("NoAns exact", "no_answer_accuracy"),
    ],
)
def test_metrics_of_squad_2_are_not_those_at_the_threshold_0(metric: str, use: str) -> None:
    assert metric_of(claim(metric=metric), model(kind="answers")).use == use


def test_the_total_of_questions_is_no_metric() -> None:
    with pytest.raises(UnmappedError):
        metric_of(claim(metric="HasAns_total"), model(kind="answers"))
