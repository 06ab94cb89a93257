"""SSKD.

In a first stage `SelfSupervision` trains a head on the frozen teacher's features to tell whose rotation an image is; in
the next, under the same name and with `keep`, `SSKD` teaches the student. Both train on four images a row.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import check_temperature, divergence
from harness.models.outputs import ModelOutputs
from zoo.errors import UsageError
from zoo.tasks.base import CPU, Batch, Split

TURNS = 4


class Rotated:
    """Every image four times: as it is, and turned by 90, 180 and 270 degrees; a row's labels stay one."""

    def __init__(self, split: Split) -> None:
        self.split = split

    @property
    def labels(self) -> Tensor:
        """Those of the images as they are."""
        return self.split.labels

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        """Inputs `(4 B, C, H, H)`, the turns of a row after each other; labels and ids `(B,)`."""
        batch = self.split.batch(indices, device)
        images = batch.inputs
        if not isinstance(images, Tensor) or images.dim() != 4 or images.shape[2] != images.shape[3]:
            raise UsageError("SSKD turns images by 90 degrees: inputs (B, C, H, W) with H = W are needed")
        turned = torch.stack([torch.rot90(images, turn, (2, 3)) for turn in range(TURNS)], dim=1)
        return Batch(inputs=turned.flatten(0, 1), labels=batch.labels, ids=batch.ids)

    def rows(self) -> Iterator[bytes]:
        """The content of the images as they are."""
        return self.split.rows()


class SelfSupervision(nn.Module):
    """`-mean_i log softmax_j(cos(h(t~_i), h(t_j)))` at the image whose turn i is: stage one, of the teacher's head h.

    `teacher` is a tap `(4 B, ...)` of the features before its classifier; h is two linear layers with a ReLU.

    Xu et al., Knowledge Distillation Meets Self-Supervision, ECCV 2020, equations 3 to 11.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    def __init__(self, *, teacher: str) -> None:
        super().__init__()
        self.teacher_features = (teacher,)
        self.teacher_head: nn.Module | None = None

    def prepare_split(self, split: Split) -> Split:
        """Turn the images."""
        return split if isinstance(split, Rotated) else Rotated(split)

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the head."""
        self.teacher_head = _head(teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.teacher_head is not None
        similar = similarities(self.teacher_head(teacher[self.teacher_features[0]].flatten(1)))
        return F.cross_entropy(similar, whose(similar))


class SSKD(nn.Module):
    """`w_1 CE + w_2 T^2 KL(t || s) + w_3 T_s^2 KL_s(t || s) + w_4 T^2 KL_r(t || s)`: `weights` w.

    CE and KL are of the images as they are; KL_r of their turns; KL_s of the similarities of turns to images, softmax
    over `self_temperature`. Both go by the turns that the teacher gets right, plus the share `self_ratio` (KL_s) and
    `ratio` (KL_r) of the others, those first that it ranks higher. Logits `(4 B, C)`, labels `(B,)`; `student` and
    `teacher` are taps of the features before the classifiers. It has its own cross entropy: the labels are one a row.

    Xu et al., Knowledge Distillation Meets Self-Supervision, ECCV 2020, equations 3 to 11.
    """

    inherited_parts = ("teacher_head",)
    needs_teacher = True
    needs_whole_batch = True

    def __init__(
        self,
        *,
        student: str,
        teacher: str,
        temperature: float = 4.0,
        self_temperature: float = 0.5,
        ratio: float = 1.0,
        self_ratio: float = 0.75,
        weights: Sequence[float] = (1.0, 0.9, 10.0, 2.7),
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        check_temperature(self_temperature)
        if len(weights) != 4:
            raise ValueError(f"weights are four, of CE, KL, KL_s and KL_r, not {len(weights)}")
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.temperature, self.self_temperature = temperature, self_temperature
        self.ratio, self.self_ratio, self.weights = ratio, self_ratio, tuple(weights)
        self.student_head: nn.Module | None = None
        self.teacher_head: nn.Module | None = None

    def prepare_split(self, split: Split) -> Split:
        """Turn the images."""
        return split if isinstance(split, Rotated) else Rotated(split)

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make the student's head, and the teacher's, frozen."""
        self.student_head = _head(student[self.student_features[0]])
        self.teacher_head = _head(teacher[self.teacher_features[0]]).requires_grad_(False)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        assert teacher is not None and self.student_head is not None and self.teacher_head is not None
        mine = similarities(self.student_head(student[self.student_features[0]].flatten(1)))
        theirs = similarities(self.teacher_head(teacher[self.teacher_features[0]].flatten(1)))
        turned, turned_teacher = _turned(student.logits), _turned(teacher.logits)
        told = learnable(turned_teacher, labels.repeat_interleave(TURNS - 1), self.ratio)
        related = learnable(theirs, whose(theirs), self.self_ratio)
        upright, upright_teacher = student.logits[::TURNS], teacher.logits[::TURNS]
        parts = (
            F.cross_entropy(upright, labels),
            _softened(upright, upright_teacher, self.temperature),
            _softened(mine[related], theirs[related], self.self_temperature),
            _softened(turned[told], turned_teacher[told], self.temperature),
        )
        return torch.stack([weight * part for weight, part in zip(self.weights, parts, strict=True)]).sum()


def similarities(embedded: Tensor) -> Tensor:
    """Cosines of each turn with each image as it is, `(3 B, B)`, of `(4 B, D)`."""
    images, turns = embedded[::TURNS], _turned(embedded)
    return F.cosine_similarity(turns.unsqueeze(1), images.unsqueeze(0), dim=2)


def whose(similar: Tensor) -> Tensor:
    """Of which image each turn is, `(3 B,)`."""
    return torch.arange(similar.shape[1], device=similar.device).repeat_interleave(TURNS - 1)


def learnable(scores: Tensor, truth: Tensor, ratio: float) -> Tensor:
    """The rows of `(N, C)` whose truth is first, and the share `ratio` of the others, the better ranked first."""
    ranks = scores.argsort(dim=1, descending=True).eq(truth.unsqueeze(1)).long().argmax(1)
    wrong = int((ranks > 0).sum())
    kept = len(ranks) - wrong + int(wrong * ratio)
    found: Tensor = ranks.argsort(stable=True)[:kept].sort()[0]
    return found


def _turned(values: Tensor) -> Tensor:
    return values.reshape(-1, TURNS, *values.shape[1:])[:, 1:].flatten(0, 1)


def _softened(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2 KL`, the mean over rows; 0 of none."""
    return temperature**2 * divergence(student, teacher, temperature).sum() / max(len(student), 1)


def _head(features: Tensor) -> nn.Module:
    width = features.flatten(1).shape[1]
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
