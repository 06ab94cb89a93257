"""The known factors by which a score differs though weights and recipe are the published ones, the cheapest first.

Each gives the variants that are worth trying of it, or the reason why there are none. The first two need no forward.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
from sklearn import metrics as sklearn_metrics
from tokenizers.normalizers import BertNormalizer
from transformers import PreTrainedModel

from harness import metrics
from harness.diagnosis.explain.file_versions import commit_of, versions
from harness.diagnosis.explain.variant import AS_IT_IS, Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.metrics import Array, Metric
from zoo.errors import ZooError, first_line
from zoo.recipes.reader import Call
from zoo.recipes.schema import Claim, Precision
from zoo.recipes.walk import walk_sources
from zoo.tasks.base import TextSplit

LENGTHS = (32, 64, 128, 256, 512)
BATCH_SIZES = (1, 8, 32)
KERNELS = ("eager", "sdpa")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
MOST_CLASSES = 5
"""With more, there are more orders than examples could tell apart."""
NOT_NEEDED = "not needed: something cheaper gives the claim to its last digit"
NO_TEXTS = "the task reads no texts"


@dataclass(frozen=True)
class Untried:
    """A factor of which nothing is tried, and why."""

    factor: str
    reason: str


Tried = Iterator[Variant | Untried]


def factors(
    bench: VariantRunner, claims: tuple[Claim, ...], folder: Path, enough: Callable[[], bool] = lambda: False
) -> Tried:
    """What is to be tried for these claims; files of other versions are written into `folder`, unless it is enough."""
    name = claims[0].split
    yield from _orders(bench, name)
    yield from _definitions(bench, claims)
    for factor in (_lowercase, _lengths, _padding, _batch_sizes, _kernels, _precisions, _tf32):
        yield from factor(bench, name)
    for name, revisions in (("data revision", _data), ("weights revision", _weights)):
        yield from [Untried(name, NOT_NEEDED)] if enough() else _told(name, revisions(bench, folder))


def _told(factor: str, found: Tried) -> Tried:
    """What is found; an error, and that there is nothing, as a reason."""
    nothing = True
    try:
        for one in found:
            nothing = False
            yield one
    except ZooError as error:
        yield Untried(factor, first_line(error))
    else:
        if nothing:
            yield Untried(factor, "there are no other versions")


def _orders(bench: VariantRunner, name: str) -> Tried:
    """Every other order of the classes."""
    outputs = bench.logits(name, AS_IT_IS, ()).shape[1]
    names = bench.task.class_names or tuple(map(str, range(outputs)))
    if bench.task.kind != "classification" or not 2 <= outputs <= MOST_CLASSES:
        yield Untried("label order", f"only that of 2 to {MOST_CLASSES} classes is tried")
        return
    for order in permutations(range(outputs)):
        if order != tuple(range(outputs)):
            after = ", ".join(names[of] for of in order)
            yield Variant(changes=(Change("label order", "", ", ".join(names), after),), order=order)


def _definitions(bench: VariantRunner, claims: tuple[Claim, ...]) -> Tried:
    """Other metrics that a claim's name could mean."""
    calls = {call.use.split(".")[-1]: call for call in bench.study.recipe.metrics}
    for metric in dict.fromkeys(claim.metric for claim in claims):
        now = _definition(calls.get(metric, Call(use=metric)))
        for definition, function in _possible(bench).items():
            if definition != now and (now, definition) != ("micro f1", "accuracy"):  # of single labels they are one
                yield Variant(changes=(Change("metric definition", "", now, definition),), metric=(metric, function))


def _definition(call: Call) -> str:
    name = call.use.split(".")[-1]
    average = "micro" if name == "f1_micro" else call.args.get("average", "binary")
    return f"{average} f1" if name in ("f1", "f1_micro") else name.replace("_", " ")


def _possible(bench: VariantRunner) -> dict[str, Metric]:
    """Definitions of metrics that the task's predictions admit."""
    if bench.task.kind == "regression":
        return {"pearson": metrics.pearson, "spearman": metrics.spearman}
    averages = ("macro", "weighted")
    found: dict[str, Metric] = {f"{average} f1": partial(metrics.f1, average=average) for average in averages}
    if bench.task.kind == "multilabel":
        found |= {f"{average} f1": partial(metrics.f1, average=average) for average in ("micro", "samples")}
        return {**found, "accuracy": metrics.accuracy}
    if len(bench.task.class_names) == 2:
        found = {"binary f1": metrics.f1, "binary f1 of the other class": _other_f1, **found}
    return {
        "accuracy": metrics.accuracy,
        "balanced accuracy": _balanced_accuracy,
        **found,
        "matthews correlation": metrics.matthews_correlation,
    }


def _other_f1(predictions: Array, labels: Array) -> float:
    return metrics.f1(predictions == 0, labels == 0)


def _balanced_accuracy(predictions: Array, labels: Array) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes that are predicted and never occur
        return float(sklearn_metrics.balanced_accuracy_score(labels, predictions))


def _lowercase(bench: VariantRunner, name: str) -> Tried:
    normalizer = getattr(getattr(bench.tokenizer(), "backend_tokenizer", None), "normalizer", None)
    if not isinstance(normalizer, BertNormalizer) or not _takes(bench, "tokenizer", "lowercase"):
        yield Untried("tokenizer", "no tokenizer that lower-cases, or not, by a switch")
        return
    now = bool(normalizer.lowercase)
    yield Variant(
        changes=(Change("tokenizer", "lowercase", _yaml(now), _yaml(not now)),), tokenizer={"lowercase": not now}
    )


def _lengths(bench: VariantRunner, name: str) -> Tried:
    """Other limits, as far as they make other tokens of some row."""
    split = bench.split(name)
    if not isinstance(split, TextSplit):
        yield Untried("max length", NO_TEXTS)
        return
    whole = bench.split(name, Variant(max_length=max(*LENGTHS, split.max_length)))
    assert isinstance(whole, TextSplit)
    longest, now = max(whole.lengths), split.max_length
    seen = {min(now, longest)}
    for length in LENGTHS:
        if min(length, longest) not in seen:
            seen.add(min(length, longest))
            yield Variant(changes=(Change("max length", "max_length", str(now), str(length)),), max_length=length)
    if seen == {longest}:
        yield Untried("max length", f"no row has more than {longest} tokens")


def _padding(bench: VariantRunner, name: str) -> Tried:
    if not isinstance(bench.split(name), TextSplit) or not _takes(bench, "tokenizer", "padding_side"):
        yield Untried("padding", NO_TEXTS if bench.tokenizer() is None else "the tokenizer takes no padding_side")
        return
    now = str(bench.tokenizer().padding_side)
    other = "left" if now == "right" else "right"
    yield Variant(changes=(Change("padding", "padding_side", now, other),), tokenizer={"padding_side": other})


def _batch_sizes(bench: VariantRunner, name: str) -> Tried:
    """How many rows are padded to one length: of one factor with the side, since one row alone has no padding."""
    now = bench.task.batch_size
    for size in BATCH_SIZES:
        if size != now:
            yield Variant(changes=(Change("padding", "batch size", str(now), str(size)),), batch_size=size)


def _kernels(bench: VariantRunner, name: str) -> Tried:
    if not isinstance(bench.model, PreTrainedModel):
        yield Untried("attention", "the model's attention is none of transformers'")
        return
    now = str(bench.model.config._attn_implementation)
    for kernel in KERNELS:
        if kernel != now:
            yield Variant(changes=(Change("attention", "", now, kernel),), attention=kernel)


def _precisions(bench: VariantRunner, name: str) -> Tried:
    for precision in PRECISIONS:
        if precision != bench.precision:
            yield Variant(changes=(Change("precision", "", bench.precision, precision),), precision=precision)


def _tf32(bench: VariantRunner, name: str) -> Tried:
    device = bench.study.context.accelerator.device.type
    if device != "cuda" or bench.precision != "fp32":
        yield Untried("precision", f"TF32 needs a CUDA device, not {device}, and fp32")
        return
    now = {torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32}
    for wanted in (True, False):
        if now != {wanted}:
            before = "both" if len(now) > 1 else "tf32" if True in now else "fp32"
            yield Variant(changes=(Change("precision", "", before, "tf32" if wanted else "fp32"),), tf32=wanted)


def _data(bench: VariantRunner, folder: Path) -> Tried:
    wants = {source.name: want for source, want in bench.task.sources}
    call, sources = bench.study.recipe.task, bench.study.sources
    for source in dict.fromkeys(named.text for named in walk_sources(call, "task")):
        want = wants.get(source, "weights")
        before = commit_of(sources, source, want)
        for version in versions(sources, source, want, folder):
            other = _with(call, source, version.source)
            yield Variant(changes=(Change("data revision", source, before, version.commit),), task=other)


def _weights(bench: VariantRunner, folder: Path) -> Tried:
    source, sources = str(bench.study.recipe.weights), bench.study.sources
    before = commit_of(sources, source, "weights")
    for version in versions(sources, source, "weights", folder):
        yield Variant(changes=(Change("weights revision", "", before, version.commit),), weights=version.source)


def _takes(bench: VariantRunner, slot: str, argument: str) -> bool:
    """Whether the recipe's tokenizer has an argument of that name."""
    call = bench.study.recipe.tokenizer
    return call is not None and argument in inspect.signature(bench.study.builder.target(call, slot)).parameters


def _with(value: Any, before: str, after: str) -> Any:
    """A value with one source in the place of another."""
    put: Callable[[Any], Any] = partial(_with, before=before, after=after)
    if isinstance(value, Call):
        return replace(value, args=put(value.args))
    if isinstance(value, Mapping):
        return {key: put(item) for key, item in value.items()}
    if isinstance(value, list):
        return [put(item) for item in value]
    return after if value == before else value


def _yaml(value: bool) -> str:
    return "true" if value else "false"
