"""The schema of a stage of a training: its losses and its teachers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.errors import Mark, did_you_mean
from zoo.recipes.claim import Selection
from zoo.recipes.values import Call, refuse

STUDENT = "student"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One weighted loss of a stage's criterion."""

    loss: Call
    """The loss: a name in `harness.losses`, or the dotted name of an `nn.Module`."""
    weight: float = 1.0
    """The factor of the loss in the sum."""
    student: str = STUDENT
    """The model that learns from this term: `student`, or the name of a teacher that is trained."""
    teacher: str | None = None
    """The name of the teacher to compare with. By default the stage's only teacher."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A model whose outputs the student learns from. One of `model`, `entry` and `run` says which.

    By default a teacher sees the same inputs as the student. It is frozen and in `eval()`, except for the parts in
    `trainable`.
    """

    model: Call | None = None
    """The architecture: a name in `zoo.models`, or another callable that returns an `nn.Module`."""
    weights: str | None = None
    """The source of the weights, with `model`. Leave it out for a teacher that is trained from scratch in this stage,
    or that an earlier stage lists in its `keep`."""
    entry: str | None = None
    """The name of another entry, or the file of its recipe; the teacher is its model with its published weights."""
    run: str | None = None
    """The name of another entry, or the file of its recipe; the teacher is its model trained on this machine. A run
    of `zoo train` is used; a missing one is made first."""
    seed: int = 0
    """The seed of that run."""
    trainable: tuple[str, ...] = ()
    """The paths of the parts that learn, as in `Stage.trainable`."""
    task: Call | None = None
    """The task by which a frozen teacher reads the rows, for example with other transforms. By default the stage's.
    Two data sets are assumed to hold the same rows if their sizes and labels match."""
    tokenizer: Call | None = None
    """The tokenizer for that task. By default the recipe's."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)

    @property
    def has_own_inputs(self) -> bool:
        """Whether the teacher reads the rows differently from the student."""
        return self.task is not None or self.tokenizer is not None

    def __post_init__(self) -> None:
        refuse(self._problems())

    def _problems(self) -> Iterator[str]:
        if self.has_own_inputs and self.trainable:
            yield "'task' and 'tokenizer' go with a teacher that is frozen, not with 'trainable'"
        if sum(part is not None for part in (self.model, self.entry, self.run)) != 1:
            yield "a teacher has one of the keys 'model', 'entry' and 'run'"
        if self.weights is not None and self.model is None and (self.entry or self.run):
            yield "'weights' goes with 'model'; an entry or a run has weights already"
        if self.seed < 0 or (self.seed and self.run is None and (self.entry or self.model)):
            yield "'seed' goes with 'run' and is at least 0"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a training: some epochs with one criterion.

    Paths name a module or parameter and everything below it. `layer1` does not match `layer10`, and `*` stands for any
    characters.
    """

    epochs: int
    """Passes over the training split."""
    batch_size: int
    """Examples per optimizer step, over all processes."""
    optimizer: Call
    """The optimizer: a name in `torch.optim`. It updates all parameters that learn, including those of losses."""
    criterion: Mapping[str, Term]
    """The losses to sum, by name. The training log uses the names; `total` is the sum."""
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other settings of the optimizer for some parameters, by path: a path of the student, or one that begins with
    `terms.NAME` or `teachers.NAME`."""
    schedule: Call | None = None
    """How the learning rate changes: a name in `harness.schedules`, or a dotted name of torch or transformers. By
    default it is constant."""
    schedule_per: Literal["step", "epoch"] = "step"
    """When the learning rate changes: after every step, or after every epoch."""
    clip_norm: float | None = None
    """The largest norm of the gradient; a larger one is scaled down to it. By default gradients are not clipped."""
    trainable: tuple[str, ...] | None = None
    """The paths of the student's parts that learn. By default all do. The others are frozen: they get no gradient and
    are in `eval()`, so BatchNorm uses its running statistics without updating them, and dropout is off."""
    teacher: Teacher | None = None
    """The teacher of a stage that has one."""
    teachers: Mapping[str, Teacher] = field(default_factory=dict)
    """The teachers of a stage that has several, by the names that terms use."""
    task: Call | None = None
    """The task to train on. By default the recipe's."""
    split: str = "train"
    """The split to train on."""
    drop_last: bool = False
    """Whether to skip the rows at the end of an epoch that do not fill a batch."""
    keep: tuple[str, ...] = ()
    """Terms and trained teachers whose parameters a later stage takes over: its term or teacher of the same name."""
    selection: Selection = "last"
    """The parameters that the stage ends with: those of the last epoch, or of the `best` one."""
    selected_on: str | None = None
    """With `selection: best`, the split that decides. By default the hold-out, or else the task's first scored
    split."""
    selected_by: tuple[str, ...] = ()
    """With `selection: best`, the metrics whose sum decides. By default the recipe's first metric."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        refuse([*self.value_problems(vars(self)), *self._problems(), *self._term_problems(), *self._keep_problems()])

    @staticmethod
    def value_problems(values: Mapping[str, Any]) -> Iterator[str]:
        """Yield the problems of single values, which do not depend on other keys."""
        if any(value is not None and value < 1 for value in (values.get("epochs"), values.get("batch_size"))):
            yield "epochs and batch_size must be at least 1"
        clip_norm = values.get("clip_norm")
        if clip_norm is not None and not clip_norm > 0:
            yield f"clip_norm must be above 0, not {clip_norm}"

    def _problems(self) -> Iterator[str]:
        if not self.criterion:
            yield "criterion must name at least one term"
        if "total" in self.criterion:
            yield "no term can be named 'total', which is the sum of all terms"
        if self.teacher is not None and self.teachers:
            yield "a stage has one 'teacher' or several 'teachers', not both"
        if STUDENT in self.teachers:
            yield "no teacher can be named 'student'"
        if both := sorted(self.all_teachers.keys() & self.criterion.keys()):
            yield f"a term and a teacher cannot both be named {both[0]!r}: 'keep' would be ambiguous"
        if any("." in name for name in (*self.criterion, *self.teachers)):
            yield "names of terms and teachers cannot contain a dot"
        if self.selection == "last" and (self.selected_on or self.selected_by):
            yield "'selected_on' and 'selected_by' go with 'selection: best'"

    @property
    def _learning(self) -> list[str]:
        return [STUDENT, *(name for name, teacher in self.all_teachers.items() if teacher.trainable)]

    def _term_problems(self) -> Iterator[str]:
        """Yield the terms that name a model which the stage lacks."""
        models = [STUDENT, *self.all_teachers]
        for name, term in self.criterion.items():
            if term.student not in self._learning:
                hint = did_you_mean(term.student, self._learning)
                yield f"{name}: {term.student!r} does not learn in this stage{hint}"
            if term.teacher is not None and term.teacher not in models:
                yield f"{name}: no teacher {term.teacher!r}{did_you_mean(term.teacher, models)}"
            if term.teacher == term.student:
                yield f"{name}: compares {term.student!r} with itself"

    def _keep_problems(self) -> Iterator[str]:
        """Yield the names in `keep` that are not in the stage."""
        names = [*self.criterion, *self._learning[1:]]
        for name in self.keep:
            if name not in names:
                yield f"keep: no term or trained teacher {name!r}{did_you_mean(name, names)}"

    @property
    def all_teachers(self) -> dict[str, Teacher]:
        """The teachers by name; a single one is called `teacher`."""
        return {"teacher": self.teacher} if self.teacher is not None else dict(self.teachers)

    def teacher_of(self, term: Term) -> str | None:
        """Return the name of the teacher that a term compares with: the one it names, or the only one there is."""
        others = [name for name in self.all_teachers if name != term.student]
        return term.teacher or (others[0] if len(others) == 1 else None)
