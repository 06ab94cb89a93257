"""Compare the loss of every stage of an imported recipe with that of torchdistill's own box, for one made batch.

Both sides have the same random weights, in float64 and in float32, and in float64 take one step of SGD. Dropout is off,
and teachers are in `eval()`.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.import_proof.boxes import Box, build_box, build_their_model, require_torchdistill
from harness.import_proof.learned_parts import copy_learned_parts
from harness.import_proof.made_batch import ROWS, SEED, MadeBatch, make_batch, small_text_model
from harness.import_proof.stage_proof import FLOAT32_TOLERANCE, TOLERANCE, StageProof
from harness.import_proof.stated_differences import has_others, reason_of, without_stated
from harness.models.outputs import ModelOutputs, run_model
from harness.training.objective import Objective, build_objective
from zoo.errors import Problem, UsageError, first_line
from zoo.importers.check import check_imported
from zoo.importers.torchdistill.convert import convert
from zoo.importers.torchdistill.criteria import loss_keys
from zoo.importers.torchdistill.data import splits_of
from zoo.importers.torchdistill.features import PREFIXES
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.model import Model
from zoo.importers.torchdistill.models import convert_model
from zoo.importers.torchdistill.optimization import Invocation
from zoo.importers.torchdistill.read import read_config
from zoo.importers.torchdistill.stage_configs import STAGE, StageConfig, stage_configs
from zoo.importers.torchdistill.terms import is_old
from zoo.recipes.build import Builder
from zoo.recipes.schema import Recipe
from zoo.recipes.stage import Stage
from zoo.recipes.values import Call

STEP = 1e-3
"""The learning rate of the step."""
AFTER_STEP = "float64 after a step"
NOT_COMPARED = frozenset(("CRDLoss",))
"""Losses that draw rows at random: the two tools draw others."""
IN_FLOAT32 = frozenset(("AffinityLoss",))
"""Losses of torchdistill that add up in float32 whatever the dtype of the features."""
ROTATED = frozenset(("AuxSSKDLoss", "SSKDLoss"))
FAILURES = (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError, AssertionError)
"""Errors of torchdistill and torch for a configuration that torchdistill reads but cannot run."""


def prove(path: Path) -> list[StageProof]:
    """Return the comparison of every stage of a configuration of version 1.

    Raises:
        RecipeError: The configuration cannot be converted.
        UsageError: torchdistill is not installed, or cannot build or run the configuration.
    """
    require_torchdistill()
    config, problems = read_config(path)
    as_written, _ = read_config(path, renames=False)
    whole = _sides(config, as_written, problems, path)
    numbered = [key for key in config.need("train").mapping if STAGE.fullmatch(key)]
    rest = whole
    if any(has_others(stage.config) for _, stage in whole):
        parts = [without_stated(side, numbered) for side in (config, as_written)]
        rest = _sides(parts[0], parts[1], problems, path)
    recipe = check_imported(convert(config, problems, path, Invocation(rows=ROWS)))
    pairs = _models_of(config)
    return [_prove_stage(recipe, *stage, other, pairs) for stage, other in zip(whole, rest, strict=True)]


def _sides(config: Item, as_written: Item, problems: Sequence[Problem], path: Path) -> list[tuple[Stage, StageConfig]]:
    """Return every stage as that of the recipe, and as torchdistill reads it."""
    recipe = check_imported(convert(config, problems, path, Invocation(rows=ROWS)))
    stages = stage_configs(as_written.need("train"))
    _check_format(stages)
    return list(zip(recipe.stages, stages, strict=True))


def _models_of(config: Item) -> list[tuple[Model | None, Item | None]]:
    """Return the student and the teacher, each with its entry in the configuration."""
    found = Findings()
    loader = stage_configs(config.need("train"))[0].loader
    kind = splits_of(config, found)[loader.need("dataset_id").text].kind
    items = config.need("models")
    student, teacher = items.need("student_model", "model"), items.get("teacher_model")
    return [
        (convert_model(student, kind, found, is_teacher=False), student),
        (convert_model(teacher, kind, found, is_teacher=True) if teacher else None, teacher),
    ]


def _check_format(stages: Sequence[StageConfig]) -> None:
    """Raise UsageError for the older format, which torchdistill 1.x cannot read."""
    for stage in stages:
        criterion = stage.config.need("criterion")
        if criterion.get("key") is None or is_old(criterion):
            message = "--prove needs a criterion of torchdistill 1.x; this one has the older format"
            raise UsageError(f"{criterion.mark}: {message}")


def _prove_stage(
    recipe: Recipe, stage: Stage, config: StageConfig, other: tuple[Stage, StageConfig],
    pairs: Sequence[tuple[Model | None, Item | None]],
) -> StageProof:  # fmt: skip
    keys = loss_keys(config.config)
    if found := sorted(keys & NOT_COMPARED):
        why = f"{', '.join(found)} draws rows at random, so its values are not compared"
        return StageProof(stage=config.number, losses={}, differs_by_design=why)
    others = _all_losses(recipe, *other, pairs) if has_others(config.config) else {}
    return StageProof(
        stage=config.number, losses=_all_losses(recipe, stage, config, pairs), others=others,
        tolerance=FLOAT32_TOLERANCE if keys & IN_FLOAT32 else TOLERANCE, differs_by_design=reason_of(config.config),
    )  # fmt: skip


def _all_losses(
    recipe: Recipe, stage: Stage, config: StageConfig, pairs: Sequence[tuple[Model | None, Item | None]]
) -> dict[str, tuple[float, float]]:
    """Return the losses of both tools in float64, after a step, and in float32.

    Raises:
        UsageError: torchdistill cannot run the stage.
    """
    losses: dict[str, tuple[float, float]] = {}
    try:
        losses["float64"], losses[AFTER_STEP] = _losses(recipe, stage, config, pairs, torch.float64)
        losses["float32"], _ = _losses(recipe, stage, config, pairs, torch.float32)
    except FAILURES as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        message = f"this stage cannot be run by both tools: {reason}; its recipe is written without --prove"
        raise UsageError(f"{config.config.mark}: {message}") from None
    return losses


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
