"""The schema of a recipe: every key that a recipe may have, its type, its default and what it means.

A recipe is one YAML file. Its top level is a `Recipe`; `stages` is a list of `Stage` of `zoo.recipes.stage`, and so on.
A key without a default is required. A key of type `Call` names something to build, as `{use: NAME, ARGUMENT: VALUE}`
or, without arguments, as `NAME`. Recipes do not inherit from each other: a file says everything about its entry.

    name: digits-resnet8
    task: digits
    model: {use: cifar_resnet, depth: 8, num_classes: 10}
    weights: hub:someone/digits-resnet8
    stages:
      - epochs: 10
        batch_size: 64
        optimizer: {use: SGD, lr: 0.1}
        criterion:
          ce: {loss: CrossEntropy}
    claims:
      - {of: weights, split: test, metric: accuracy, value: 0.979, decimals: 3, source: the model card}
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from zoo.errors import Mark
from zoo.fetch.source_types import HubRepo, RecipeRepo, parse_or_none
from zoo.recipes.claim import Claim
from zoo.recipes.reader import read
from zoo.recipes.row_subset import RowSubset
from zoo.recipes.stage import Stage, Teacher
from zoo.recipes.values import Call, refuse, to_data

NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """Rows of a split that are taken out at random, for validation: those of torch's `random_split`.

    They are the second part of `random_split(rows, [1 - share, share], torch.Generator().manual_seed(seed))`, in the
    order of the data. They are read without random transforms and are scored like the task's own splits.
    """

    of: str
    """The split that loses the rows."""
    share: float
    """The share of its rows, above 0 and below 1."""
    seed: int
    """The seed of the choice."""
    name: str = "validation"
    """The name of the new split."""

    def __post_init__(self) -> None:
        refuse(self.value_problems(vars(self)))

    @staticmethod
    def value_problems(values: Mapping[str, Any]) -> Iterator[str]:
        """Yield the problems of single values, which do not depend on other keys."""
        share, seed, name = values.get("share"), values.get("seed"), values.get("name")
        if share is not None and not 0 < share < 1:
            yield f"share must be above 0 and below 1, not {share:g}"
        if seed is not None and not 0 <= seed < 2**63:
            yield f"seed must be at least 0 and below 2**63, not {seed}"
        if name is not None and not NAME.fullmatch(name):
            yield f"{name!r} cannot be the name of a split"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One entry: a task, a model, its published weights, how they were trained, and the claims about them."""

    NEWEST_SCHEMA: ClassVar[int] = 1
    name: str
    """The entry's name. A shipped recipe's file has the same name."""
    task: Call
    """How examples are read, batched and scored: a name in `zoo.tasks`."""
    model: Call
    """The architecture: a name in `zoo.models`, or another callable that returns an `nn.Module`."""
    tokenizer: Call | None = None
    """The tokenizer that the task uses: a name in `zoo.tokenizers`."""
    weights: str | None = None
    """The source of the published weights, such as `hub:OWNER/NAME` or `file:PATH`; see `zoo.fetch.source_types`."""
    rows: Mapping[str, RowSubset] = field(default_factory=dict)
    """The rows of a split that are read, by the name of the split: `0-999`, several ranges, or a file of row numbers.
    Rows count from 0. All other rows are left out, also of the training. By default a split has all its rows."""
    holdout: Holdout | None = None
    """Rows of a split that are kept out of the training, as a split of their own. They are chosen from `rows`."""
    metrics: tuple[Call, ...] = ()
    """Names in `harness.metrics`, or dotted names of `evaluate.Metric` classes. By default the task's metrics."""
    stages: tuple[Stage, ...] = ()
    """How the model is trained, in order."""
    claims: tuple[Claim, ...] = field(default=())
    """The published scores."""
    schema: int = 1
    """The version of the recipe format. A version of zoo that does not know it refuses the recipe."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        refuse([*self.value_problems(vars(self)), *self._problems()])

    @staticmethod
    def value_problems(values: Mapping[str, Any]) -> Iterator[str]:
        """Yield the problems of single values, which do not depend on other keys."""
        name, schema = values.get("name"), values.get("schema")
        if schema is not None and schema < 1:
            yield f"schema must be at least 1, not {schema}"
        if name is not None and not NAME.fullmatch(name):  # runs are stored in a folder of that name
            allowed = "a name has at most 100 letters, digits and ._- and begins with a letter, a digit or _"
            yield f"{name!r} cannot be a name; {allowed}"

    def _problems(self) -> Iterator[str]:
        has_repository = isinstance(parse_or_none(self.weights), HubRepo | RecipeRepo)
        if any(claim.log for claim in self.claims) and not has_repository:
            yield "a claim's 'log' is a file in the repository of the weights, so weights must be hub:..."

    @property
    def readings(self) -> list[tuple[Call, Call | None]]:
        """Every task with its tokenizer: the recipe's, then those of stages and of teachers with other inputs."""
        pairs = [(self.task, self.tokenizer)]
        for stage in self.stages:
            pairs += [(stage.task, self.tokenizer)] if stage.task is not None else []
            pairs += [self.reading_of(t, stage) for t in stage.all_teachers.values() if t.has_own_inputs]
        return pairs

    def reading_of(self, teacher: Teacher, stage: Stage) -> tuple[Call, Call | None]:
        """Return the task and tokenizer by which a teacher reads the rows of a stage."""
        return teacher.task or stage.task or self.task, teacher.tokenizer or self.tokenizer

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe without its claims; comments and the order of keys do not matter."""
        return hashlib.sha256(json.dumps(self.data(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def data(self) -> dict[str, Any]:
        """Return the recipe without its claims as plain data; records hold it."""
        data: dict[str, Any] = to_data(replace(self, claims=()))
        return data


def load_recipe(path: Path) -> Recipe:
    """Read the recipe in a file.

    Raises:
        RecipeError: With every problem of the file.
        SourceError: The file cannot be read.
    """
    return read(path, Recipe)
