"""Learning-rate schedules: the rate's factor as a function of `progress`, the share of all steps done, in [0, 1).

`steps` is how many there are in all; `warmup` is the share of them (a fraction below 1) in which the factor rises from
one step's worth to 1 in a straight line, as in Goyal et al. 2017.
"""

import math


def constant(progress: float, steps: int, *, warmup: float = 0.0) -> float:
    """1 after the warm-up."""
    return _warm(progress, steps, warmup, 1.0)


def linear(progress: float, steps: int, *, warmup: float = 0.0) -> float:
    """Down to 0 in a straight line after the warm-up."""
    return _warm(progress, steps, warmup, (1 - progress) / (1 - warmup))


def cosine(progress: float, steps: int, *, warmup: float = 0.0) -> float:
    """Down to 0 along half a cosine after the warm-up (Loshchilov and Hutter, SGDR, ICLR 2017, equation 5)."""
    done = max(progress - warmup, 0.0) / (1 - warmup)
    return _warm(progress, steps, warmup, 0.5 * (1 + math.cos(math.pi * done)))


def poly(progress: float, steps: int, *, power: float = 0.9) -> float:
    """`(1 - progress)^power` (Chen et al., DeepLab, TPAMI 2018, section 4.1)."""
    return float((1 - progress) ** power)


def multistep(progress: float, steps: int, *, milestones: list[float], gamma: float = 0.1) -> float:
    """`gamma` to the number of milestones (shares of the training, such as 0.5 and 0.75) that have been passed."""
    return float(gamma ** sum(progress >= milestone for milestone in milestones))


def _warm(progress: float, steps: int, warmup: float, after: float) -> float:
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup must be a share of the training in [0, 1), not {warmup}")
    return (progress + 1 / steps) / (warmup + 1 / steps) if progress < warmup else after
