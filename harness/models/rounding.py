"""Bound the change of a result that rounding alone causes on another processor or with other threads."""

import math

import torch
from torch import nn


def rounding_tolerance(dtype: torch.dtype, terms: int, scale: float = 1.0) -> float:
    """Return how far two results of the same sum may differ when each adds its terms in its own order.

    Kernels differ between processors and thread counts in the width of their vectors, in blocking and in fused
    multiply-adds. Each of `terms` operations rounds with a relative error of at most `u = eps / 2`. These errors are
    close to independent with mean zero (Higham and Mary, SIAM J. Sci. Comput. 41(5), 2019), so each has a standard
    deviation of `u / sqrt(3)` at most and their sum grows with `sqrt(terms)`. Two results differ by
    `sqrt(2 / 3) * u * sqrt(terms) * scale` at one standard deviation. This function allows
    `2 * eps * sqrt(terms) * scale`, 4.9 standard deviations, or one pair in a million. In a training each step starts
    from the errors of the steps before: multiply the tolerance by the number of steps.

    Args:
        dtype: The floating point type in which the terms are added.
        terms: The number of operations in a row from input to result, summed over the layers of a model.
        scale: The largest absolute value among partial sums and result.
    """
    return 2 * torch.finfo(dtype).eps * math.sqrt(terms) * scale


def terms_of(model: nn.Module) -> int:
    """Return how many products a model adds between its inputs and one output.

    Every weight of a linear or convolutional layer adds one product for each of its inputs. Layers side by side count
    as if they came one after the other, which makes up for sums without weights, such as those over tokens.
    """
    return sum(weight[0].numel() for weight in _matrices(model))


def layers_of(model: nn.Module) -> int:
    """Return how many linear and convolutional layers a model has, each of which rounds its outputs once."""
    return len(_matrices(model))


def _matrices(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.dim() > 1]
