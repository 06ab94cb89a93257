"""Learning-rate schedules: functions that return the factor of the learning rate.

`progress` is the share of all steps that is done, in [0, 1). `steps` is the number of all steps. `warmup` is the share
of them, in [0, 1), during which the factor rises linearly from `1 / (warmup steps + 1)` to 1, as in Goyal et al. 2017.
"""

import math
from collections.abc import Callable


def constant(progress: float, steps: int, *, warmup: float = 0.0) -> float:
    """Keep the factor at 1 after the warm-up."""
    return _with_warmup(progress, steps, warmup, 1.0)


def linear(progress: float, steps: int, *, warmup: float = 0.0) -> float:
    """Decay linearly to 0 after the warm-up."""
    return _with_warmup(progress, steps, warmup, (1 - progress) / (1 - warmup))


def cosine(progress: float, steps: int, *, warmup: float = 0.0) -> float:
    """Decay to 0 along half a cosine after the warm-up (Loshchilov and Hutter, SGDR, ICLR 2017, equation 5)."""
    done = max(progress - warmup, 0.0) / (1 - warmup)
    return _with_warmup(progress, steps, warmup, 0.5 * (1 + math.cos(math.pi * done)))


def poly(progress: float, steps: int, *, power: float = 0.9) -> float:
    """Decay polynomially: `(1 - progress)^power` (Chen et al., DeepLab, TPAMI 2018, section 4.1)."""
    return float((1 - progress) ** power)


def multistep(progress: float, steps: int, *, milestones: list[float], gamma: float = 0.1) -> float:
    """Multiply by `gamma` at each milestone; a milestone is a share of the training, such as 0.5."""
    return float(gamma ** sum(progress >= milestone for milestone in milestones))


def timm_cosine(
    progress: float, steps: int, *, epochs: int, length: int, warmup: float = 0.0, start: float = 0.0,
    prefix: bool = False, least: float = 0.0, k: float = 1.0,
) -> float:  # fmt: skip
    """Decay along half a cosine as timm's CosineLRScheduler does; the warm-up replaces the start of the decay.

    The arguments of all schedules of timm are in epochs, for a stage that has `epochs` of them.

    Args:
        progress: See the module.
        steps: See the module.
        epochs: The epochs of the stage, with the warm-up and the cooldown.
        length: The epochs of the decay. Then the factor is `least`.
        warmup: The epochs in which the factor rises linearly from `start` to 1.
        start: The first factor of the warm-up.
        prefix: Whether the decay begins after the warm-up, and not with it.
        least: The last factor of the decay.
        k: The exponent of the progress of the decay (Zhang and Li, k-decay, 2020).
    """

    def decay(epoch: float) -> float:
        done = epoch**k / length**k
        return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * done)) if epoch < length else least

    return _as_timm(progress, steps, epochs, warmup, start, prefix, decay)


def timm_poly(
    progress: float, steps: int, *, epochs: int, length: int, power: float, warmup: float = 0.0, start: float = 0.0,
    prefix: bool = False, least: float = 0.0, k: float = 1.0,
) -> float:  # fmt: skip
    """Decay polynomially with this power as timm's PolyLRScheduler does. The arguments are those of `timm_cosine`."""

    def decay(epoch: float) -> float:
        return least + (1 - least) * (1 - epoch**k / length**k) ** power if epoch < length else least

    return _as_timm(progress, steps, epochs, warmup, start, prefix, decay)


def timm_step(
    progress: float, steps: int, *, epochs: int, every: float, gamma: float, warmup: float = 0.0, start: float = 0.0,
    prefix: bool = False,
) -> float:  # fmt: skip
    """Multiply by `gamma` after `every` epochs as timm's StepLRScheduler does. See `timm_cosine`."""
    return _as_timm(progress, steps, epochs, warmup, start, prefix, lambda epoch: gamma ** (epoch // every))


def timm_multistep(
    progress: float, steps: int, *, epochs: int, milestones: list[float], gamma: float, warmup: float = 0.0,
    start: float = 0.0, prefix: bool = False,
) -> float:  # fmt: skip
    """Multiply by `gamma` one epoch (or step) before each milestone, as timm's MultiStepLRScheduler does.

    The other arguments are those of `timm_cosine`.
    """
    tick = epochs / steps

    def decay(epoch: float) -> float:
        return float(gamma ** sum(milestone <= epoch + tick + 1e-9 for milestone in milestones))

    return _as_timm(progress, steps, epochs, warmup, start, prefix, decay)


def _as_timm(
    progress: float, steps: int, epochs: int, warmup: float, start: float, prefix: bool, decay: Callable[[float], float]
) -> float:
    """Return the factor at the start of an epoch or step, which timm counts from 0."""
    epoch = round(round(progress * steps) * epochs / steps, 12)
    if not epoch and not warmup:  # timm asks for the decay of later epochs only
        return 1.0
    if epoch < warmup:
        return start + (1 - start) * epoch / warmup
    return decay(epoch - warmup if prefix else epoch)


def _with_warmup(progress: float, steps: int, warmup: float, after: float) -> float:
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup must be a share of the training in [0, 1), not {warmup}")
    return (progress + 1 / steps) / (warmup + 1 / steps) if progress < warmup else after
