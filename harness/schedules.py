"""Learning-rate schedules: functions that return the factor of the learning rate.

`progress` is the share of all steps that is done, in [0, 1). `steps` is the number of all steps. `warmup` is the share
of them, in [0, 1), during which the factor rises linearly from `1 / (warmup steps + 1)` to 1, as in Goyal et al. 2017.
"""

import math


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


def _with_warmup(progress: float, steps: int, warmup: float, after: float) -> float:
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup must be a share of the training in [0, 1), not {warmup}")
    return (progress + 1 / steps) / (warmup + 1 / steps) if progress < warmup else after
