"""Functions and modules that several losses share. No loss imports another, so each one is a single file."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ATTENTION_MASK = ":input.attention_mask"
"""Feature path of a transformer's attention mask: 1 for tokens, 0 for padding."""


def kl_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return `KL(softmax(t / T) || softmax(s / T))` of every row.

    Args:
        student: Logits s, `(B, C)`.
        teacher: Logits t, `(B, C)`. A class with logit -inf adds 0.
        temperature: T.

    Returns:
        A tensor `(B,)`.
    """
    target = F.log_softmax(teacher / temperature, dim=-1)
    parts = F.kl_div(F.log_softmax(student / temperature, dim=-1), target, reduction="none", log_target=True)
    return torch.where(target.isneginf(), 0.0, parts).sum(-1)


def pearson_correlation(student: Tensor, teacher: Tensor, dim: int, eps: float = 1e-8) -> Tensor:
    """Return Pearson's correlation along `dim`, which the result lacks."""
    student, teacher = (values - values.mean(dim, keepdim=True) for values in (student, teacher))
    return F.cosine_similarity(student, teacher, dim=dim, eps=eps)


def unit_vectors(vectors: Tensor) -> Tensor:
    """Divide the vectors along the last dimension by their L2 norms. A zero vector stays 0, with gradient 0."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    positive = norms > 0
    return torch.where(positive, vectors / torch.where(positive, norms, 1.0), 0.0)


def safe_sqrt(squares: Tensor) -> Tensor:
    """Return the square root, whose gradient at 0 is 0 instead of infinity."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)


def feature_pairs(student: Sequence[str], teacher: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return both lists of feature paths as tuples; raises ValueError if their lengths differ or are 0."""
    if len(student) != len(teacher) or not student:
        raise ValueError(
            "student and teacher need the same number of feature paths, at least one:"
            f" found {len(student)} and {len(teacher)}"
        )
    return tuple(student), tuple(teacher)


def check_same_size(student_path: str, student: Tensor, teacher_path: str, teacher: Tensor) -> None:
    """Raise ValueError unless both features are maps `(B, C, H, W)` with the same H and W."""
    if student.dim() != 4 or teacher.dim() != 4 or student.shape[2:] != teacher.shape[2:]:
        raise ValueError(
            f"features must be (C, H, W) with equal H and W: the student's {student_path} is"
            f" {tuple(student.shape[1:])} and the teacher's {teacher_path} is {tuple(teacher.shape[1:])}"
        )


def adapter_for(student: Tensor, teacher: Tensor) -> nn.Module:
    """Return a module that maps the student's feature to the teacher's shape.

    It is the identity if the shapes agree, else a learned `regressor`.
    """
    return nn.Identity() if student.shape[1:] == teacher.shape[1:] else regressor(student, teacher)


def regressor(student: Tensor, teacher: Tensor) -> nn.Module:
    """Return a learned layer that maps the student's feature to the teacher's shape.

    For feature maps `(B, C, H, W)` the layer is a convolution: 3x3 with stride 2 to halve H and W, a transposed 4x4 one
    with stride 2 to double them, else a kernel that fits one size to the other. For `(B, T, D)` or `(B, D)` it is a
    linear layer on the last dimension.

    Raises:
        ValueError: Neither layer can map the one shape to the other.
    """
    student_shape, teacher_shape = tuple(student.shape[1:]), tuple(teacher.shape[1:])
    if len(student_shape) == len(teacher_shape) == 3:
        (inputs, *size), (outputs, *target) = student_shape, teacher_shape
        if size == [2 * side for side in target]:
            return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        if [2 * side for side in size] == target:
            return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        kernel = (1 + size[0] - target[0], 1 + size[1] - target[1])
        if min(kernel) > 0:
            return nn.Conv2d(inputs, outputs, kernel)
        kernel = (2 - kernel[0], 2 - kernel[1])
        if min(kernel) > 0:
            return nn.ConvTranspose2d(inputs, outputs, kernel)
    elif len(student_shape) == len(teacher_shape) in (1, 2) and student_shape[:-1] == teacher_shape[:-1]:
        return nn.Linear(student_shape[-1], teacher_shape[-1])
    raise ValueError(f"no regressor maps the student's shape {student_shape} to the teacher's {teacher_shape}")


def autoencoder(
    layer: type[nn.Conv2d | nn.ConvTranspose2d], channels: Sequence[int], *, batch_norm: bool = True
) -> nn.Sequential:
    """Return 3x3 layers from each number of channels to the next, each with BatchNorm and a leaky ReLU.

    Three layers form an encoder or a decoder: Kim et al., Paraphrasing Complex Network, NeurIPS 2018, supplement A.

    Args:
        layer: The class of the layers.
        channels: Numbers of channels, from input to output.
        batch_norm: Whether to add BatchNorm.

    Raises:
        ValueError: The code has no channel.
    """
    if min(channels) < 1:
        raise ValueError(f"a code of {min(channels)} channels: rate is too small for {max(channels)} channels")
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [layer(inputs, outputs, 3, padding=1)]
        layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
        layers += [nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


class FrozenEncoder(nn.Sequential):
    """An encoder that an earlier stage has trained. It learns nothing and always runs in `eval()` mode."""

    def __init__(self, encoder: nn.Sequential) -> None:
        super().__init__(*encoder)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Stay in `eval()` mode, so that BatchNorm uses its running statistics."""
        super().train(False)
        return self


def connector(student_path: str, student: Tensor, teacher_path: str, teacher: Tensor) -> nn.Sequential:
    """Return a learned 1x1 convolution with BatchNorm to the teacher's channels.

    Raises:
        ValueError: The features are not maps of the same size.
    """
    check_same_size(student_path, student, teacher_path, teacher)
    channels = teacher.shape[1]
    return nn.Sequential(nn.Conv2d(student.shape[1], channels, 1, bias=False), nn.BatchNorm2d(channels))


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(choices)}, not {value!r}")


def check_rate(rate: float) -> None:
    """Raise ValueError unless 0 < rate <= 1."""
    if not 0 < rate <= 1:
        raise ValueError(f"rate must be in (0, 1], not {rate}")


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless the temperature is above 0."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")


def check_alpha(alpha: float) -> None:
    """Raise ValueError unless 0 <= alpha <= 1."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], not {alpha}")


def split_heads(projection: Tensor, heads: int) -> Tensor:
    """Reshape `(B, T, H d)` to `(B, H, T, d)`; raises ValueError if the width is no multiple of the heads H."""
    if projection.dim() != 3 or projection.shape[-1] % heads:
        raise ValueError(f"{heads} heads do not divide (T, D) = {tuple(projection.shape[1:])}")
    return projection.view(*projection.shape[:2], heads, -1).transpose(1, 2)


def attention_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Return `Q K^T / sqrt(d)`, attention before its softmax: `(B, H, T, d)` twice to `(B, H, T, T)`."""
    scores: Tensor = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return scores
