"""Give the learned parts of zoo's losses the weights of those in torchdistill's auxiliary wrappers."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from harness.import_proof.boxes import Box
from harness.losses import (
    CCKD,
    ICKD,
    PAD,
    SRD,
    SSKD,
    VID,
    ActivationBoundaries,
    FactorTransfer,
    KnowledgeAdaptation,
    KnowledgeReview,
    KnowledgeTranslation,
    Paraphrase,
    SelfSupervision,
)

Pair = tuple[nn.Module, nn.Module]
"""A learned part of zoo's loss, and that of torchdistill with the same layers in the same order."""
STUDENT_PARTS: Mapping[type[nn.Module], Mapping[str, str]] = {
    FactorTransfer: {"translator": "translator"},
    KnowledgeAdaptation: {"feature_adapter": "feature_adapter", "affinity_adapter": "affinity_adapter"},
    SSKD: {"student_head": "ss_module"},
    CCKD: {"student_embedding": "linear"},
    PAD: {"log_variance": "var_estimator"},
}
"""For each loss, its learned parts of the student, and their names in torchdistill's auxiliary wrapper."""
STUDENT_GROUPS: Mapping[type[nn.Module], Mapping[str, str]] = {
    ActivationBoundaries: {"connectors": "connector_dict"},
    ICKD: {"embeddings": "embed_dict"},
}
"""The same for parts that a loss has for each pair of features."""


def copy_learned_parts(term: nn.Module, box: Box) -> None:
    """Copy the weights of all learned parts of a term; raises ValueError if a part has other layers."""
    for ours, theirs in _pairs(term, box):
        state = ours.state_dict()
        values = list(theirs.state_dict().values())
        shapes = [tuple(value.shape) for value in values]
        if [tuple(value.shape) for value in state.values()] != shapes:
            raise ValueError(f"{type(term).__name__}: the learned parts of the two tools have other shapes")
        ours.load_state_dict(dict(zip(state, values, strict=True)))
        theirs.train(ours.training)
    if isinstance(term, VID):
        for scale, regressor in zip(term.scales, _part(box.student, "regressor_dict").values(), strict=True):
            with torch.no_grad():
                scale.copy_(regressor.soft_plus_param)


def _pairs(term: nn.Module, box: Box) -> Iterator[Pair]:
    yield from _pairs_of_teacher(term, box.teacher)
    for name, module in STUDENT_PARTS.get(type(term), {}).items():
        yield getattr(term, name), _part(box.student, module)
    for name, group in STUDENT_GROUPS.get(type(term), {}).items():
        yield from zip(getattr(term, name), _part(box.student, group).values(), strict=True)
    if isinstance(term, KnowledgeReview):
        yield from zip(term.fusions, reversed(list(_part(box.student, "abf_modules"))), strict=True)
    elif isinstance(term, VID):
        regressors = [regressor.regressor for regressor in _part(box.student, "regressor_dict").values()]
        yield from zip(term.means, regressors, strict=True)
    elif isinstance(term, SRD):
        yield from _projections(term, box.student, box.teacher)


def _pairs_of_teacher(term: nn.Module, teacher: nn.Module | None) -> Iterator[Pair]:
    if isinstance(term, Paraphrase | KnowledgeTranslation):
        paraphraser = _part(teacher, "paraphraser")
        yield from ((term.encoder, paraphraser.encoder), (term.decoder, paraphraser.decoder))
    elif isinstance(term, FactorTransfer | KnowledgeAdaptation):
        yield term.encoder, _part(teacher, "paraphraser").encoder
    elif isinstance(term, SelfSupervision | SSKD):
        yield term.teacher_head, _part(teacher, "ss_module")
    elif isinstance(term, CCKD):
        yield term.teacher_embedding, _part(teacher, "linear")


def _projections(term: SRD, student: nn.Module, teacher: nn.Module | None) -> Iterator[Pair]:
    yield term.projector[0], _part(student, "linear")  # type: ignore[index]
    yield term.projector[1], _part(student, "norm_layer")  # type: ignore[index]
    yield term.teacher_norm, _part(teacher, "norm_layer")


def _part(model: nn.Module | None, name: str) -> Any:
    return getattr(model, name)
