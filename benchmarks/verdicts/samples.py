"""Draw zoos of 41 entries: reference runs, the claims made of them, and the runs to judge."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.verdicts.plain_rules import Claims, Flags, Floats, Integers
from benchmarks.verdicts.settings import LEAST_SEEDS, SIGMAS, Setting

SEED, CLAIM, BASELINE = 20231206, 0.7, 0.05
MOST_LOOKS = 5
POINTS = np.array([points for points, entries, _ in SIGMAS.values() for _ in range(entries)]) / 100
DEFAULT_SEEDS = np.array([seeds for _, entries, seeds in SIGMAS.values() for _ in range(entries)])
FAMILY = len(POINTS)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Simulated zoos: the claims with all runs that may be judged, and the runs behind the claims."""

    setting: Setting
    claims: Claims
    """With the number of seeds of the first look."""
    reference: Floats
    """`(Z, E, R)`."""
    points: Floats
    """The standard deviation of a reference run, of each entry."""

    def one_worse(self, shift: float) -> "Sample":
        """Return one entry of each zoo, worse by this many sigma. Runs that collapse stay where they are."""
        _, columns = one_of_each(len(self.reference))
        one = self._one_of_each()
        runs, points = one.claims.runs, self.points[columns][:, None]
        worse = np.where(runs <= BASELINE, runs, runs - shift * points[:, :, None])
        return replace(one, claims=replace(one.claims, runs=worse), points=points)

    def one_collapses(self, share: float, random: np.random.Generator) -> "Sample":
        """Return one entry of each zoo, of whose runs this share collapses to the baseline."""
        one = self._one_of_each()
        runs = np.where(random.random(one.claims.runs.shape) < share, BASELINE, one.claims.runs)
        return replace(one, claims=replace(one.claims, runs=runs, flagged=runs <= BASELINE))

    def seeds_at(self, look: int) -> Integers:
        """Return the number of seeds at a look."""
        first = self.claims.count
        return first * look if self.setting.looks == "as many more" else first + (look - 1)

    def _one_of_each(self) -> "Sample":
        where = one_of_each(len(self.reference))
        claims = Claims(**{name: values[where][:, None] for name, values in vars(self.claims).items()})
        return replace(self, claims=claims, reference=self.reference[where][:, None])


def one_of_each(zoos: int) -> tuple[Integers, Integers]:
    """Return the indices of one entry of each zoo: each entry in turn."""
    return np.arange(zoos), np.arange(zoos) % FAMILY


def random_of(setting: Setting) -> np.random.Generator:
    """Return random numbers that depend on the setting alone, not on those simulated before."""
    return np.random.default_rng([SEED, *repr(setting).encode()])


def simulate(setting: Setting, zoos: int, random: np.random.Generator) -> Sample:
    """Simulate zoos that are correct: each judged run has the mean of the reference runs."""
    shape, first = (zoos, FAMILY), _first_seeds(setting)
    most = int(first.max()) * (MOST_LOOKS if setting.looks else 1)
    reference = _runs(setting, (*shape, max(setting.references, setting.best_of)), random)
    failed = _collapsed(setting, reference.shape, random)
    mean, spread = _moments(reference, ~failed)
    runs = _runs(setting, (*shape, most), random, setting.own)
    unknown = np.full(shape, np.nan)
    error = np.exp(setting.prior_error * random.standard_normal(shape))
    runs = np.where(random.random(runs.shape) < setting.collapse, BASELINE, runs)
    claims = Claims(
        value=reference.max(axis=-1) if setting.best_of > 1 else mean, rounding=np.zeros(shape),
        references=(~failed).sum(axis=-1) if setting.references > 1 else np.ones(shape, np.int64),
        reference_failures=failed.sum(axis=-1),
        sigma=spread if setting.references > 1 else unknown,
        prior=unknown if setting.prior is None else setting.prior * POINTS * error,
        sampling=unknown, baseline=np.full(shape, BASELINE),
        runs=runs, count=np.broadcast_to(first, shape), flagged=runs <= BASELINE,
        above=np.zeros(runs.shape, bool), look=np.ones(shape, np.int64),
    )  # fmt: skip
    return Sample(setting=setting, claims=claims, reference=np.where(failed, BASELINE, reference), points=POINTS)


def _first_seeds(setting: Setting) -> Integers:
    """Return the number of seeds of each entry at the first look, `(E,)`."""
    if setting.seeds:
        return np.full(FAMILY, setting.seeds)
    return np.maximum(DEFAULT_SEEDS, LEAST_SEEDS if setting.references > 1 else 1)


def _runs(setting: Setting, shape: tuple[int, ...], random: np.random.Generator, spread: float = 1.0) -> Floats:
    """Return the scores of runs that do not collapse."""
    if setting.distribution == "normal":
        deviations = random.standard_normal(shape)
    elif setting.distribution == "t3":
        deviations = random.standard_t(3, shape) / np.sqrt(3)
    else:
        size = float(setting.distribution.removeprefix("gamma "))
        deviations = (size - random.standard_gamma(size, shape)) / np.sqrt(size)
    return CLAIM + spread * POINTS[:, None] * deviations


def _collapsed(setting: Setting, shape: tuple[int, ...], random: np.random.Generator) -> Flags:
    """Return which reference runs collapse. At least two do not, and a single published score never does."""
    if setting.references == 1:
        return np.zeros(shape, bool)
    collapsed = random.random(shape) < setting.collapse
    later = np.arange(shape[-1])[::-1]
    return collapsed & (np.cumsum(~collapsed, axis=-1) + later >= 2)


def _moments(runs: Floats, used: Flags) -> tuple[Floats, Floats]:
    count = used.sum(axis=-1)
    mean = np.where(used, runs, 0).sum(axis=-1) / count
    squares = np.where(used, (runs - mean[..., None]) ** 2, 0).sum(axis=-1)
    return mean, np.sqrt(squares / np.maximum(count - 1, 1))
