"""Compare the loss of every stage of an imported recipe with that of torchdistill's own box, for one made batch.

Both sides have the same random weights, in float64 and in float32, and in float64 take one step of SGD. Dropout is off,
and teachers are in `eval()`.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.import_proof.boxes import Box, build_box, build_their_model, require_torchdistill
from harness.import_proof.learned_parts import copy_learned_parts
from harness.import_proof.made_batch import ROWS, SEED, MadeBatch, make_batch, small_text_model
from harness.models.outputs import ModelOutputs, run_model
from harness.training.objective import Objective, build_objective
from zoo.errors import UsageError
from zoo.importers.check import check_imported
from zoo.importers.torchdistill.convert import convert
from zoo.importers.torchdistill.criteria import loss_keys
from zoo.importers.torchdistill.data import splits_of
from zoo.importers.torchdistill.features import PREFIXES
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.models import Model, convert_model
from zoo.importers.torchdistill.optimization import Invocation
from zoo.importers.torchdistill.read import read_config
from zoo.importers.torchdistill.stages import StageConfig, stage_configs
from zoo.importers.torchdistill.terms import is_old
from zoo.recipes.build import Builder
from zoo.recipes.reader import Call
from zoo.recipes.schema import Recipe, Stage

STEP = 1e-3
"""The learning rate of the step."""
AFTER_STEP = "float64 after a step"
TOLERANCE, FLOAT32_TOLERANCE = 1e-9, 1e-5
"""The largest relative difference of losses that count as equal, in float64 and in float32."""
DIFFERENT = frozenset(("FSPLoss", "SPKDLoss", "CCKDLoss", "DISTPlusLoss"))
"""Losses of torchdistill that differ from their papers, which the recipe follows."""
NOT_COMPARED = frozenset(("CRDLoss",))
"""Losses that draw rows at random: the two tools draw others."""
IN_FLOAT32 = frozenset(("AffinityLoss",))
"""Losses of torchdistill that add up in float32 whatever the dtype of the features."""
ROTATED = frozenset(("AuxSSKDLoss", "SSKDLoss"))
ADAPTED = "adaptations"


@dataclass(frozen=True, kw_only=True)
class StageProof:
    """The losses of one stage, by the two tools."""

    stage: int
    losses: dict[str, tuple[float, float]]
    """For each dtype, and after a step, the loss of zoo and that of torchdistill."""
    tolerance: float = TOLERANCE
    """The largest relative difference of float64 losses that count as equal."""
    differs_by_design: str = ""
    """Why the two need not be equal; nothing if they must be."""

    @property
    def is_equal(self) -> bool:
        """Whether all losses are equal.

        In float32 two losses may also differ by twice the rounding error of torchdistill's, which its float64 loss
        shows.
        """
        rounding = abs(self.losses["float32"][1] - self.losses["float64"][1])
        allowed = {name: self.tolerance * abs(theirs) for name, (_, theirs) in self.losses.items()}
        allowed["float32"] = max(FLOAT32_TOLERANCE * abs(self.losses["float32"][1]), 2 * rounding)
        return all(abs(ours - theirs) <= allowed[name] for name, (ours, theirs) in self.losses.items())

    @property
    def verdict(self) -> str:
        """`equal`, `differs as stated`, `differs`, or `not compared`."""
        if not self.losses:
            return "not compared"
        if self.differs_by_design:
            return "differs as stated"
        return "equal" if self.is_equal else "differs"


def prove(path: Path) -> list[StageProof]:
    """Return the comparison of every stage of a configuration of version 1.

    Raises:
        RecipeError: The configuration cannot be converted.
        UsageError: torchdistill is not installed, or cannot build the configuration.
    """
    require_torchdistill()
    config, problems = read_config(path)
    recipe = check_imported(convert(config, problems, path, Invocation(rows=ROWS)))
    as_written, _ = read_config(path, renames=False)
    stages = stage_configs(as_written.need("train"))
    _check_format(stages)
    items = config.need("models")
    found = Findings()
    kind = splits_of(config, found)[stages[0].loader.need("dataset_id").text].kind
    student_item, teacher_item = items.need("student_model", "model"), items.get("teacher_model")
    student = convert_model(student_item, kind, found, is_teacher=False)
    teacher = convert_model(teacher_item, kind, found, is_teacher=True) if teacher_item else None
    pairs = [(student, student_item), (teacher, teacher_item)]
    return [_prove_stage(recipe, stage, config, pairs) for stage, config in zip(recipe.stages, stages, strict=True)]


def _check_format(stages: Sequence[StageConfig]) -> None:
    """Raise UsageError for the older format, which torchdistill 1.x cannot read."""
    for stage in stages:
        criterion = stage.config.need("criterion")
        if criterion.get("key") is None or is_old(criterion):
            message = "--prove needs a criterion of torchdistill 1.x; this one has the older format"
            raise UsageError(f"{criterion.mark}: {message}")


def _prove_stage(
    recipe: Recipe, stage: Stage, config: StageConfig, pairs: Sequence[tuple[Model | None, Item | None]]
) -> StageProof:
    keys = loss_keys(config.config)
    if found := sorted(keys & NOT_COMPARED):
        why = f"{', '.join(found)} draws rows at random, so its values are not compared"
        return StageProof(stage=config.number, losses={}, differs_by_design=why)
    losses: dict[str, tuple[float, float]] = {}
    losses["float64"], losses[AFTER_STEP] = _losses(recipe, stage, config, pairs, torch.float64)
    losses["float32"], _ = _losses(recipe, stage, config, pairs, torch.float32)
    tolerance = FLOAT32_TOLERANCE if keys & IN_FLOAT32 else TOLERANCE
    return StageProof(stage=config.number, losses=losses, tolerance=tolerance, differs_by_design=_design(keys, config))


def _design(keys: frozenset[str], config: StageConfig) -> str:
    if found := sorted(keys & DIFFERENT):
        differs = "differs from the paper" if len(found) == 1 else "differ from the papers"
        return f"{', '.join(found)} of torchdistill {differs}; the recipe follows the paper"
    return "the regressors have other layers" if config.student.get(ADAPTED) is not None else ""


def _losses(
    recipe: Recipe, stage: Stage, config: StageConfig, pairs: Sequence[tuple[Model | None, Item | None]],
    dtype: torch.dtype,
) -> tuple[tuple[float, float], tuple[float, float]]:  # fmt: skip
    """Return the loss of zoo and that of torchdistill for one dtype, before and after a step."""
    torch.manual_seed(SEED)
    models = [_models(model, item, dtype) for model, item in pairs if model is not None and item is not None]
    (our_student, their_student), *teachers = models
    our_teacher, their_teacher = teachers[0] if teachers else (None, None)
    student = pairs[0][0]
    assert student is not None
    made = make_batch(recipe, student, rotations=4 if loss_keys(config.config) & ROTATED else 1).to(dtype)
    with torch.random.fork_rng():
        box = build_box(config, their_student, their_teacher)
    _set_modes(box, config, dtype)
    objective = _objective(stage, our_student, our_teacher, made, box, dtype)
    outputs = _teacher_outputs(objective, our_teacher, made)

    def ours() -> Tensor:
        total: Tensor = objective(made.batch, outputs)["total"]
        return total

    their_parts = [part for part in (box.student, box.teacher) if part is not None]
    both = (_two_losses(ours, [objective]), _two_losses(lambda: box.loss(made), their_parts))
    before, after = zip(*both, strict=True)
    return before, after


def _two_losses(loss: Callable[[], Tensor], modules: Sequence[nn.Module]) -> tuple[float, float]:
    """Return a loss before and after one step of SGD on all parameters that have a gradient."""
    value = loss()
    value.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in [parameter for module in modules for parameter in module.parameters()]:
            if parameter.grad is not None:
                parameter.sub_(STEP * parameter.grad)
        return float(value), float(loss())


def _models(model: Model, item: Item, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    """Return a model of zoo and that of torchdistill, with equal weights."""
    if model.family == "text":
        theirs = small_text_model(model)
        ours = deepcopy(theirs)
    else:
        theirs = build_their_model(item, model)
        call = Call(use=model.call["use"], args={key: value for key, value in model.call.items() if key != "use"})
        ours = Builder().instance(call, "model", nn.Module)
        ours.load_state_dict(theirs.state_dict())
    for module in (*ours.modules(), *theirs.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return ours.to(dtype), theirs.to(dtype)


def _set_modes(box: Box, config: StageConfig, dtype: torch.dtype) -> None:
    """Train the student, but keep what is frozen and the teacher itself in `eval()`, as zoo does."""
    box.student.to(dtype).train()
    frozen = config.student.get("frozen_modules")
    modules = dict(box.student.named_modules())
    for item in frozen.list if frozen else ():
        modules[item.text].eval()
    if box.teacher is not None:
        box.teacher.to(dtype)
        inner = [getattr(box.teacher, prefix.removesuffix("."), None) for prefix in PREFIXES]
        for module in [part for part in inner if part is not None] or [box.teacher]:
            module.eval()


def _objective(
    stage: Stage, student: nn.Module, teacher: nn.Module | None, made: MadeBatch, box: Box, dtype: torch.dtype
) -> Objective:
    objective = build_objective({"student": student}, stage, Builder())
    objective.build_adapters(made.batch, _teacher_outputs(objective, teacher, made))
    objective.to(dtype)
    objective.freeze({"student": stage.trainable})
    objective.train()
    for term in objective.terms.values():
        copy_learned_parts(term, box)
    return objective


def _teacher_outputs(objective: Objective, teacher: nn.Module | None, made: MadeBatch) -> dict[str, ModelOutputs]:
    if teacher is None or "teacher" not in objective.needs:
        return {}
    need = objective.needs["teacher"]
    with torch.no_grad():
        return {"teacher": run_model(teacher.eval(), made.batch.inputs, need.features, logits=need.logits)}
