"""One look for each hazard's code."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.doctor.case import Case, calls, file_names, repository, weights_pin
from zoo.doctor.hazards import Hazard
from zoo.fetch import urls
from zoo.fetch.hub import SCHEME
from zoo.fetch.lock import COMMIT
from zoo.recipes.allowed import ALLOWED
from zoo.recipes.schema import CORRELATIONS, SHARES, Claim

PICKLES = (".bin", ".pt", ".pth", ".th", ".ckpt", ".pkl", ".tar")
SEED = re.compile(r"\bseeds?\s+\d", re.IGNORECASE)
FP16 = re.compile(r"\bfp16\b|\bhalf precision\b", re.IGNORECASE)
NAMELESS = re.compile(r"label_\d+")
POOLED = ("alexnet", "vgg")
"""Models of torchvision with an adaptive average pooling to more than one pixel, which the gradient passes."""
KERNELS = tuple(
    f"torch.nn.{name}"
    for name in (
        "AvgPool3d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool2d", "FractionalMaxPool2d",
        "FractionalMaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "ReflectionPad1d", "ReflectionPad2d",
        "ReflectionPad3d", "NLLLoss", "CTCLoss",
    )
)  # fmt: skip
"""Of those modules torch has no deterministic CUDA kernel, by the docstring of `torch.use_deterministic_algorithms`.

It names bilinear interpolation too, but `torch.nn.functional.interpolate` takes another way where determinism is asked
for. Knowledge Review's adaptive pooling, and FSP's where sizes divide, are replaced in `harness.losses`.
"""
CPU = "train on the CPU, or with a layer or loss of your own in its place"


def _unpinned(case: Case) -> Iterator[Hazard]:
    """Repositories of the Hub at no commit."""
    for source, mark in {one.source: one.mark for one in reversed(case.named)}.items():
        repo = repository(source)
        if repo is None or COMMIT.fullmatch(repo.revision or "") or case.sources.lock.locked(source).revision:
            continue
        seen = case.sources.known(source).revision
        keeps = f"; this machine has kept to {seen[:12]} since it first saw it, another may not" if seen else ""
        yield Hazard(
            code="D101", severity="warning", mark=mark,
            message=f"{source}: neither the recipe nor the lock names its commit{keeps}",
            fix=f"write {source.partition('@')[0]}@COMMIT, or pin what is there: zoo lock --update {case.entry.name}",
        )  # fmt: skip


def _undigested(case: Case) -> Iterator[Hazard]:
    """Weights, and files of servers, whose SHA-256 the lock does not know."""
    for one in case.named:
        if one.source.startswith("file:") and one.role == "weights":
            yield Hazard(
                code="D102", severity="note", mark=one.mark, message=f"{one.source} is on your machine alone",
                fix="publish it and name it as hub:OWNER/NAME, so that others can run this",
            )  # fmt: skip
        elif one.source.startswith(urls.SCHEMES) or (one.source.startswith(SCHEME) and one.role == "weights"):
            pin = weights_pin(case.sources, one.source)
            if pin.sha256 is None:
                partly = pin.sha256_prefix is not None or pin.etag_sha256 is not None
                known = "knows its SHA-256 only in part" if partly else "does not know its SHA-256"
                yield Hazard(
                    code="D102", severity="note" if partly else "warning", mark=one.mark,
                    message=f"{one.source}: the lock {known}, so what is first seen is trusted",
                    fix=f"compare it with what its author says, then pin it: zoo lock --update {case.entry.name}",
                )  # fmt: skip


def _pickled(case: Case) -> Iterator[Hazard]:
    """Weights in a format that runs code where it is loaded carelessly."""
    for one in case.named:
        if one.role != "weights":
            continue
        names = file_names(case.sources, one.source)
        if pickled := [name for name in names if name.endswith(PICKLES)]:
            yield Hazard(
                code="D103", severity="note", mark=one.mark,
                message=f"{pickled[0]} is a pickle: read as tensors only here, but other programs run what is in it",
                fix="publish the weights as model.safetensors",
            )  # fmt: skip


def _seedless(case: Case) -> Iterator[Hazard]:
    """References of a training that nobody can repeat exactly."""
    for claim, marks in case.claims:
        if claim.of == "retrain" and not SEED.search(claim.source):
            yield Hazard(
                code="D201", severity="warning", mark=marks.get("source", marks[""]),
                message="the source names no seed of the reference, so exactly that training cannot be repeated",
                fix="name the seeds of the reference runs, or train some: zoo reproduce ENTRY --train --seeds 5",
            )  # fmt: skip


def _chosen(case: Case) -> Iterator[Hazard]:
    """Epochs that were chosen on the very split of which the score is reported."""
    fix = "claim the last epoch's score (selection: last), or choose on a split that is not reported"
    reported = [(claim, marks) for claim, marks in case.claims if claim.of != "test-server"]
    splits = {claim.split for claim, _ in reported}
    best = {claim.split for claim, _ in reported if claim.selection == "best"}
    told: set[str] = set()
    for stage in case.recipe.stages[-1:]:
        on = {stage.selected_on} & splits if stage.selected_on else best
        if stage.selection == "best" and on:
            told |= on
            yield Hazard(
                code="D202", severity="warning", mark=stage.marks.get("selection", stage.optimizer.mark), fix=fix,
                message=f"the best epoch on {_joined(on)} is kept, and its score there is reported: it is too good",
            )  # fmt: skip
    for claim, marks in reported:
        if claim.selection == "best" and claim.split not in told:
            told.add(claim.split)
            yield Hazard(
                code="D202", severity="warning", mark=marks.get("selection", marks[""]), fix=fix,
                message=f"the score is of the epoch that was best on {claim.split}: it is too good",
            )  # fmt: skip


def _halved(case: Case) -> Iterator[Hazard]:
    """References that were trained in FP16."""
    trained = [(claim, marks) for claim, marks in case.claims if claim.of == "retrain"]
    said = [mark for mark, line in case.preamble if FP16.search(line)]
    places = [marks.get("precision", marks[""]) for claim, marks in trained if claim.precision == "fp16"]
    if not places and trained and said:
        yield Hazard(
            code="D203", severity="note", mark=said[0],
            message="the comment mentions fp16, and no claim says that the reference was trained in it",
            fix="if it was, write precision: fp16 in the claim of the training",
        )  # fmt: skip
    for mark in places:
        yield Hazard(
            code="D203", severity="warning", mark=mark,
            message="the reference was trained in fp16; in fp32 it is another training, whose mean may be another",
            fix="give the claim a sigma of runs like yours, or train with --precision fp16, which needs CUDA",
        )  # fmt: skip


def _undetermined(case: Case) -> Iterator[Hazard]:
    """What has no deterministic kernel on a CUDA device; every run here asks torch for nothing but such kernels."""
    stops = "has no deterministic kernel on a CUDA device: torch ends the training there with a RuntimeError"
    for stage in case.recipe.stages:
        pixels = (stage.task or case.recipe.task).use.split(".")[-1].endswith("segmentation")
        for term in stage.criterion.values():
            if pixels and term.loss.use == "CrossEntropy" and stage.trainable != ():
                message = f"{term.loss.use} of pixels (torch.nn.NLLLoss of logits (B, C, H, W)) {stops}"
                yield Hazard(code="D204", severity="warning", mark=term.loss.mark, message=message, fix=CPU)
    for call in calls(case.recipe):
        if call.use.startswith(KERNELS):
            yield Hazard(code="D204", severity="warning", mark=call.mark, message=f"{call.use} {stops}", fix=CPU)
    learns = any(stage.trainable != () for stage in case.recipe.stages)
    for call in calls(case.recipe.model) if learns else ():
        if call.use.split(".")[-1].startswith(POOLED):
            message = f"{call.use} pools adaptively to more than one pixel, which {stops}"
            yield Hazard(code="D204", severity="warning", mark=call.mark, message=message, fix=CPU)


def _elsewhere(case: Case) -> Iterator[Hazard]:
    """Claims of splits that nobody can score, or other ones than those of the same metric."""
    first: dict[tuple[str, str], str] = {}
    for claim, marks in case.claims:
        mark = marks.get("split", marks[""])
        hidden = case.data is not None and claim.split in case.data.hidden
        if claim.of == "test-server":
            message = f"the labels of {claim.split} are hidden: the claim is shown, and never compared"
            fix = "beside it, claim the score of a split with public labels"
            yield Hazard(code="D301", severity="note", mark=mark, message=message, fix=fix)
        elif hidden or (case.data is not None and claim.split not in {*case.data.rows, "train"}):
            known = _joined(case.data.rows) if case.data else ""
            message = f"{claim.split} has hidden labels" if hidden else f"no split {claim.split!r} can be scored"
            fix = f"claim {known}" + ("; a score of the server is `of: test-server`" if hidden else "")
            yield Hazard(code="D301", severity="error", mark=mark, message=f"{message}: it has {known}", fix=fix)
        elif (other := first.setdefault((claim.of, claim.metric), claim.split)) != claim.split:
            message = f"{claim.metric} is claimed on {other} and on {claim.split}: mind which one you compare"
            fix = "nothing, if both are meant"
            yield Hazard(code="D301", severity="note", mark=mark, message=message, fix=fix)


def _miscounted(case: Case) -> Iterator[Hazard]:
    """Claims of another number of examples than the split has."""
    for claim, marks in case.claims:
        rows = case.data.rows.get(claim.split) if case.data else None
        if claim.n is not None and rows is not None and claim.n != rows:
            yield Hazard(
                code="D302", severity="warning", mark=marks["n"],
                message=f"the score is of {claim.n:,} examples, and {claim.split} has {rows:,}: they are not compared",
                fix=f"claim the score of all {rows:,}, or name data of {claim.n:,}",
            )  # fmt: skip


def _spreadless(case: Case) -> Iterator[Hazard]:
    """References of a training of which no spread is known."""
    for claim, marks in case.claims:
        if claim.of == "retrain" and claim.sigma is None and claim.prior is None:
            judged = "what the size of the test set makes is taken, a lower bound" if claim.metric in SHARES else (
                "no difference can be judged"
            )  # fmt: skip
            yield Hazard(
                code="D303", severity="note", mark=marks[""],
                message=f"no sigma: how far runs of other seeds lie apart is not known, so {judged}",
                fix="train five or more reference runs and claim their mean and standard deviation",
            )  # fmt: skip


def _rounded(case: Case) -> Iterator[Hazard]:
    """Scores that are rounded to less than an example."""
    for claim, marks in case.claims:
        n = claim.n or (case.data.rows.get(claim.split) if case.data else None)
        if claim.of == "weights" and claim.decimals is not None and n and claim.metric in SHARES:
            width = n / 10**claim.decimals
            if width >= 2:
                yield Hazard(
                    code="D304", severity="note", mark=marks["decimals"],
                    message=f"{claim.decimals} decimals of {n:,} examples: {width:.0f} counts of right ones look alike",
                    fix="give more decimals, where the source has them",
                )  # fmt: skip


def _trivial(case: Case) -> Iterator[Hazard]:
    """Scores that need no model."""
    for claim, marks in case.claims:
        baseline = _baseline(case, claim)
        if claim.value is not None and baseline is not None and claim.value <= baseline + 1e-6:
            yield Hazard(
                code="D305", severity="warning" if claim.gates else "note", mark=marks.get("value", marks[""]),
                message=f"{claim.value:.4f} is no better than always saying the most frequent class: {baseline:.4f}",
                fix="do not let it count: gates: false",
            )  # fmt: skip


def _permuted(case: Case) -> Iterator[Hazard]:
    """Published classifiers whose classes may be in another order than the task's."""
    source, classes = case.actual(case.recipe.weights or ""), case.data.classes if case.data else ()
    outputs = case.recipe.model.args.get("num_labels", 2)
    if not source.startswith(SCHEME) or outputs == 1 or (case.data is not None and not classes):
        return
    config, mark = case.config(source), case.recipe.marks.get("weights", case.recipe.task.mark)
    fix = "read the findings of zoo reproduce: an order that fits the first examples better is told there"
    named = None if config is None else _label_names(config)
    if named is None or all(NAMELESS.fullmatch(name) for name in named):
        why = "is not in the cache" if config is None else "says LABEL_0, LABEL_1, ... or nothing"
        message = f"the order of the classes cannot be read off: config.json {why}; it is tested when it is run"
        yield Hazard(code="D401", severity="note", mark=mark, message=message, fix=fix)
    elif classes and named != [_plain(name) for name in classes]:
        same = sorted(named) == sorted(map(_plain, classes))
        message = f"config.json names the classes {', '.join(named)}, the task {', '.join(classes)}"
        yield Hazard(code="D401", severity="error" if same else "warning", mark=mark, message=message, fix=fix)


def _foreign(case: Case) -> Iterator[Hazard]:
    """Code from outside: packages that are not allowed by themselves, and what a configuration would load."""
    for call in calls(case.recipe):
        package = call.use.split(".", maxsplit=1)[0]
        if "." in call.use and package not in ALLOWED:
            yield Hazard(
                code="D402", severity="warning", mark=call.mark,
                message=f"{call.use} is code of {package!r}, which runs on the machine of everyone who runs this",
                fix=f"read it, then say --trust {package}; or use what zoo and torch have",
            )  # fmt: skip
        for key in {"trust_remote_code", "auto_map"} & call.args.keys():
            message, fix = f"{key} would run code of a repository; it is refused here", f"leave {key} out"
            yield Hazard(code="D402", severity="error", mark=call.marks.get(key, call.mark), message=message, fix=fix)
    for one in case.named:
        if one.role != "data" and one.source.startswith(SCHEME) and "auto_map" in (case.config(one.source) or {}):
            message = (
                f"{one.source}: config.json names code of its own (auto_map), which other programs run, and no run"
            )
            fix = "see that its scores do not come from that code"
            yield Hazard(code="D402", severity="warning", mark=one.mark, message=f"{message} here does", fix=fix)


def _baseline(case: Case, claim: Claim) -> float | None:
    """What always saying the most frequent class scores, where that is known."""
    if claim.metric in CORRELATIONS:
        return 0.0
    if case.data is None or claim.metric != "accuracy" or claim.split not in case.data.largest:
        return None
    return case.data.largest[claim.split] / case.data.rows[claim.split]


def _label_names(config: Mapping[str, Any]) -> list[str] | None:
    """The names of the classes in a configuration, in their order, as `plain` writes them."""
    named = config.get("id2label")
    if not isinstance(named, Mapping) or not all(str(key).isdigit() for key in named):
        return None
    return [_plain(str(named[key])) for key in sorted(named, key=int)]


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


def _joined(names: Any) -> str:
    return ", ".join(sorted(names))


LOOKS = (
    _unpinned, _undigested, _pickled, _seedless, _chosen, _halved, _undetermined, _elsewhere, _miscounted, _spreadless,
    _rounded, _trivial, _permuted, _foreign,
)  # fmt: skip
"""One look for each code, in their order."""
