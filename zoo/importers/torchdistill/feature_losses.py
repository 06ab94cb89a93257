"""Losses of features, as losses of a recipe."""

from collections.abc import Iterator, Mapping
from typing import Any

from zoo.importers.torchdistill.features import LOGITS, FeatureReader
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.output_losses import (
    check_reads_labels,
    note_of_sum,
)
from zoo.importers.torchdistill.terms import Converted, Stage, Term

Pair = tuple[str, str, float]
"""The feature paths of the student and of the teacher, and the weight of the pair."""


def teacher_of(term: Term, stage: Stage) -> FeatureReader:
    """Return the stage's teacher; raises BlockedError without one."""
    if stage.teacher is None:
        raise term.blocked(f"{term.key} needs a teacher, and the configuration has none")
    return stage.teacher


def mean_squared_error(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `MSELoss`: of outputs with labels or a teacher's outputs, or of features."""
    if term.reads is None:
        raise term.blocked("MSELoss needs a SimpleLossWrapper, which says what it compares")
    source, target = term.reads.need("input"), term.reads.need("target")
    term.check(reductions=("mean", "sum"))
    reduction = term.word("reduction", "mean")
    if target.get("module_path") is None:
        check_reads_labels(term.reads)
        yield Converted(name=term.name, loss="MSE", weight=term.weight * _rows(term, stage), uses_teacher=False)
        return
    if source.get("is_from_teacher") and source.need("is_from_teacher").flag:
        raise term.blocked("it reads only the teacher, which does not learn")
    teacher = teacher_of(term, stage)
    theirs = teacher.path(target.need("module_path"), target.need("io").text)
    path = source.need("module_path")
    if path.text.startswith("+"):
        yield from _after_adaptation(term, stage, path, theirs)
        return
    ours = stage.student.path(path, source.need("io").text)
    if LOGITS in (ours, theirs):
        if ours != theirs:
            raise term.blocked("it compares outputs with features")
        factor = stage.rows * stage.student.model.num_classes if reduction == "sum" else 1
        if reduction == "sum":
            note_of_sum(term, stage)
        yield Converted(name=term.name, loss="LogitMSE", weight=term.weight * factor)
    elif reduction == "mean":
        yield Converted(name=term.name, loss={"use": "FeatureMSE", "student": ours, "teacher": theirs},
                        weight=term.weight)  # fmt: skip
    else:
        loss = {"use": "HeadNetworkDistillation", "student": [ours], "teacher": [theirs]}
        yield Converted(name=term.name, loss=loss, weight=term.weight * _rows(term, stage))


def _rows(term: Term, stage: Stage) -> float:
    if term.word("reduction", "mean") == "mean":
        return 1.0
    note_of_sum(term, stage)
    return stage.rows


def _after_adaptation(term: Term, stage: Stage, path: Item, theirs: str) -> Iterator[Converted]:
    """Convert FitNets: the student's feature after a learned adaptation module."""
    adaptation, ours = stage.student.adaptation(path.text, path.mark)
    kind = adaptation.need("key").text
    if kind not in ("ConvReg", "Conv2d"):
        raise adaptation.blocked(f"the adaptation {kind} has no equal; zoo's regressor is a convolution")
    relu = adaptation.need("kwargs").get("uses_relu")
    parts = "" if kind == "Conv2d" else f" with BatchNorm{'' if relu and not relu.flag else ' and ReLU'}"
    if parts:
        stage.found.differ(
            f"{term.name}: the regressor of torchdistill is a convolution{parts}; that of the recipe is a convolution"
            " alone, so no weight makes the two equal. The paper has a nonlinearity after the regressor"
        )
    if term.word("reduction", "mean") == "mean":
        yield Converted(name=term.name, loss={"use": "Hint", "student": ours, "teacher": theirs}, weight=term.weight)
    else:
        loss = {"use": "HeadNetworkDistillation", "student": [ours], "teacher": [theirs]}
        yield Converted(name=term.name, loss=loss, weight=term.weight * _rows(term, stage))


def feature_path(reader: FeatureReader, config: Item) -> str:
    """Return the feature path of `{path: ..., io: ...}`."""
    return reader.path(config.need("path", "module_path"), config.need("io").text)


def pairs(term: Term, stage: Stage, key: str, aux: Mapping[str, str] | None = None) -> list[Pair]:
    """Return the pairs of a loss that compares several features.

    Args:
        term: The term.
        stage: Its stage.
        key: The argument that holds the pairs.
        aux: For a student with learned modules, the path of each module -> the feature that it reads.
    """
    teacher = teacher_of(term, stage)
    found: list[Pair] = []
    for pair in term.kwargs.need(key).mapping.values():
        weight = item.number if (item := pair.get("weight")) else 1.0
        student = pair.need("student")
        path = student.need("path").text
        if aux is not None and path not in aux:
            raise student.blocked(f"{term.name}: {path} is no learned module of this stage's auxiliary wrapper")
        ours = aux[path] if aux is not None else feature_path(stage.student, student)
        found.append((ours, feature_path(teacher, pair.need("teacher")), weight))
    return found


def weighted(term: Term, all_pairs: list[Pair], use: str, **options: Any) -> Iterator[Converted]:
    """Yield one loss over all pairs, or one for each weight that pairs have."""
    weights = dict.fromkeys(weight for *_, weight in all_pairs)
    for number, weight in enumerate(weights):
        chosen = [(ours, theirs) for ours, theirs, own in all_pairs if own == weight]
        loss = {"use": use, "student": [ours for ours, _ in chosen], "teacher": [theirs for _, theirs in chosen]}
        name = term.name if number == 0 else f"{term.name}_{number + 1}"
        yield Converted(name=name, loss={**loss, **options}, weight=term.weight * weight)


def learned(stage: Stage, group: str, container: str) -> dict[str, Item]:
    """Return the learned modules of the student's auxiliary wrapper by the paths that hooks have for them."""
    modules = stage.student.options.get(group)
    return {f"{container}.{name}": item for name, item in (modules.mapping if modules else {}).items()}


def _inputs(stage: Stage, modules: Mapping[str, Item]) -> dict[str, str]:
    return {path: feature_path(stage.student, item) for path, item in modules.items()}


def attention_transfer(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `ATLoss`; its modes are our forms."""
    term.check("at_pairs", "mode")
    mode = term.word("mode", "code")
    if mode == "code":
        stage.found.differ(
            f"{term.name}: mode 'code' is the loss of the authors' code, and so is `form: code` of the recipe; equation"
            " 2 of their paper has the norm of the difference, not its mean square"
        )
    yield from weighted(term, pairs(term, stage, "at_pairs"), "AttentionTransfer", form=mode)


def activation_boundaries(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `AltActTransferLoss` with the connectors of `Connector4DAB`."""
    term.check("feature_pairs", "margin", reductions=("mean", "sum"))
    modules = learned(stage, "connectors", "connector_dict")
    for item in modules.values():
        conv = item.need("conv2d_kwargs", "conv_kwargs")
        size = conv.get("kernel_size")
        if size is not None and size.plain not in (1, [1, 1]):
            raise size.blocked("zoo's connector is a 1x1 convolution")
        if item.get("bn2d_kwargs", "bn_kwargs") is None:
            raise item.blocked("zoo's connector has BatchNorm; this one has none")
        if (bias := conv.get("bias")) is None or bias.flag:
            stage.found.differ(
                f"{term.name}: the connectors of torchdistill have a bias, which BatchNorm takes out again"
            )
    margin = term.number("margin", 1.0)
    found = pairs(term, stage, "feature_pairs", _inputs(stage, modules))
    scale = 1.0 if term.word("reduction", "mean") == "mean" else _rows(term, stage)
    for converted in weighted(term, found, "ActivationBoundaries", margin=margin):
        yield Converted(name=converted.name, loss=converted.loss, weight=converted.weight * scale)


def vid(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `VIDLoss` with the regressors of `VariationalDistributor4VID`."""
    term.check("feature_pairs", "margin")  # torchdistill never reads the margin of this loss
    modules = learned(stage, "regressors", "regressor_dict")
    found = pairs(term, stage, "feature_pairs", _inputs(stage, modules))
    kwargs = [item.get("kwargs", "regressor_kwargs") or item for item in modules.values()]
    options = {(one.need("init_pred_var").number, one.need("eps").number) for one in kwargs}
    middles = {one.need("mid_channels").whole == one.need("out_channels").whole for one in kwargs}
    if len(options) != 1 or middles != {True}:
        raise term.blocked("VID of a recipe has one variance, one eps and the teacher's channels for all pairs")
    variance, eps = options.pop()
    yield from weighted(term, found, "VID", variance=variance, eps=eps)


def ickd(term: Term, stage: Stage) -> Iterator[Converted]:
    """Convert `ChSimLoss` with the embeddings of `Student4ICKD`."""
    term.check("feature_pairs")
    modules = learned(stage, "embeddings", "embed_dict")
    yield from weighted(term, pairs(term, stage, "feature_pairs", _inputs(stage, modules)), "ICKD")
