"""CRD."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.losses.functional import unit
from harness.models.outputs import ModelOutputs
from zoo.errors import UsageError
from zoo.tasks.base import Batch, Split


class CRD(nn.Module):
    """`-1/B sum_i (log h(s_i, t_i) + sum_k log(1 - h(s_i, t_k)))` and the same with s and t in turn, added up.

    h is `g / (g + K / N)`, `g(x, y) = exp(f(x) . f'(y) / T) / Z` the score of embeddings `(dim,)` of unit length,
    learned linear layers of the taps `(B, ...)` flattened. The K `negatives` of a row are drawn anew, evenly, from the
    N rows of the training split that are of other classes. Theirs, and the positive's, are read from two memories of
    the whole split that follow the embeddings with `momentum`; Z is N times the mean score of the first batch. All of
    it is state that a checkpoint holds.

    Tian, Krishnan and Isola, Contrastive Representation Distillation, ICLR 2020, equations 9 to 19.
    """

    needs_teacher = True
    reads_logits = False
    needs_whole_batch = True
    reads_batch = True

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
        self.student_embedding: nn.Module | None = None
        self.teacher_embedding: nn.Module | None = None
        self.by_class: Tensor
        self.bounds: Tensor
        self.register_buffer("constants", torch.full((2,), -1.0))

    def prepare_split(self, split: Split) -> Split:
        """Learn which rows are of which class; the rows themselves stay as they are."""
        labels = split.labels
        if labels.dim() != 1 or labels.is_floating_point() or int(labels.min()) == int(labels.max()):
            raise UsageError(
                "CRD contrasts a row with rows of other classes: it needs one class a row, and two of them"
            )
        counts = torch.bincount(labels)
        self.register_buffer("by_class", labels.argsort(stable=True), persistent=False)
        self.register_buffer("bounds", torch.cat([counts.new_zeros(1), counts.cumsum(0)]), persistent=False)
        bound = (3 / self.dim) ** 0.5
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, torch.empty(len(labels), self.dim).uniform_(-bound, bound))
        return split

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Make both embeddings."""
        self.student_embedding = nn.Linear(student[self.student_features[0]].flatten(1).shape[1], self.dim)
        self.teacher_embedding = nn.Linear(teacher[self.teacher_features[0]].flatten(1).shape[1], self.dim)

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, batch: Batch) -> Tensor:
        assert teacher is not None and self.student_embedding is not None and self.teacher_embedding is not None
        mine = unit(self.student_embedding(student[self.student_features[0]].flatten(1)))
        theirs = unit(self.teacher_embedding(teacher[self.teacher_features[0]].flatten(1)))
        return self.contrast(mine, theirs, batch.ids, self.draw(batch.labels))

    def draw(self, labels: Tensor) -> Tensor:
        """Rows of other classes, `(B, K)`, evenly and with repetition."""
        start, end = self.bounds[labels], self.bounds[labels + 1]
        others = (len(self.by_class) - (end - start)).unsqueeze(1)
        places = (torch.rand(len(labels), self.negatives, device=labels.device) * others).long()
        places = torch.where(places < start.unsqueeze(1), places, places + (end - start).unsqueeze(1))
        return self.by_class[places.clamp_max(len(self.by_class) - 1)]

    def contrast(self, mine: Tensor, theirs: Tensor, ids: Tensor, negatives: Tensor) -> Tensor:
        """The loss of embeddings `(B, dim)`; then the memories follow them."""
        student_memory, teacher_memory = self.get_buffer("student_memory"), self.get_buffer("teacher_memory")
        seen = torch.cat([ids.unsqueeze(1), negatives], dim=1)
        scores = [
            torch.einsum("bkd,bd->bk", memory[seen].to(embedded.dtype), embedded).div(self.temperature).exp()
            for memory, embedded in ((teacher_memory, mine), (student_memory, theirs))
        ]
        with torch.no_grad():
            constants = self.get_buffer("constants")
            first = torch.stack([score.mean() for score in scores]).to(constants.dtype) * len(student_memory)
            constants.copy_(torch.where(constants < 0, first, constants))
            for memory, embedded in ((student_memory, mine), (teacher_memory, theirs)):
                kept = memory[ids] * self.momentum + embedded.to(memory.dtype) * (1 - self.momentum)
                memory[ids] = F.normalize(kept, dim=1)
        noise = negatives.shape[1] / len(student_memory)
        return torch.stack([self._of(s / z, noise) for s, z in zip(scores, constants.clone(), strict=True)]).sum()

    def _of(self, scores: Tensor, noise: float) -> Tensor:
        positive, negative = scores[:, 0], scores[:, 1:]
        true = (positive / (positive + noise + self.eps)).log()
        false = (noise / (negative + noise + self.eps)).log()
        return -(true + false.sum(1)).mean()
