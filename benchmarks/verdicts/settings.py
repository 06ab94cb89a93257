"""The settings of the simulation, as data: how runs vary, and what is known about the reference."""

from dataclasses import dataclass, replace
from typing import Literal

Distribution = Literal["normal", "gamma 4", "gamma 1", "t3"]
Looks = Literal["", "one more", "as many more"]
SIGMAS = {
    "cola": (1.5, 3, 8), "rte": (2.5, 3, 8), "mrpc": (1.3, 3, 8), "sst2": (0.45, 3, 5), "qnli": (0.5, 3, 5),
    "stsb": (0.45, 3, 5), "mnli": (0.3, 3, 3), "qqp": (0.2, 3, 3), "wnli": (6.0, 3, 3), "cifar10 resnet": (0.2, 5, 3),
    "cifar10 wide": (0.15, 3, 3), "cifar10 dense": (0.15, 1, 3), "cifar100": (0.3, 4, 3), "ilsvrc2012": (0.1, 1, 3),
}  # fmt: skip
"""Family of the catalogue -> standard deviation of one run in points, entries, default seeds."""
LEAST_SEEDS = 5
"""The least default seeds against several reference runs."""
NUMBERS_OF_SEEDS = (3, 5, 8, 20)
TOLERANCES = (0.2, 1.0)
"""Fixed tolerances of other programs, in points."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A zoo of 41 entries. Sigma is the standard deviation of a reference run; losses are counted in it."""

    references: int
    """The number of reference runs, with those that collapse; 1 for a single published score."""
    prior: float | None = None
    """The declared prior over sigma; None without a prior."""
    prior_error: float = 0.0
    """The standard deviation of log(prior / sigma) over the entries."""
    distribution: Distribution = "normal"
    """The distribution of runs. A gamma distribution, of this shape, has its long tail at low scores."""
    collapse: float = 0.0
    """The share of runs that collapse to the baseline."""
    own: float = 1.0
    """The spread of the judged runs over sigma."""
    best_of: int = 1
    """The published score is the best one of this many runs."""
    seeds: int | None = None
    """The number of judged runs; None for the default of each entry."""
    looks: Looks = ""
    """How the user adds seeds, up to four times, until the verdict is settled."""


def settings_of(references: int) -> dict[str, Setting]:
    """Return the settings with this number of reference runs by their names.

    A single score needs a prior, which is right where the name does not say otherwise.
    """
    plain = Setting(references=references, prior=None if references > 1 else 1.0)
    settings = {
        "normal" if references > 1 else "normal, prior right": plain,
        "prior right to a quarter": replace(plain, prior=1.0, prior_error=0.25),
        "prior half of sigma": replace(plain, prior=0.5),
        "prior two thirds of sigma": replace(plain, prior=2 / 3),
        "prior 1.5 times sigma": replace(plain, prior=1.5),
        "prior twice sigma": replace(plain, prior=2.0),
        "skewed (gamma, shape 4)": replace(plain, distribution="gamma 4"),
        "skewed (exponential)": replace(plain, distribution="gamma 1"),
        "t with 3 degrees of freedom": replace(plain, distribution="t3"),
        "1 run in 10 collapses": replace(plain, collapse=0.1),
        "own spread 1.5 times": replace(plain, own=1.5),
        "own spread twice": replace(plain, own=2.0),
        "own spread twice, prior right to a quarter": replace(plain, own=2.0, prior=1.0, prior_error=0.25),
        "five looks, one seed more each": replace(plain, looks="one more"),
        "five looks, as many seeds more each": replace(plain, looks="as many more"),
    }
    best = {f"best of {number} published": replace(plain, best_of=number) for number in (3, 5)}
    return settings if references > 1 else settings | best


SINGLE_SCORE = settings_of(1)
SEVERAL = {references: settings_of(references) for references in (5, 10)}
BY_SEEDS = {
    "single score, prior right to a quarter": SINGLE_SCORE["prior right to a quarter"],
    "5 runs": SEVERAL[5]["normal"],
    "5 runs, prior right to a quarter": SEVERAL[5]["prior right to a quarter"],
    "10 runs": SEVERAL[10]["normal"],
    "10 runs, prior right to a quarter": SEVERAL[10]["prior right to a quarter"],
}
"""The settings that are simulated with several numbers of seeds."""
CONTESTED = ("normal", "t with 3 degrees of freedom", "1 run in 10 collapses", "own spread twice")
"""The settings, with five reference runs, in which other rules compete."""
