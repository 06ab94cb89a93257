"""Contrastive representation distillation (CRD)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.base import Loss
from harness.losses.functional import unit_vectors
from harness.models.outputs import ModelOutputs
from zoo.errors import UsageError
from zoo.tasks.base import Batch, Split


class CRD(Loss):
    """Contrast the student's and teacher's features of one image with features of images of other classes.

    `-1/B sum_i (log h(s_i, t_i) + sum_k log(1 - h(s_i, t_k)))`

    The loss adds the same term with s and t swapped. h is `g / (g + K / N)`, and `g(x, y) = exp(f(x) . f'(y) / T) / Z`
    is the score of two embeddings `(dim,)` of unit length. f and f' are learned linear layers of the flattened features
    `(B, ...)`.

    The K negatives of a row are drawn in every step, evenly, from the N rows of the training split that are of other
    classes. The positive and the negatives are read from two memories of embeddings of the whole split. After each
    batch the memories move towards its embeddings, by `momentum`. Z is N times the mean score of the first batch.
    Memories and Z are part of a checkpoint.

    Paper:
        Tian, Krishnan and Isola, Contrastive Representation Distillation, ICLR 2020, equations 9 to 19.

    Args:
        student: Feature path of the student.
        teacher: Feature path of the teacher.
        dim: Width of the embeddings.
        negatives: K.
        temperature: T.
        momentum: Share of the old embedding in the memory's new one.
        eps: Added inside the logarithms.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True
    reads_batch = True

    student_embedding: nn.Module
    teacher_embedding: nn.Module
    by_class: Tensor
    bounds: Tensor

    def __init__(
        self,
        *,
        student: str,
        teacher: str,
        dim: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        eps: float = 1e-7,
    ) -> None:
        super().__init__()
        self.student_features, self.teacher_features, self.dim = (student,), (teacher,), dim
        self.negatives, self.temperature, self.momentum, self.eps = negatives, temperature, momentum, eps
        self.register_buffer("constants", torch.full((2,), -1.0))

    def prepare_split(self, split: Split) -> Split:
        """Create the memories and the index of rows by class; the split stays unchanged.

        Raises:
            UsageError: The labels are not one class per row, or there is only one class.
        """
        labels = split.labels
        if labels.dim() != 1 or labels.is_floating_point() or int(labels.min()) == int(labels.max()):
            raise UsageError(
                "CRD contrasts a row with rows of other classes: it needs one class per row, and at least two classes"
            )
        counts = torch.bincount(labels)
        self.register_buffer("by_class", labels.argsort(stable=True), persistent=False)
        self.register_buffer("bounds", torch.cat([counts.new_zeros(1), counts.cumsum(0)]), persistent=False)
        bound = (3 / self.dim) ** 0.5
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, torch.empty(len(labels), self.dim).uniform_(-bound, bound))
        return split

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create both embeddings."""
        self.student_embedding = nn.Linear(student[self.student_features[0]].flatten(1).shape[1], self.dim)
        self.teacher_embedding = nn.Linear(teacher[self.teacher_features[0]].flatten(1).shape[1], self.dim)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs, batch: Batch) -> Tensor:
        student_embeddings = unit_vectors(self.student_embedding(student[self.student_features[0]].flatten(1)))
        teacher_embeddings = unit_vectors(self.teacher_embedding(teacher[self.teacher_features[0]].flatten(1)))
        return self.contrast(student_embeddings, teacher_embeddings, batch.ids, self.draw(batch.labels))

    def draw(self, labels: Tensor) -> Tensor:
        """Draw row numbers of other classes, `(B, K)`, evenly and with repetition."""
        start, end = self.bounds[labels], self.bounds[labels + 1]
        others = (len(self.by_class) - (end - start)).unsqueeze(1)
        positions = (torch.rand(len(labels), self.negatives, device=labels.device) * others).long()
        positions = torch.where(positions < start.unsqueeze(1), positions, positions + (end - start).unsqueeze(1))
        return self.by_class[positions.clamp_max(len(self.by_class) - 1)]

    def contrast(self, student: Tensor, teacher: Tensor, ids: Tensor, negatives: Tensor) -> Tensor:
        """Return the loss of embeddings `(B, dim)`, and update the memories.

        Args:
            student: Embeddings of the student's features.
            teacher: Embeddings of the teacher's features.
            ids: Row numbers of the batch, `(B,)`.
            negatives: Row numbers of the negatives, `(B, K)`.
        """
        student_memory, teacher_memory = self.get_buffer("student_memory"), self.get_buffer("teacher_memory")
        rows = torch.cat([ids.unsqueeze(1), negatives], dim=1)
        scores = [
            torch.einsum("bkd,bd->bk", memory[rows].to(embeddings.dtype), embeddings).div(self.temperature).exp()
            for memory, embeddings in ((teacher_memory, student), (student_memory, teacher))
        ]
        with torch.no_grad():
            constants = self.get_buffer("constants")
            first = torch.stack([score.mean() for score in scores]).to(constants.dtype) * len(student_memory)
            constants.copy_(torch.where(constants < 0, first, constants))
            for memory, embeddings in ((student_memory, student), (teacher_memory, teacher)):
                moved = memory[ids] * self.momentum + embeddings.to(memory.dtype) * (1 - self.momentum)
                memory[ids] = F.normalize(moved, dim=1)
        noise = negatives.shape[1] / len(student_memory)
        normalized = [score / z for score, z in zip(scores, constants.clone(), strict=True)]
        return torch.stack([self._contrastive_loss(score, noise) for score in normalized]).sum()

    def _contrastive_loss(self, scores: Tensor, noise: float) -> Tensor:
        """Return the loss of scores `(B, 1 + K)`, the positive's first; `noise` is K / N."""
        positive, negative = scores[:, 0], scores[:, 1:]
        log_positive = (positive / (positive + noise + self.eps)).log()
        log_negative = (noise / (negative + noise + self.eps)).log()
        return -(log_positive + log_negative.sum(1)).mean()
