"""Self-supervised knowledge distillation (SSKD).

A first stage trains a head on the frozen teacher's features with `SelfSupervision`: it matches rotated images to the
images that they were made from. The next stage uses `SSKD` under the same term name, which the first stage lists in
`keep`, and trains the student. Both stages train on four rotations of every image.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import check_temperature, kl_divergence
from harness.models.outputs import ModelOutputs
from zoo.errors import UsageError
from zoo.tasks.base import CPU, Batch, Split

ROTATIONS = 4


class RotatedSplit:
    """A split with every image four times: upright, and rotated by 90, 180 and 270 degrees. Labels are one per row."""

    def __init__(self, split: Split) -> None:
        self.split = split

    @property
    def labels(self) -> Tensor:
        """Labels of the upright images."""
        return self.split.labels

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        """Return inputs `(4 B, C, H, H)`, the rotations of a row one after the other, and labels and ids `(B,)`.

        Raises:
            UsageError: The inputs are not square images.
        """
        batch = self.split.batch(indices, device)
        images = batch.inputs
        if not isinstance(images, Tensor) or images.dim() != 4 or images.shape[2] != images.shape[3]:
            raise UsageError("SSKD rotates images by 90 degrees: inputs must be (B, C, H, W) with H = W")
        rotated = torch.stack([torch.rot90(images, turns, (2, 3)) for turns in range(ROTATIONS)], dim=1)
        return Batch(inputs=rotated.flatten(0, 1), labels=batch.labels, ids=batch.ids)

    def rows(self) -> Iterator[bytes]:
        """Yield the content of the upright images."""
        return self.split.rows()


class SelfSupervision(Loss):
    """First stage of SSKD: match each rotated image to its upright image, by the teacher's head.

    `-mean_i log softmax_j(cos(h(t~_i), h(t_j)))`

    The probability is that of the image j that the rotated image i was made from. t~ and t are the teacher's features
    `(4 B, ...)` of rotated and upright images, before its classifier. h, the head, is two linear layers with a ReLU.

    Paper:
        Xu et al., Knowledge Distillation Meets Self-Supervision, ECCV 2020, equations 3 to 11.

    Args:
        teacher: Feature path of the teacher.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True

    teacher_head: nn.Module

    def __init__(self, *, teacher: str) -> None:
        super().__init__()
        self.teacher_features = (teacher,)

    def prepare_split(self, split: Split) -> Split:
        """Return the split with rotated images."""
        return split if isinstance(split, RotatedSplit) else RotatedSplit(split)

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the head."""
        self.teacher_head = _head(teacher[self.teacher_features[0]])

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        cosines = similarities(self.teacher_head(teacher[self.teacher_features[0]].flatten(1)))
        return F.cross_entropy(cosines, source_images(cosines))


class SSKD(Loss):
    """Train the student on labels, predictions, predictions of rotated images, and similarities between images.

    `w_1 CE + w_2 T^2 KL(t || s) + w_3 T_s^2 KL_s(t || s) + w_4 T^2 KL_r(t || s)`

    CE and KL are of upright images, KL_r of rotated ones. KL_s is of the similarities of rotated to upright images,
    with a softmax over T_s. KL_r and KL_s use the rotated images that the teacher gets right, plus a share of the
    others: `ratio` for KL_r and `self_ratio` for KL_s, those first whose right answer the teacher ranks higher. Of
    equal ranks the first rows are used. Logits are `(4 B, C)`, labels `(B,)`. The loss includes the cross-entropy
    because `CrossEntropy` expects one row of logits per label.

    Paper:
        Xu et al., Knowledge Distillation Meets Self-Supervision, ECCV 2020, equations 3 to 11.

    Args:
        student: Feature path of the student, before its classifier.
        teacher: Feature path of the teacher, before its classifier.
        temperature: T.
        self_temperature: T_s.
        ratio: Share of the wrong predictions that KL_r uses.
        self_ratio: Share of the wrong similarities that KL_s uses.
        weights: w_1 to w_4.
    """

    inherited_parts = ("teacher_head",)
    needs_teacher = True
    needs_whole_batch = True

    student_head: nn.Module
    teacher_head: nn.Module

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
            raise ValueError(f"SSKD needs four weights, of CE, KL, KL_s and KL_r, not {len(weights)}")
        self.student_features, self.teacher_features = (student,), (teacher,)
        self.temperature, self.self_temperature = temperature, self_temperature
        self.ratio, self.self_ratio, self.weights = ratio, self_ratio, tuple(weights)

    def prepare_split(self, split: Split) -> Split:
        """Return the split with rotated images."""
        return split if isinstance(split, RotatedSplit) else RotatedSplit(split)

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create the student's head and the teacher's frozen head."""
        self.student_head = _head(student[self.student_features[0]])
        self.teacher_head = _head(teacher[self.teacher_features[0]]).requires_grad_(False)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, labels: Tensor) -> Tensor:
        student_cosines = similarities(self.student_head(student[self.student_features[0]].flatten(1)))
        teacher_cosines = similarities(self.teacher_head(teacher[self.teacher_features[0]].flatten(1)))
        rotated, rotated_teacher = _rotated(student.logits), _rotated(teacher.logits)
        for_predictions = learnable_rows(rotated_teacher, labels.repeat_interleave(ROTATIONS - 1), self.ratio)
        for_similarities = learnable_rows(teacher_cosines, source_images(teacher_cosines), self.self_ratio)
        upright, upright_teacher = student.logits[::ROTATIONS], teacher.logits[::ROTATIONS]
        parts = (
            F.cross_entropy(upright, labels),
            _divergence(upright, upright_teacher, self.temperature),
            _divergence(student_cosines[for_similarities], teacher_cosines[for_similarities], self.self_temperature),
            _divergence(rotated[for_predictions], rotated_teacher[for_predictions], self.temperature),
        )
        return torch.stack([weight * part for weight, part in zip(self.weights, parts, strict=True)]).sum()


def similarities(embeddings: Tensor) -> Tensor:
    """Return the cosines `(3 B, B)` of each rotated image with each upright one, from embeddings `(4 B, D)`."""
    upright, rotated = embeddings[::ROTATIONS], _rotated(embeddings)
    return F.cosine_similarity(rotated.unsqueeze(1), upright.unsqueeze(0), dim=2)


def source_images(cosines: Tensor) -> Tensor:
    """Return, for each row of `(3 B, B)`, the number of the upright image that it was made from, `(3 B,)`."""
    return torch.arange(cosines.shape[1], device=cosines.device).repeat_interleave(ROTATIONS - 1)


def learnable_rows(scores: Tensor, truth: Tensor, ratio: float) -> Tensor:
    """Return the rows of scores `(N, C)` to learn from.

    Args:
        scores: The teacher's scores.
        truth: The right column of each row, `(N,)`.
        ratio: The share of the rows with a wrong highest score to include, those first whose truth has a better rank.
    """
    ranks = scores.argsort(dim=1, descending=True).eq(truth.unsqueeze(1)).long().argmax(1)
    wrong = int((ranks > 0).sum())
    count = len(ranks) - wrong + int(wrong * ratio)
    rows: Tensor = ranks.argsort(stable=True)[:count].sort()[0]
    return rows


def _rotated(values: Tensor) -> Tensor:
    """Return the rows of rotated images, `(3 B, ...)` of `(4 B, ...)`."""
    return values.reshape(-1, ROTATIONS, *values.shape[1:])[:, 1:].flatten(0, 1)


def _divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return `T^2 KL`, the mean over rows; 0 if there are none."""
    return temperature**2 * kl_divergence(student, teacher, temperature).sum() / max(len(student), 1)


def _head(features: Tensor) -> nn.Module:
    width = features.flatten(1).shape[1]
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
