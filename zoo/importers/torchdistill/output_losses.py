"""Losses of the models' outputs, as losses of a recipe."""

import math
from collections.abc import Iterator
from typing import Any

from zoo.importers.torchdistill.features import LOGITS, FeatureReader
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.terms import Converted, Stage, Term

DIST_EPS = 1e-8
AUXILIARY = {"out": None, "aux": "aux_classifier"}
"""The outputs of torchvision's segmentation models, and the modules that they come from."""


def cross_entropy(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `CrossEntropyLoss` with the labels, of one output or of several by `DictLossWrapper`."""
    term.check("label_smoothing", "ignore_index", reductions=("mean", "sum"))
    options = {name: item.plain for name in ("label_smoothing", "ignore_index") if (item := term.kwargs.get(name))}
    options = {name: value for name, value in options.items() if (name, value) != ("ignore_index", -100)}
    weight = term.weight * _scale(term, stage)
    if term.wrapper == "DictLossWrapper":
        if term.reads is None:
            raise term.blocked("DictLossWrapper needs kwargs with the weights of the outputs")
        for key, item in term.reads.need("weights").mapping.items():
            if key not in AUXILIARY:
                raise item.blocked(f"{term.name}: the output {key!r}; segmentation models have 'out' and 'aux'")
            of = AUXILIARY[key]
            loss = _loss("CrossEntropy", {**options, **({"of": of} if of else {})})
            name = term.name if key == "out" else f"{term.name}_{key}"
            if item.number:
                yield Converted(name=name, loss=loss, weight=weight * item.number, uses_teacher=False)
        return
    path = _student_input(term, stage)
    if not stage.has_labels:
        raise term.blocked("torchdistill's loop passes no labels to a loss of texts; use the model_term instead")
    options |= {} if path == LOGITS else {"of": path}
    yield Converted(name=term.name, loss=_loss("CrossEntropy", options), weight=weight, uses_teacher=False)


def loss_of_model(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert the loss that a classifier of transformers computes itself, from its number of outputs and its kind."""
    model = stage.student.model
    if model.family != "text":
        raise term.blocked(f"{model.key} computes no loss of its own")
    is_regression = model.num_classes == 1
    is_multilabel = model.problem_type == "multi_label_classification"
    use = "BinaryCrossEntropy" if is_multilabel else "MSE" if is_regression else "CrossEntropy"
    yield Converted(name=term.name, loss=use, weight=term.weight, uses_teacher=False)


def kd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `KDLoss` and `LogitStdKDLoss`.

    Without labels, and for an alpha of 0 or null, torchdistill returns the divergence without its factors.
    """
    is_standardized = term.key == "LogitStdKDLoss"
    known = (*_logit_keys(), "temperature", "alpha", "beta", *(["eps"] if is_standardized else []))
    term.check(*known, reductions=("batchmean",))
    _check_logits(term, stage)
    temperature = term.number("temperature")
    alpha = item.number if (item := term.kwargs.get("alpha")) else 0.0
    beta = item.number if (item := term.kwargs.get("beta")) else 1 - alpha
    eps = {"eps": term.number("eps")} if is_standardized and term.kwargs.get("eps") else {}
    if not stage.has_labels or not alpha:
        why = (
            "torchdistill's loop passes no labels"
            if not stage.has_labels
            else "alpha is 0"
            if term.kwargs.get("alpha")
            else "alpha is null"
        )
        stage.found.differ(
            f"{term.name}: {why}, so torchdistill's {term.key} is the divergence alone, without alpha, beta and"
            f" the factor T^2 = {temperature**2:g} of the paper; the recipe does the same"
        )
        yield _divergence(term, term.weight, temperature, eps, is_standardized=is_standardized)
    elif math.isclose(beta, 1 - alpha, abs_tol=1e-12):
        use = "LogitStandardizedKD" if is_standardized else "KD"
        loss = _loss(use, {"temperature": temperature, "alpha": alpha, **eps})
        yield Converted(name=term.name, loss=loss, weight=term.weight)
    else:
        stage.found.assume(f"{term.name}: alpha = {alpha:g} and beta = {beta:g} do not add up to 1: two terms")
        yield Converted(name=f"{term.name}_labels", loss="CrossEntropy", weight=term.weight * alpha, uses_teacher=False)
        if is_standardized:
            loss = _loss("LogitStandardizedKD", {"temperature": temperature, "alpha": 0, **eps})
            yield Converted(name=term.name, loss=loss, weight=term.weight * beta)
        else:
            yield _divergence(term, term.weight * beta * temperature**2, temperature, {}, is_standardized=False)


def _divergence(
    term: Term, weight: float, temperature: float, eps: dict[str, Any], *, is_standardized: bool
) -> Converted:
    if is_standardized:  # its factor T^2 at alpha = 0 is taken out of the weight
        loss = _loss("LogitStandardizedKD", {"temperature": temperature, "alpha": 0, **eps})
        return Converted(name=term.name, loss=loss, weight=weight / temperature**2)
    return Converted(name=term.name, loss=_loss("KL", {"temperature": temperature}), weight=weight)


def dist(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `DISTLoss`."""
    term.check(*_logit_keys(), "beta", "gamma", "tau", "eps")
    _check_logits(term, stage)
    check_eps(term, DIST_EPS)
    options = {"temperature": term.number("tau", 1.0), "beta": term.number("beta", 1.0)}
    loss = _loss("DIST", {**options, "gamma": term.number("gamma", 1.0)})
    yield Converted(name=term.name, loss=loss, weight=term.weight)


def check_eps(term: Term, expected: float) -> None:
    """Raise BlockedError if `eps` differs from that of zoo's loss, which is torchdistill's default."""
    if (eps := term.kwargs.get("eps")) is not None and eps.number != expected:
        raise eps.blocked(f"{term.name}: eps of zoo's loss is {expected:g}; write eps: {expected:.1e}")


def skd_instance(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `SKDInstanceLoss`."""
    term.kwargs.check_keys((*_logit_keys(), "temperature", "mode"), term.key)
    _check_logits(term, stage)
    options: dict[str, Any] = {"temperature": term.number("temperature", 4.0), **_form(term)}
    yield Converted(name=term.name, loss=_loss("SKDInstance", options), weight=term.weight)


def skd_direction(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `SKDDirectionLoss`."""
    term.kwargs.check_keys((*_logit_keys(), "tikhonov", "mode"), term.key)
    _check_logits(term, stage)
    options: dict[str, Any] = {"tikhonov": term.number("tikhonov", 0.1), **_form(term)}
    yield Converted(name=term.name, loss=_loss("SKDDirection", options), weight=term.weight)


def _form(term: Term) -> dict[str, Any]:
    mode = term.word("mode", "paper")
    return {"form": mode} if mode != "paper" else {}


def _loss(use: str, options: dict[str, Any]) -> Any:
    return {"use": use, **options} if options else use


def _logit_keys() -> tuple[str, ...]:
    return ("student_module_path", "student_module_io", "teacher_module_path", "teacher_module_io")


def _check_logits(term: Term, stage: Stage) -> None:
    """Raise BlockedError unless the loss compares the outputs of both models."""
    for side, reader in (("student", stage.student), ("teacher", stage.teacher)):
        if reader is None:
            raise term.blocked(f"{term.key} needs a teacher, and the configuration has none")
        check_is_logits(term, reader, f"{side}_module")


def check_is_logits(term: Term, reader: FeatureReader, prefix: str) -> None:
    """Raise BlockedError unless `PREFIX_path` and `PREFIX_io` name the outputs of the model, as by default."""
    path = term.kwargs.get(f"{prefix}_path")
    read = reader.path(path, term.word(f"{prefix}_io", "output")) if path is not None else reader.outputs
    if read != LOGITS:
        raise (path or term.kwargs).blocked(f"{term.name}: {term.key} reads the outputs of the models here, not {read}")


def _scale(term: Term, stage: Stage) -> float:
    """Return the factor from a mean over rows to the reduction of the term."""
    if term.word("reduction", "mean") == "mean":
        return 1.0
    note_of_sum(term, stage)
    return stage.rows


def note_of_sum(term: Term, stage: Stage) -> None:
    """Add the note that a sum over rows is written as a mean with a larger weight."""
    stage.found.differ(
        f"{term.name}: torchdistill sums over the {stage.rows} rows of a process's batch; the recipe has the mean over"
        f" rows with {stage.rows} times the weight, so a smaller last batch weighs more"
    )


def _student_input(term: Term, stage: Stage) -> str:
    """Return the feature path that a loss with labels reads, from `input` of its wrapper."""
    if term.reads is None:
        return stage.student.outputs
    source = term.reads.need("input")
    if (teacher := source.get("is_from_teacher")) is not None and teacher.flag:
        raise source.blocked(f"{term.name}: the loss reads the teacher, which does not learn")
    check_reads_labels(term.reads)
    return stage.student.path(source.need("module_path"), source.need("io").text)


def check_reads_labels(reads: Item) -> None:
    """Raise BlockedError unless `target` of a wrapper is the labels."""
    target = reads.need("target")
    if (uses := target.get("uses_label")) is None or not uses.flag:
        raise target.blocked("this loss compares with the labels: set uses_label: True")
