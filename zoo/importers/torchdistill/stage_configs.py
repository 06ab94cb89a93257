"""The stages of a configuration, and the keys that they may have."""

import re
from dataclasses import dataclass

from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.model import Model
from zoo.importers.torchdistill.terms import is_old

STAGE = re.compile(r"stage(?P<number>\d+)")
STAGE_KEYS = (
    "log_freq", "num_epochs", "train_data_loader", "val_data_loader", "teacher", "student", "model", "optimizer",
    "scheduler", "criterion",
)  # fmt: skip
MODEL_KEYS = (
    "forward_proc", "sequential", "adaptations", "frozen_modules", "requires_grad", "forward_hook", "wrapper",
    "auxiliary_model_wrapper", "src_ckpt", "dst_ckpt",
)  # fmt: skip
OWN_LOOP = ("pre_epoch_process", "pre_forward_process", "post_forward_process", "post_epoch_process")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """The parts of one stage, with the data loader and the optimizer that it takes over from the stage before."""

    number: int
    config: Item
    loader: Item
    student: Item
    teacher: Item | None
    optimizer: Item | None = None
    keeps_schedule: bool = False
    """Whether torchdistill goes on with the schedule of the stage before."""

    @property
    def has_schedule(self) -> bool:
        """Whether the learning rate changes."""
        schedule = self.config.get("scheduler")
        return self.keeps_schedule or (schedule is not None and bool(schedule.mapping))


def stage_configs(train: Item) -> list[StageConfig]:
    """Return the stages of `train`, which has them as `stage1` to `stageN`, or is a single stage itself.

    A stage inherits the data loader and the optimizer of the stage before, but no model: torchdistill builds each
    stage's models anew from the original ones.
    """
    numbered = sorted((int(match["number"]), item) for key, item in train.mapping.items()
                      if (match := STAGE.fullmatch(key)))  # fmt: skip
    stages: list[StageConfig] = []
    for number, item in numbered or [(1, train)]:
        before = stages[-1] if stages else None
        loader = item.get("train_data_loader") or (before.loader if before else None)
        if loader is None:
            raise item.blocked("the key 'train_data_loader' is missing")
        student, teacher = item.get("student", "model"), item.get("teacher")
        if before is not None and (student is None or (teacher is None and before.teacher is not None)):
            missing = "'student' or 'model'" if student is None else "'teacher'"
            message = f"the key {missing} is missing: a stage inherits no model from the stage before"
            raise item.blocked(f"{message}; write it in stage{number} too")
        stages.append(StageConfig(
            number=number, config=item, loader=loader, student=student or Item(value={}, mark=item.mark),
            teacher=teacher, optimizer=item.get("optimizer") or (before.optimizer if before else None),
            keeps_schedule=before is not None and item.get("optimizer", "scheduler") is None and before.has_schedule,
        ))  # fmt: skip
    return stages


def check_keys(config: StageConfig, found: Findings) -> None:
    """Add a problem for each key that is not known: it would have no effect in the recipe."""
    checks = (
        (config.config, (*STAGE_KEYS, *OWN_LOOP), "a stage"),
        (config.student, MODEL_KEYS, "a model in a stage"),
        (config.teacher, MODEL_KEYS, "a model in a stage"),
    )
    for item, known, what in checks:
        with found.part():
            names = [key for key in item.mapping if STAGE.fullmatch(key)] if item is not None else []
            if item is not None:
                item.check_keys((*known, *names), what)
    for item in (config.student, config.teacher):
        if item is not None and (checkpoint := item.get("src_ckpt")) is not None:
            found.refuse(checkpoint.mark, "a checkpoint that a stage starts from; name it in the model's src_ckpt")


def check_loop(config: StageConfig) -> None:
    for name in OWN_LOOP:
        if (item := config.config.get(name)) is not None and not item.text.startswith("default_"):
            raise item.blocked(f"{item.text} replaces a part of torchdistill's loop, which a recipe cannot")


def check_frozen(config: StageConfig, teacher: Model, found: Findings) -> None:
    """Raise BlockedError if the teacher itself learns."""
    item = config.teacher
    requires = item.get("requires_grad") if item else None
    frozen = item.get("frozen_modules") if item else None
    names = [part.text for part in frozen.list] if frozen else []
    learns = item is None or "requires_grad" not in item.mapping or (requires is not None and requires.flag)
    if learns and not {"model", "teacher_model"} & {*names}:
        message = f"the teacher {teacher.key} learns: its requires_grad is not False, and nothing of it is frozen"
        raise (item or config.config).blocked(f"{message}; write requires_grad: False")
    if teacher.family != "text" and not is_old(config.config.need("criterion")):
        found.differ(
            "zoo keeps the teacher in eval(). torchdistill 1.x leaves it in train(), so its BatchNorm uses the"
            " statistics of each batch and its dropout is on"
        )
