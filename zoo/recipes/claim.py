"""One claim of a recipe: a published score, and how to compare it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from zoo.errors import Mark
from zoo.recipes.row_subset import RowSubset
from zoo.recipes.values import refuse
from zoo.text_tables import as_printed

Of = Literal["weights", "retrain", "test-server"]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
"""The arithmetic of a computation. TF32 is that of CUDA devices for the products of fp32 matrices and convolutions."""
Selection = Literal["last", "best"]
MAX_DECIMALS = 16
LEAST_SIGMA = 1e-12
"""The square of a smaller one is lost in floating-point numbers."""
SHARES = ("accuracy", "top5_accuracy", "exact_match", "best_exact_match")
"""Metrics that are a share of the examples."""
CORRELATIONS = ("matthews_correlation", "pearson", "spearman")
"""Metrics that range from -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published score, and how to compare it."""

    of: Of
    """The kind of claim: a score of the published `weights`, which are evaluated; of a training, which is repeated
    (`retrain`); or of a submission to a `test-server` with hidden labels, which is shown and never compared."""
    split: str
    """The split that the score was measured on."""
    metric: str
    """The metric: a name in `harness.metrics`."""
    source: str
    """Where the score is published, for readers who want to look it up."""
    value: float | None = None
    """The score, as a fraction: 86.8 % is 0.868. Correlations range from -1 to 1. Leave it out if it is not public."""
    log: str | None = None
    """Instead of `value`, a torchdistill log in the repository of the weights that has the score."""
    decimals: int | None = None
    """The number of decimals of the published value. By default those of `value` as it is written:
    2 for 0.90."""
    threshold: float | None = None
    """Of a multilabel task, the probability above which a label counted as predicted. By default one half."""
    threshold_from: str | None = None
    """Instead of `threshold`, the split that it was chosen on; zoo chooses it on the same split."""
    precision: Precision = "fp32"
    """The arithmetic in which the score was computed; for `of: retrain`, in which the reference was trained."""
    selection: Selection = "last"
    """The checkpoint that has the score: that of the last epoch, or the `best` one on this split."""
    n: int | None = None
    """The number of examples that the score was measured on. A split of another size is not compared."""
    rows: RowSubset | None = None
    """The rows of the split that the score was measured on, as `rows` of the recipe names them. By default all."""
    sigma: float | None = None
    """For `of: retrain`, the standard deviation of the reference runs; of a claim with one run, an assumed one."""
    prior: float | None = None
    """The sigma that was assumed before there were reference runs. It steadies the sigma of few runs."""
    reference_runs: int = 1
    """The number of runs whose mean is `value`."""
    failures: int = 0
    """The number of further reference runs that are not in the mean, because their outputs were not finite or their
    predictions were all the same."""
    gates: bool = True
    """Whether the claim counts for the entry's verdict. A score that needs no model should not."""
    seeds: int = 3
    """The number of runs to train by default."""
    written: Mapping[str, str] = field(
        default_factory=dict, compare=False, repr=False
    )  # scalars as the recipe has them
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.of == "weights" and self.decimals is None and "value" in self.written:
            object.__setattr__(self, "decimals", _decimals_of(self.written["value"]))
        refuse([*self.value_problems(vars(self)), *self._problems()])

    @property
    def size(self) -> int | None:
        """The number of examples that the claim states: `n`, or the number of its `rows`; None if it states neither."""
        return self.n if self.n is not None or self.rows is None else self.rows.size

    @property
    def has_inferred_decimals(self) -> bool:
        """Whether `decimals` is not in the recipe but taken from the value as it is written."""
        return self.decimals is not None and "value" in self.written and "decimals" not in self.written

    @property
    def printed_decimals(self) -> int | None:
        """The number of decimals to print scores with: `decimals`, or for a value of a log those that the log has."""
        is_float = self.decimals == MAX_DECIMALS and "value" in self.written
        return _decimals_of(self.written["value"]) if is_float else self.decimals

    @property
    def value_decimals(self) -> int | None:
        """The number of decimals that `value` is known with: `decimals`, or those of the value as it is written."""
        written = _decimals_of(self.written["value"]) if "value" in self.written else None
        return written if self.decimals is None else self.decimals

    @property
    def printed_value(self) -> str:
        """The value with the decimals that were published, as far as they are known; `-` without a value."""
        return as_printed(self.value, self.value_decimals if self.decimals is None else self.printed_decimals)

    @property
    def rounding(self) -> float:
        """The largest error of `value` by its rounding: half a unit of its last decimal; 0 if that is unknown."""
        return 0.0 if self.value_decimals is None else 10.0**-self.value_decimals / 2

    @staticmethod
    def value_problems(values: Mapping[str, Any]) -> Iterator[str]:
        """Yield the problems of single values, which do not depend on other keys."""
        decimals, failures = values.get("decimals"), values.get("failures")
        if decimals is not None and not 0 <= decimals <= MAX_DECIMALS:
            yield f"decimals must be 0 to 16, not {decimals}"
        threshold = values.get("threshold")
        if threshold is not None and not 0 < threshold < 1:
            yield f"threshold is a probability above 0 and below 1, not {threshold:g}"
        for name in ("sigma", "prior"):
            spread = values.get(name)
            if spread is not None and not LEAST_SIGMA <= spread <= 1:
                yield f"{name} must be above 0 and at most 1, not {spread:g}"
        if failures is not None and failures < 0:
            yield f"failures must be at least 0, not {failures}"
        if any(values.get(name) is not None and values[name] < 1 for name in ("reference_runs", "seeds", "n")):
            yield "reference_runs, seeds and n must be at least 1"

    def _problems(self) -> Iterator[str]:
        lowest = -1 if self.metric in CORRELATIONS else 0
        if self.value is not None and not lowest <= self.value <= 1:
            yield f"the claim's value {self.value:g} is not a fraction; 86.8 % is written 0.868"
        elif self.of == "weights" and self.value is not None and self.decimals is None:
            if text := self.written.get("value"):
                yield f"the value {text} has no decimals: add the key 'decimals', or write all published ones"
            else:
                yield "a claim of weights lacks the key 'decimals': the number of decimals of its value"
        if self.n is not None and self.rows is not None and self.rows.size not in (None, self.n):
            yield f"the rows {self.rows} are {self.rows.size:,}, but n is {self.n:,}: leave n out"
        if self.threshold is not None and self.threshold_from is not None:
            yield "a claim has a 'threshold' or the split 'threshold_from' that it was chosen on, not both"
        if self.log is not None and self.value is not None:
            yield "a claim has a 'value' or a 'log' with the value, not both"


def sampling_sigma(share: float, n: int) -> float:
    """Return the least standard deviation over seeds of a share of n examples: `sqrt(err / (2 n))`.

    This is what the choice of the examples causes alone, for runs that err independently. Real runs vary more.

    Jordan, Calibrated chaos: variance between runs of neural network training is harmless and inevitable, 2023.
    """
    return math.sqrt((1 - share) / (2 * n))


def _decimals_of(text: str) -> int | None:
    """Return the number of decimals of a number as it is written: 3 for 0.850 and 8.50e-1; None if it has none."""
    try:
        exponent = Decimal(text).as_tuple().exponent
    except InvalidOperation:  # such as 0x1
        return None
    return min(-exponent, MAX_DECIMALS) if isinstance(exponent, int) and exponent < 0 else None
