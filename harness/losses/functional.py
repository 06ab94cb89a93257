"""What several losses share; no loss imports another, so that each is one file."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASK = ":input.attention_mask"
"""The tap of which tokens of a transformer's input are not padding."""


def divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """`KL(softmax(t / T) || softmax(s / T))` of every row, `(B,)`, of logits `(B, C)`; a teacher's -inf counts as 0."""
    target = F.log_softmax(teacher / temperature, dim=-1)
    parts = F.kl_div(F.log_softmax(student / temperature, dim=-1), target, reduction="none", log_target=True)
    return torch.where(target.isneginf(), 0.0, parts).sum(-1)


def pearson(student: Tensor, teacher: Tensor, dim: int, eps: float = 1e-8) -> Tensor:
    """Pearson's correlation along a dimension, which is gone."""
    student, teacher = (values - values.mean(dim, keepdim=True) for values in (student, teacher))
    return F.cosine_similarity(student, teacher, dim=dim, eps=eps)


def unit(vectors: Tensor) -> Tensor:
    """The vectors along the last dimension over their L2 norms; 0 of a zero vector, with a gradient of 0."""
    norms = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    longer = norms > 0
    return torch.where(longer, vectors / torch.where(longer, norms, 1.0), 0.0)


def root(squared: Tensor) -> Tensor:
    """The square root, with a gradient of 0 instead of infinity at 0."""
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)


def paired(student: Sequence[str], teacher: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Taps of either that are compared one by one; raises ValueError for an unequal number, or none."""
    if len(student) != len(teacher) or not student:
        raise ValueError(f"taps go in pairs: {len(student)} of the student, {len(teacher)} of the teacher")
    return tuple(student), tuple(teacher)


def same_size(mine: str, given: Tensor, theirs: str, wanted: Tensor) -> None:
    """Raise ValueError unless both taps are feature maps `(B, C, H, W)` of one H and W."""
    if given.dim() != 4 or wanted.dim() != 4 or given.shape[2:] != wanted.shape[2:]:
        raise ValueError(
            f"{mine} is {tuple(given.shape[1:])} and {theirs} {tuple(wanted.shape[1:])}, not (C, H, W) of one size"
        )


def fitted(student: Tensor, teacher: Tensor) -> nn.Module:
    """What brings the student's feature to the teacher's shape: nothing where they agree, else a `regressor`."""
    return nn.Identity() if student.shape[1:] == teacher.shape[1:] else regressor(student, teacher)


def regressor(student: Tensor, teacher: Tensor) -> nn.Module:
    """A learned map from `(B, C, H, W)`, `(B, T, D)` or `(B, D)` to the teacher's shape.

    A convolution: 3x3 in steps of two to half the size, a transposed 4x4 one to twice the size, else one whose kernel
    fits the one size to the other; or a linear layer on the last dimension. Raises ValueError where neither can lead
    from one to the other.
    """
    given, wanted = tuple(student.shape[1:]), tuple(teacher.shape[1:])
    if len(given) == len(wanted) == 3:
        (inputs, *size), (outputs, *target) = given, wanted
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
    elif len(given) == len(wanted) and len(given) in (1, 2) and given[:-1] == wanted[:-1]:
        return nn.Linear(given[-1], wanted[-1])
    raise ValueError(f"no regressor leads from the student's {given} to the teacher's {wanted}")


def autoencoder(
    kind: type[nn.Conv2d | nn.ConvTranspose2d], channels: Sequence[int], *, batch_norm: bool = True
) -> nn.Sequential:
    """3x3 layers from each number of channels to the next, each with BatchNorm, if wanted, and a leaky ReLU.

    Kim et al., Paraphrasing Complex Network, NeurIPS 2018, supplement A: three of them are an encoder or a decoder.
    Raises ValueError for a code of no channel.
    """
    if min(channels) < 1:
        raise ValueError(f"a code of {min(channels)} channels: rate is too small for {max(channels)}")
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [kind(inputs, outputs, 3, padding=1)]
        layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
        layers += [nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


def connector(mine: str, given: Tensor, theirs: str, wanted: Tensor) -> nn.Sequential:
    """A learned 1x1 convolution with BatchNorm to the teacher's channels; raises ValueError for maps of two sizes."""
    same_size(mine, given, theirs, wanted)
    channels = wanted.shape[1]
    return nn.Sequential(nn.Conv2d(given.shape[1], channels, 1, bias=False), nn.BatchNorm2d(channels))


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError for a value that is none of two."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(choices)}, not {value!r}")


def check_rate(rate: float) -> None:
    """Raise ValueError for a share of channels that is none."""
    if not 0 < rate <= 1:
        raise ValueError(f"rate must be in (0, 1], not {rate}")


def check_temperature(temperature: float) -> None:
    """Raise ValueError for a temperature that is none."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")


def check_alpha(alpha: float) -> None:
    """Raise ValueError for a share of the sum that is none."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], not {alpha}")


def split_heads(projection: Tensor, heads: int) -> Tensor:
    """`(B, T, H d)` as `(B, H, T, d)`; raises ValueError where the width is no multiple of the heads."""
    if projection.dim() != 3 or projection.shape[-1] % heads:
        raise ValueError(f"{heads} heads do not divide (T, D) = {tuple(projection.shape[1:])}")
    return projection.view(*projection.shape[:2], heads, -1).transpose(1, 2)


def scores(queries: Tensor, keys: Tensor) -> Tensor:
    """`Q K^T / sqrt(d)` of `(B, H, T, d)` and as many: what attention takes the softmax of, `(B, H, T, T)`."""
    found: Tensor = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return found
