"""The known causes of a wrong score with published weights and the right recipe, the cheapest to try first.

Each factor yields the variants worth trying, or the reason why there are none. The first two, the order of the classes
and the definition of the metric, need no forward pass.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

from sklearn import metrics as sklearn_metrics
from tokenizers.normalizers import BertNormalizer

from harness import metrics
from harness.diagnosis.explain.file_versions import commit_of, versions
from harness.diagnosis.explain.variant import UNCHANGED, Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.metrics import Array, Metric
from harness.models.text_inputs import of_transformers
from zoo.claims.counts import counts_of
from zoo.errors import ZooError, first_line
from zoo.fetch.source_types import HubRepo, parse_or_none
from zoo.recipes.claim import SHARES, Claim, Precision
from zoo.recipes.reader import Call, short_name
from zoo.recipes.walk import walk_sources
from zoo.tasks.base import TextSplit
from zoo.tasks.tables import splits_of_repository
from zoo.text_tables import number

LENGTHS = (32, 64, 128, 256, 512)
BATCH_SIZES = (1, 8, 32)
KERNELS = ("eager", "sdpa")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16", "tf32")
MOST_ROWS = 20_000
"""The most rows of another split to evaluate."""
MOST_CLASSES = 5
"""With more classes there are too many orders for the examples to distinguish."""
NOT_NEEDED = "not tried: a cheaper change reproduces the claim to its last digit"
NO_TEXTS = "the task has no texts"


@dataclass(frozen=True)
class Untried:
    """A factor with no variant to try, and the reason."""

    factor: str
    reason: str


Candidates = Iterator[Variant | Untried]


def factors(
    runner: VariantRunner,
    claims: tuple[Claim, ...],
    folder: Path,
    is_explained: Callable[[], bool] = lambda: False,
) -> Candidates:
    """Yield the variants to try for these claims, factor by factor.

    Args:
        runner: The entry.
        claims: The claims that failed.
        folder: A folder for files of other versions.
        is_explained: Called before other versions of data and weights are fetched; if true, they are not tried.
    """
    split = claims[0].split
    yield from _orders(runner, split)
    yield from _definitions(runner, claims)
    for factor in (_lowercase, _lengths, _pairs, _padding, _batch_sizes, _kernels, _precisions):
        yield from factor(runner, split)
    yield from splits(runner, claims)
    for name, revisions in (("data revision", _data), ("weights revision", _weights)):
        yield from [Untried(name, NOT_NEEDED)] if is_explained() else _or_reason(name, revisions(runner, folder))


def _or_reason(factor: str, candidates: Candidates) -> Candidates:
    """Yield the candidates; an error, or that there are none, becomes the reason of an `Untried`."""
    is_empty = True
    try:
        for candidate in candidates:
            is_empty = False
            yield candidate
    except ZooError as error:
        yield Untried(factor, first_line(error))
    else:
        if is_empty:
            yield Untried(factor, "there are no other versions")


def _orders(runner: VariantRunner, name: str) -> Candidates:
    """Try every other order of the classes."""
    outputs = runner.logits(name, UNCHANGED, ()).shape[1]
    names = runner.task.class_names or tuple(map(str, range(outputs)))
    if runner.task.kind != "classification" or not 2 <= outputs <= MOST_CLASSES:
        yield Untried("label order", f"tried only for classifiers with 2 to {MOST_CLASSES} classes")
        return
    for order in permutations(range(outputs)):
        if order != tuple(range(outputs)):
            after = ", ".join(names[number] for number in order)
            yield Variant(changes=(Change("label order", "", ", ".join(names), after),), order=order)


def _definitions(runner: VariantRunner, claims: tuple[Claim, ...]) -> Candidates:
    """Try other metrics that the name in a claim could stand for."""
    calls = {call.use.split(".")[-1]: call for call in runner.experiment.recipe.metrics}
    for metric in dict.fromkeys(claim.metric for claim in claims):
        current = _definition(calls.get(metric, Call(use=metric)))
        for definition, function in _possible_metrics(runner).items():
            if definition != current and (current, definition) != ("micro f1", "accuracy"):  # equal for single labels
                change = Change("metric definition", "", current, definition)
                yield Variant(changes=(change,), metric=(metric, function))


def _definition(call: Call) -> str:
    name = call.use.split(".")[-1]
    average = "micro" if name == "f1_micro" else call.args.get("average", "binary")
    return f"{average} f1" if name in ("f1", "f1_micro") else name.replace("_", " ")


def _possible_metrics(runner: VariantRunner) -> dict[str, Metric]:
    """Return the metrics that can be computed from the predictions of the task."""
    if runner.task.kind == "regression":
        return {"pearson": metrics.pearson, "spearman": metrics.spearman}
    averages = ("macro", "weighted")
    by_name: dict[str, Metric] = {f"{average} f1": partial(metrics.f1, average=average) for average in averages}
    if runner.task.kind == "multilabel":
        by_name |= {f"{average} f1": partial(metrics.f1, average=average) for average in ("micro", "samples")}
        return {**by_name, "accuracy": metrics.accuracy}
    if len(runner.task.class_names) == 2:
        by_name = {"binary f1": metrics.f1, "binary f1 of the other class": _other_f1, **by_name}
    return {
        "accuracy": metrics.accuracy,
        "balanced accuracy": _balanced_accuracy,
        **by_name,
        "matthews correlation": metrics.matthews_correlation,
    }


def _other_f1(predictions: Array, labels: Array) -> float:
    return metrics.f1(predictions == 0, labels == 0)


def _balanced_accuracy(predictions: Array, labels: Array) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # warns of classes that are predicted but never occur
        return float(sklearn_metrics.balanced_accuracy_score(labels, predictions))


def _lowercase(runner: VariantRunner, name: str) -> Candidates:
    normalizer = getattr(getattr(runner.tokenizer(), "backend_tokenizer", None), "normalizer", None)
    if not isinstance(normalizer, BertNormalizer) or not _tokenizer_has(runner, "lowercase"):
        yield Untried("tokenizer", "the tokenizer has no option for lower case")
        return
    current = bool(normalizer.lowercase)
    yield Variant(
        changes=(Change("tokenizer", "lowercase", _yaml(current), _yaml(not current)),),
        tokenizer={"lowercase": not current},
    )


def _lengths(runner: VariantRunner, name: str) -> Candidates:
    """Try other token limits, if they change the tokens of at least one row."""
    split = runner.split(name)
    if not isinstance(split, TextSplit):
        yield Untried("max length", NO_TEXTS)
        return
    uncut = runner.split(name, Variant(max_length=max(*LENGTHS, split.max_length)))
    assert isinstance(uncut, TextSplit)
    longest, current = max(uncut.lengths), split.max_length
    seen = {min(current, longest)}
    for length in LENGTHS:
        if min(length, longest) not in seen:
            seen.add(min(length, longest))
            yield Variant(changes=(Change("max length", "max_length", str(current), str(length)),), max_length=length)
    if seen == {longest}:
        yield Untried("max length", f"no row has more than {longest} tokens")


def _pairs(runner: VariantRunner, name: str) -> Candidates:
    """Try pairs in the other order, and as one text."""
    split = runner.split(name)
    if not isinstance(split, TextSplit) or len(split.texts[0]) != 2:
        yield Untried("pair order", NO_TEXTS if not isinstance(split, TextSplit) else "a row has one text")
        return
    yield Variant(changes=(Change("pair order", "", "first, second", "second, first"),), pair="swapped")
    yield Variant(changes=(Change("pair order", "", "a pair of texts", "both as one text"),), pair="joined")


def splits(runner: VariantRunner, claims: tuple[Claim, ...]) -> Candidates:
    """Try the other splits of the data set whose size the claims fit, if their labels are public.

    Args:
        runner: The entry.
        claims: The claims that failed, or that fit no number of rows of their split.
    """
    name, call, known = claims[0].split, runner.experiment.recipe.task, runner.task.splits
    others = [split for split in dict.fromkeys((*known, *_splits_of_hub(runner))) if split != name]
    for other in others:
        task = None if other in known else replace(call, args={**call.args, "splits": [*known, other]})
        variant = Variant(changes=(Change("split", "", name, other),), split=(name, other), task=task)
        try:
            reason = _why_not(len(runner.split(name, variant)), other, [c for c in claims if c.split == name])
        except ZooError as error:
            reason = first_line(error)
        yield Untried("split", reason) if reason else variant
    if not others:
        yield Untried("split", "the task has no other split")


def _why_not(rows: int, split: str, claims: list[Claim]) -> str:
    """Return why claims cannot be about a split with this number of rows, or an empty text."""
    if rows > MOST_ROWS:
        return f"{split} has {rows:,} rows; at most {MOST_ROWS:,} are tried"
    for claim in claims:
        if claim.n is not None and claim.n != rows:
            return f"{split} has {rows:,} rows, and the claim is about {claim.n:,}"
        if not fits_rows(claim, rows):
            return f"{number(claim.value, claim.printed_decimals)} is no share of the {rows:,} rows of {split}"
    return ""


def fits_rows(claim: Claim, rows: int) -> bool:
    """Return whether a claimed share can be that of this number of rows; True for a claim about no share."""
    if claim.metric not in SHARES or claim.value is None or claim.decimals is None:
        return True
    both = (counts_of(claim.value, claim.decimals, rows, truncated=cut) for cut in (False, True))
    return any(map(bool, both))


def _splits_of_hub(runner: VariantRunner) -> tuple[str, ...]:
    """Return the splits of a data set of the Hub; none for other data, or if they cannot be read."""
    call = runner.experiment.recipe.task
    if short_name(call) != "text_classification" or not isinstance(parse_or_none(str(call.args["data"])), HubRepo):
        return ()
    (source, want), *_ = runner.task.sources
    return splits_of_repository(source.fetch(want), call.args.get("config"))


def _padding(runner: VariantRunner, name: str) -> Candidates:
    """Try padding on the left, as many programs do. The recipe has no such setting: a row would depend on its batch."""
    if not isinstance(runner.split(name), TextSplit):
        yield Untried("padding", NO_TEXTS)
        return
    yield Variant(changes=(Change("padding", "side of the padding", "right", "left"),), left=True)


def _batch_sizes(runner: VariantRunner, name: str) -> Candidates:
    """Try other batch sizes. They belong to the factor `padding`, because a batch of one row has no padding."""
    current = runner.task.batch_size
    for size in BATCH_SIZES:
        if size != current:
            yield Variant(changes=(Change("padding", "batch size", str(current), str(size)),), batch_size=size)


def _kernels(runner: VariantRunner, name: str) -> Candidates:
    inner = of_transformers(runner.model)
    if inner is None:
        yield Untried("attention", "the model is not one of transformers, whose attention kernel can be chosen")
        return
    current = str(inner.config._attn_implementation)
    for kernel in KERNELS:
        if kernel != current:
            yield Variant(changes=(Change("attention", "", current, kernel),), attention=kernel)


def _precisions(runner: VariantRunner, name: str) -> Candidates:
    device = runner.context.accelerator.device.type
    for precision in PRECISIONS:
        if precision == "tf32" and device != "cuda":
            yield Untried("precision", f"TF32 needs a CUDA device, not {device}")
        elif precision != runner.precision:
            yield Variant(changes=(Change("precision", "", runner.precision, precision),), precision=precision)


def _data(runner: VariantRunner, folder: Path) -> Candidates:
    wants = {source.name: want for source, want in runner.task.sources}
    call, sources = runner.experiment.recipe.task, runner.experiment.sources
    for source in dict.fromkeys(named.text for named in walk_sources(call, "task")):
        want = wants.get(source, "weights")
        before = commit_of(sources, source, want)
        for version in versions(sources, source, want, folder):
            task = _with_source(call, source, version.source)
            yield Variant(changes=(Change("data revision", source, before, version.commit),), task=task)


def _weights(runner: VariantRunner, folder: Path) -> Candidates:
    source, sources = str(runner.experiment.recipe.weights), runner.experiment.sources
    before = commit_of(sources, source, "weights")
    for version in versions(sources, source, "weights", folder):
        yield Variant(changes=(Change("weights revision", "", before, version.commit),), weights=version.source)


def _tokenizer_has(runner: VariantRunner, argument: str) -> bool:
    """Return whether the recipe's tokenizer has an argument of this name."""
    call = runner.experiment.recipe.tokenizer
    return (
        call is not None
        and argument in inspect.signature(runner.experiment.builder.target(call, "tokenizer")).parameters
    )


def _with_source(value: Any, before: str, after: str) -> Any:
    """Return a value in which one source is replaced by another."""
    replaced: Callable[[Any], Any] = partial(_with_source, before=before, after=after)
    if isinstance(value, Call):
        return replace(value, args=replaced(value.args))
    if isinstance(value, Mapping):
        return {key: replaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item) for item in value]
    return after if value == before else value


def _yaml(value: bool) -> str:
    return "true" if value else "false"
