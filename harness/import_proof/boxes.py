"""torchdistill's own training and distillation boxes, built from a configuration: this runs torchdistill.

Only the criterion and the models of a stage are built, of torchdistill, torch, torchvision and transformers. The data
sets of the configuration are not, and no checkpoint is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from harness.import_proof.made_batch import MadeBatch
from zoo.errors import UsageError
from zoo.importers.torchdistill.items import Called, Imported, Indexed, Item, Refused
from zoo.importers.torchdistill.model import Model
from zoo.importers.torchdistill.stage_configs import StageConfig

PACKAGE, INSTALL = "torchdistill", "pip install 'torchdistill==1.1.5'"
ALLOWED = ("torch", "torchvision", "torchdistill", "transformers")
WITHOUT_WEIGHTS: Mapping[str, Any] = {"pretrained": False, "weights": None, "weights_backbone": None}
OF_WEIGHTS = ("aux_loss", "aux_logits", "transform_input", "init_weights")
"""Arguments of models that torchvision sets by the weights, which are left out here."""
FORWARD = "forward_batch_only"
"""How a model is called where the configuration leaves it out."""
_UNUSED = ("train_data_loader", "val_data_loader", "optimizer", "scheduler")
_MODELS = ("teacher", "student", "model")


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of torchdistill, and what it knows of its models."""

    box: Any
    has_teacher: bool

    @property
    def student(self) -> nn.Module:
        """The student, inside its auxiliary wrapper if it has one."""
        model: nn.Module = self.box.student_model if self.has_teacher else self.box.model
        return model

    @property
    def teacher(self) -> nn.Module | None:
        """The teacher, inside its auxiliary wrapper if it has one."""
        return self.box.teacher_model if self.has_teacher else None

    def loss(self, made: MadeBatch) -> Tensor:
        """Return the loss of a batch."""
        value: Tensor = self.box.forward_process(made.their_inputs, made.their_targets, {})
        return value


def require_torchdistill() -> None:
    """Import torchdistill and register the functions of its examples; raises UsageError if it is missing."""
    try:
        import_module("torchdistill.models.classification")
        registry: Any = import_module("torchdistill.core.interfaces.registry")
        losses: Any = import_module("torchdistill.losses.registry")
    except ImportError as error:
        raise UsageError(f"--prove runs torchdistill, which cannot be imported ({error}): {INSTALL}") from None
    registry.FORWARD_PROC_FUNC_DICT["forward_batch_as_kwargs"] = _forward_as_kwargs
    losses.FUNC2EXTRACT_MODEL_OUTPUT_DICT["extract_transformers_loss"] = _loss_of_model


def _forward_as_kwargs(model: nn.Module, sample_batch: Any, targets: Any = None, supp_dict: Any = None) -> Any:
    return model(**sample_batch)


def _loss_of_model(student_outputs: Any, targets: Any, **kwargs: Any) -> dict[str, Tensor]:
    return {"loss": student_outputs.loss}


def build_their_model(item: Item, model: Model) -> nn.Module:
    """Return the model that torchdistill builds, with random weights."""
    kwargs = item.get("kwargs")
    values = {name: None if name in WITHOUT_WEIGHTS else value_of(value)
              for name, value in (kwargs.mapping if kwargs else {}).items()}  # fmt: skip
    values = {name: WITHOUT_WEIGHTS.get(name, value) for name, value in values.items()}
    if model.family == "cifar":
        registry: Any = import_module("torchdistill.models.registry")
        own: nn.Module = registry.get_model(model.key, **values)
        return own
    models: Any = import_module("torchvision.models")
    values |= {"weights_backbone": None} if model.family == "segmentation" else {}
    values |= {name: model.call[name] for name in OF_WEIGHTS if name in model.call}
    built: nn.Module = models.get_model(model.key, **{**values, "weights": None})
    return built


def build_box(config: StageConfig, student: nn.Module, teacher: nn.Module | None) -> Box:
    """Return the box of one stage."""
    stage: dict[str, Any] = {
        name: value_of(item) for name, item in config.config.mapping.items() if name not in _UNUSED
    }
    for name, item in (("student", config.student), ("teacher", config.teacher)):
        if item is not None and name not in stage and not (name == "student" and "model" in stage):
            stage[name] = value_of(item)
    for name in (name for name in _MODELS if name in stage):
        stage[name] = {"forward_proc": FORWARD, **_without_files(stage[name])}
    try:
        return _built(stage, student, teacher)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        message = f"torchdistill cannot build this stage: {type(error).__name__}: {error}"
        raise UsageError(f"{config.config.mark}: {message}; its recipe is written without --prove") from None


def _built(stage: dict[str, Any], student: nn.Module, teacher: nn.Module | None) -> Box:
    arguments = (torch.device("cpu"), None, False, 1)
    if teacher is None:
        stage.setdefault("model", stage.pop("student", {}))
        module: Any = import_module("torchdistill.core.training")
        return Box(box=module.get_training_box(student, {}, stage, *arguments), has_teacher=False)
    module = import_module("torchdistill.core.distillation")
    return Box(box=module.get_distillation_box(teacher, student, {}, stage, *arguments), has_teacher=True)


def _without_files(value: Any) -> Any:
    """Return a value without the names of checkpoints, so that no file is read."""
    if isinstance(value, dict):
        return {key: "" if key.endswith("_ckpt") else _without_files(part) for key, part in value.items()
                if key not in ("src_ckpt", "dst_ckpt", "wrapper")}  # fmt: skip
    return [_without_files(part) for part in value] if isinstance(value, list) else value


def value_of(item: Item) -> Any:
    """Return a value as torchdistill reads it; names are imported from the allowed packages only."""
    value = item.value
    if isinstance(value, tuple):
        return [value_of(part) for part in value]
    if isinstance(value, Mapping):
        return {key: value_of(part) for key, part in value.items()}
    if isinstance(value, Imported):
        return _imported(item, value.name)
    if isinstance(value, Called | Indexed | Refused):
        raise UsageError(f"{item.mark}: --prove runs no calls of a configuration, such as {item.shown}")
    return value


def _imported(item: Item, name: str) -> Any:
    if name.split(".", maxsplit=1)[0] not in ALLOWED:
        raise UsageError(f"{item.mark}: --prove imports names of {', '.join(ALLOWED)} only, not {name}")
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)
