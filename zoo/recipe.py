"""The schema of a recipe: what is trained, how, and what is claimed of it. A docstring per field; no inheritance."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from zoo.config import Call, read, to_data

Of = Literal["weights", "retrain", "test-server"]
Precision = Literal["fp32", "bf16", "fp16"]
Selection = Literal["last", "best"]
CORRELATIONS = ("matthews_correlation", "pearson", "spearman")


@dataclass(frozen=True, kw_only=True)
class Term:
    """One weighted part of a criterion."""

    loss: Call
    """The loss, a name in `harness.losses`."""
    weight: float = 1.0
    """Its factor in the sum."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A frozen model whose outputs a student learns from."""

    model: Call
    """Its architecture, a name in `zoo.models`."""
    weights: str
    """The source of its weights."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a training: some epochs under one criterion."""

    epochs: int
    """Passes over the split."""
    batch_size: int
    """Examples per optimiser step, over all processes."""
    optimizer: Call
    """A name in `torch.optim`; it is given all parameters of the objective."""
    criterion: Mapping[str, Term]
    """The terms that are summed, by the names they are logged under."""
    schedule: Call | None = None
    """A name in `harness.schedules`: the learning rate's factor at each step. Constant when left out."""
    clip_norm: float | None = None
    """The largest gradient norm; larger ones are scaled down to it."""
    teacher: Teacher | None = None
    """What distillation terms compare with."""
    split: str = "train"
    """The split that is trained on."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError("epochs and batch_size must be at least 1")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0, not {self.clip_norm}")
        if not self.criterion:
            raise ValueError("criterion must name at least one term")
        if "total" in self.criterion:
            raise ValueError("no term can be named 'total': that is the sum of all")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One score that somebody recorded, and how it is to be compared."""

    of: Of
    """`weights`: published weights evaluated; `retrain`: trained again; `test-server`: hidden labels, not compared."""
    split: str
    """The split it was measured on."""
    metric: str
    """A name in `harness.metrics`."""
    source: str
    """Where the value stands, so that a reader can look it up."""
    value: float | None = None
    """The score as a fraction (correlations: in [-1, 1]); left out where no public place holds one."""
    decimals: int | None = None
    """To how many decimals of the fraction the value is given; needed for `of: weights`."""
    precision: Precision = "fp32"
    """The numbers that the value was computed in."""
    selection: Selection = "last"
    """Which checkpoint it is of: the last epoch's, or the best on this split."""
    sigma: float | None = None
    """Seed-to-seed standard deviation of one run; for `of: retrain`."""
    reference_runs: int = 1
    """How many runs the value is the mean of."""
    seeds: int = 3
    """How many runs to train by default."""

    def __post_init__(self) -> None:
        lowest = -1 if self.metric in CORRELATIONS else 0
        if self.value is not None and not lowest <= self.value <= 1:
            raise ValueError(f"the claim's value {self.value:g} is not a fraction; 86.8 % is written 0.868")
        if self.of == "weights" and self.value is not None and self.decimals is None:
            raise ValueError("a claim of weights lacks the key 'decimals': to how many its value is given")
        if self.decimals is not None and not 0 <= self.decimals <= 16:
            raise ValueError(f"decimals must be 0 to 16, not {self.decimals}")
        if self.sigma is not None and not 0 < self.sigma <= 1:
            raise ValueError(f"sigma must be above 0 and at most 1, not {self.sigma:g}")
        if self.reference_runs < 1 or self.seeds < 1:
            raise ValueError("reference_runs and seeds must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One entry: a task, a model, published weights, how they were trained, and what is claimed of them."""

    name: str
    """The entry's name; for a shipped recipe also the file's."""
    task: Call
    """A name in `zoo.tasks`: how examples are read, batched and scored."""
    model: Call
    """A name in `zoo.models`: the architecture."""
    tokenizer: Call | None = None
    """A name in `zoo.tokenizers`, handed to the task."""
    weights: str | None = None
    """The source of the published weights: `embedded:FILE`, or `file:PATH` for your own."""
    metrics: tuple[Call, ...] = ()
    """Names in `harness.metrics`, or classes of `evaluate.Metric`; the task's own where left out."""
    stages: tuple[Stage, ...] = ()
    """How it is trained, in order."""
    claims: tuple[Claim, ...] = field(default=())
    """What is claimed of it."""

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe as sorted data, without its claims; the order of keys and comments do not matter."""
        data = to_data(replace(self, claims=()))
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def data(self) -> dict[str, Any]:
        """The recipe without its claims as plain data: what a record keeps."""
        data: dict[str, Any] = to_data(replace(self, claims=()))
        return data


def load_recipe(path: Path) -> Recipe:
    """The recipe in a file; raises RecipeError with every problem found, SourceError where it cannot be read."""
    return read(path, Recipe)
