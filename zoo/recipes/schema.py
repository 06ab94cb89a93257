"""The schema of a recipe: what is trained, how, and what is claimed of it. A docstring per field; no inheritance."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from zoo.errors import Mark, did_you_mean
from zoo.recipes.reader import Call, read, to_data

Of = Literal["weights", "retrain", "test-server"]
Precision = Literal["fp32", "bf16", "fp16"]
Computed = Literal["fp32", "tf32", "bf16", "fp16"]
"""What others computed a score in; here TF32 is off."""
Selection = Literal["last", "best"]
STUDENT = "student"
NAME = re.compile(r"\w[\w.-]*", re.ASCII)
SHARES = ("accuracy", "top5_accuracy")
"""The metrics that are a share of the examples."""
CORRELATIONS = ("matthews_correlation", "pearson", "spearman")


@dataclass(frozen=True, kw_only=True)
class Term:
    """One weighted part of a criterion."""

    loss: Call
    """The loss, a name in `harness.losses`."""
    weight: float = 1.0
    """Its factor in the sum."""
    student: str = STUDENT
    """Which model stands in the student's place and learns: the student, or a teacher that is trained."""
    teacher: str | None = None
    """Which model stands in the teacher's place; the stage's only teacher when left out."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A model whose outputs a student learns from: `model` and `weights`, or an `entry`, or a `run`.

    It sees the same inputs as the student; with a `task` or `tokenizer` of its own, its own inputs of the same rows. It
    is frozen and in `eval()`, but for the parts named by `trainable`.
    """

    model: Call | None = None
    """Its architecture, a name in `zoo.models`."""
    weights: str | None = None
    """The source of its weights; none where it is trained from scratch here, or an earlier stage keeps it."""
    entry: str | None = None
    """Another entry, whose model and published weights it is."""
    run: str | None = None
    """Another entry, whose model it is, trained here; it is trained first if that run is missing."""
    seed: int = 0
    """The seed of that run."""
    trainable: tuple[str, ...] = ()
    """Paths of the parts that learn, as in `Stage.trainable`."""
    task: Call | None = None
    """What a frozen one reads the split's rows with, if not with the stage's task: other transforms, for one. As many
    rows with the same labels are taken to be the same."""
    tokenizer: Call | None = None
    """Its own tokenizer, handed to that task."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)

    @property
    def has_own_inputs(self) -> bool:
        """Whether it reads the rows in its own way."""
        return self.task is not None or self.tokenizer is not None

    def __post_init__(self) -> None:
        if self.has_own_inputs and self.trainable:
            raise ValueError("'task' and 'tokenizer' go with a teacher that is frozen, not with 'trainable'")
        if sum(part is not None for part in (self.model, self.entry, self.run)) != 1:
            raise ValueError("a teacher has one of the keys 'model', 'entry' and 'run'")
        if self.model is None and self.weights is not None:
            raise ValueError("'weights' goes with 'model'; an entry and a run have their own")
        if self.seed < 0 or (self.seed and self.run is None):
            raise ValueError("'seed' goes with 'run' and is at least 0")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a training: some epochs under one criterion.

    A path names a module or parameter and all below it: `layer1` is not `layer10`; `*` stands for any characters.
    """

    epochs: int
    """Passes over the split."""
    batch_size: int
    """Examples per optimiser step, over all processes."""
    optimizer: Call
    """A name in `torch.optim`; it is given all parameters of the objective that learn."""
    criterion: Mapping[str, Term]
    """The terms that are summed, by the names they are logged under."""
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of the optimiser for some paths: the student's, or below `terms.NAME` and `teachers.NAME`."""
    schedule: Call | None = None
    """How the learning rate moves: a name in `harness.schedules`, or a dotted one of torch or transformers."""
    schedule_per: Literal["step", "epoch"] = "step"
    """When it moves."""
    clip_norm: float | None = None
    """The largest gradient norm; larger ones are scaled down to it."""
    trainable: tuple[str, ...] | None = None
    """Paths of the student's parts that learn, all of it when left out. The rest is frozen: no gradient, and in
    `eval()`, so its BatchNorm normalises by its running statistics and leaves them, and its dropout is off."""
    teacher: Teacher | None = None
    """What distillation terms compare with."""
    teachers: Mapping[str, Teacher] = field(default_factory=dict)
    """Several of them, by the names that terms call them by."""
    task: Call | None = None
    """What it is trained on, if not on the recipe's task."""
    split: str = "train"
    """The split that is trained on."""
    drop_last: bool = False
    """Whether the rows at an epoch's end that fill no batch are left out."""
    keep: tuple[str, ...] = ()
    """Terms or trained teachers that live on: a later stage's of that name starts with their parameters."""
    selection: Selection = "last"
    """Which epoch's parameters the stage ends with: the last, or the best on `selected_on` by `selected_by`."""
    selected_on: str | None = None
    """A scored split; the task's first when left out."""
    selected_by: tuple[str, ...] = ()
    """Some of the recipe's metrics, the larger their sum the better; the first one when left out."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError("epochs and batch_size must be at least 1")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0, not {self.clip_norm}")
        if not self.criterion:
            raise ValueError("criterion must name at least one term")
        if "total" in self.criterion:
            raise ValueError("no term can be named 'total': that is the sum of all")
        if self.teacher is not None and self.teachers:
            raise ValueError("a stage has one 'teacher' or several 'teachers', not both")
        if STUDENT in self.teachers:
            raise ValueError("no teacher can be named 'student'")
        if both := sorted(self.all_teachers.keys() & self.criterion.keys()):
            raise ValueError(f"a term and a teacher cannot both be named {both[0]!r}: `keep` could not tell them apart")
        if any("." in name for name in (*self.criterion, *self.teachers)):
            raise ValueError("names of terms and teachers hold no dot")
        if self.selection == "last" and (self.selected_on or self.selected_by):
            raise ValueError("'selected_on' and 'selected_by' go with 'selection: best'")
        self._check_names()

    def _check_names(self) -> None:
        """Raise ValueError for a term or `keep` that names what is not in the stage."""
        learn = [STUDENT, *(name for name, teacher in self.all_teachers.items() if teacher.trainable)]
        known = [STUDENT, *self.all_teachers]
        for name, term in self.criterion.items():
            if term.student not in learn:
                raise ValueError(
                    f"{name}: {term.student!r} does not learn in this stage{did_you_mean(term.student, learn)}"
                )
            if term.teacher is not None and term.teacher not in known:
                raise ValueError(f"{name}: no teacher {term.teacher!r}{did_you_mean(term.teacher, known)}")
            if term.teacher == term.student:
                raise ValueError(f"{name}: compares {term.student!r} with itself")
        kept = [*self.criterion, *learn[1:]]
        for name in self.keep:
            if name not in kept:
                raise ValueError(f"keep: no term or trained teacher {name!r}{did_you_mean(name, kept)}")

    @property
    def all_teachers(self) -> dict[str, Teacher]:
        """The teachers by name; a single one is called `teacher`."""
        return {"teacher": self.teacher} if self.teacher is not None else dict(self.teachers)

    def teacher_of(self, term: Term) -> str | None:
        """Which model stands in a term's teacher's place: the one it names, else the only other there is."""
        others = [name for name in self.all_teachers if name != term.student]
        return term.teacher or (others[0] if len(others) == 1 else None)


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
    log: str | None = None
    """The file in the repository of the weights that holds the value, in torchdistill's lines; read when it is run."""
    decimals: int | None = None
    """To how many decimals of the fraction the value is given; needed for `of: weights`."""
    precision: Computed = "fp32"
    """The numbers that the value was computed in; of a re-training, those that the reference was trained in."""
    selection: Selection = "last"
    """Which checkpoint it is of: the last epoch's, or the best on this split."""
    n: int | None = None
    """Of how many examples the value is: of a split that has another number nothing is said."""
    sigma: float | None = None
    """Seed-to-seed standard deviation of one run, for `of: retrain`: that of the reference runs where these are five or
    more, else what is taken for it (a prior)."""
    prior: float | None = None
    """What sigma was taken to be before there were reference runs; steadies the sigma of few."""
    reference_runs: int = 1
    """How many runs the value is the mean of."""
    failures: int = 0
    """How many more reference runs were degenerate, at or below the majority's baseline, and are not in the mean."""
    gates: bool = True
    """Whether the entry's verdict counts it; one whose value is the majority's baseline is only reported."""
    seeds: int = 3
    """How many runs to train by default."""

    def __post_init__(self) -> None:
        lowest = -1 if self.metric in CORRELATIONS else 0
        if self.value is not None and not lowest <= self.value <= 1:
            raise ValueError(f"the claim's value {self.value:g} is not a fraction; 86.8 % is written 0.868")
        if self.of == "weights" and self.value is not None and self.decimals is None:
            raise ValueError("a claim of weights lacks the key 'decimals': to how many its value is given")
        if self.log is not None and self.value is not None:
            raise ValueError("a claim has a value or a log that holds it, not both")
        if self.decimals is not None and not 0 <= self.decimals <= 16:
            raise ValueError(f"decimals must be 0 to 16, not {self.decimals}")
        for name, spread in (("sigma", self.sigma), ("prior", self.prior)):
            if spread is not None and not 0 < spread <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, not {spread:g}")
        if self.failures < 0:
            raise ValueError(f"failures must not be below 0: {self.failures}")
        if self.reference_runs < 1 or self.seeds < 1 or (self.n is not None and self.n < 1):
            raise ValueError("reference_runs, seeds and n must be at least 1")


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
    """The source of the published weights: `hub:OWNER/NAME`, `embedded:FILE`, or `file:PATH` for your own."""
    metrics: tuple[Call, ...] = ()
    """Names in `harness.metrics`, or classes of `evaluate.Metric`; the task's own where left out."""
    stages: tuple[Stage, ...] = ()
    """How it is trained, in order."""
    claims: tuple[Claim, ...] = field(default=())
    """What is claimed of it."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):  # its runs are kept in a folder of that name
            raise ValueError(f"the name {self.name!r} has other signs than letters, digits and ._-, or begins with one")
        if any(claim.log for claim in self.claims) and not (self.weights or "").startswith("hub:"):
            raise ValueError("a claim's 'log' is a file in the repository of the weights, and these are in none")

    @property
    def readings(self) -> list[tuple[Call, Call | None]]:
        """Every task with the tokenizer it is given: what is scored, then what stages and their teachers read."""
        found = [(self.task, self.tokenizer)]
        for stage in self.stages:
            found += [(stage.task, self.tokenizer)] if stage.task is not None else []
            found += [self.reading_of(t, stage) for t in stage.all_teachers.values() if t.has_own_inputs]
        return found

    def reading_of(self, teacher: Teacher, stage: Stage) -> tuple[Call, Call | None]:
        """The task and tokenizer by which a teacher reads the rows of a stage."""
        return teacher.task or stage.task or self.task, teacher.tokenizer or self.tokenizer

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
