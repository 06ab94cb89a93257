"""The frozen models of a stage: outside the objective, in `eval()`, without gradients; run live, or once and kept."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedConfig

from harness.evaluation.batched_inference import BATCH_SIZE, in_order, map_batches
from harness.evaluation.batching import batches
from harness.models.environment import environment
from harness.models.memory_format import place_model
from harness.models.outputs import ModelOutputs, run_model
from harness.models.provenance import project_code_digest
from harness.training.objective import ModelReads
from zoo.fetch.sources import Fetched
from zoo.fetch.tensor_cache import cached_tensors as once
from zoo.recipes.build import Builder
from zoo.recipes.load_model import load_model
from zoo.recipes.reader import Call
from zoo.recipes.schema import Teacher
from zoo.tasks.base import Batch, Inputs, Split

CACHE_BYTES = 2**31
"""The most that is kept of the outputs of a stage's teachers."""

TeacherOutputs = Callable[[Batch], dict[str, ModelOutputs]]


@dataclass(frozen=True)
class TeacherWeights:
    """A teacher's architecture and its verified weights; None for one that is trained from scratch."""

    model: Call
    weights: Fetched | None = None


ResolveTeacher = Callable[[Teacher], TeacherWeights]


def build_teacher(checkpoint: TeacherWeights, builder: Builder) -> nn.Module:
    """The model with its weights; raises UsageError where the two do not fit."""
    if checkpoint.weights is not None:
        return load_model(checkpoint.model, checkpoint.weights, builder)
    model: nn.Module = builder.build(checkpoint.model, "model")
    return model


class LiveTeachers:
    """Runs the teachers on every batch that the student sees, those of `views` on their own inputs of the same rows.

    `eval()` because in train mode BatchNorm statistics would drift; `no_grad` and not `inference_mode` because a
    student cannot save inference tensors for its backward pass.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        needs: Mapping[str, ModelReads],
        device: torch.device,
        views: Mapping[str, Split] | None = None,
    ) -> None:
        self.views, self.device = views or {}, device
        self.models = {name: place_model(model, device).eval().requires_grad_(False) for name, model in models.items()}
        self.needs = {name: needs[name] for name in models if name in needs and needs[name] != ModelReads()}

    def __call__(self, batch: Batch, *, whole: bool = False) -> dict[str, ModelOutputs]:
        with torch.no_grad():
            return {
                name: run_model(
                    self.models[name], self.inputs(name, batch, self.device), need.taps, logits=need.logits or whole
                )
                for name, need in self.needs.items()
            }

    @property
    def fixed(self) -> bool:
        """Whether a teacher that reads the rows in its own way reads them the same at every call."""
        return all(getattr(view, "fixed", False) for view in self.views.values())

    def inputs(self, name: str, batch: Batch, device: torch.device) -> Inputs:
        """What a teacher is called with for the rows of a batch: the batch's own, or its view's."""
        view = self.views.get(name)
        return batch.inputs if view is None else view.batch(batch.ids.tolist(), device).inputs


class CachedTeachers:
    """Looks up what was observed of the rows of a batch."""

    def __init__(self, observed: Mapping[str, ModelOutputs]) -> None:
        self.observed = observed

    def __call__(self, batch: Batch) -> dict[str, ModelOutputs]:
        ids = batch.ids.cpu()

        def pick(value: Tensor) -> Tensor:
            return value[ids].to(batch.ids.device)

        return {name: observation.map(pick) for name, observation in self.observed.items()}


def cache_teacher_outputs(
    teachers: LiveTeachers, split: Split, accelerator: Accelerator, folder: Path | None = None
) -> TeacherOutputs:
    """The teachers with their outputs on the whole split computed now, if these are fixed; live ones if not.

    In `folder` they are kept for other runs, such as those of other seeds, by the teachers' weights and settings, what
    is read of them and of which inputs, and all code that this depends on; not those of a user's own code. They are not
    kept where rows have a random transform, where shapes change from batch to batch (token by token, padded to the
    longest), or where they are too many.
    """
    if not teachers.needs or not getattr(split, "fixed", False) or not teachers.fixed:
        return teachers
    first = teachers(split.batch(range(min(2, len(split))), accelerator.device))
    if _bytes_per_row(first) * len(split) > CACHE_BYTES:
        return teachers

    def make() -> dict[str, Tensor]:
        swept = map_batches(split, lambda batch: _on_cpu(teachers(batch)), accelerator)
        if not all(_one_shape([observed[name] for _, observed in swept]) for name in teachers.needs):
            raise _Ragged
        if any(len(v) != len(rows) for rows, observed in swept for o in observed.values() for v in _parts(o).values()):
            raise _Ragged
        whole = {name: _whole([(rows, observed[name]) for rows, observed in swept]) for name in teachers.needs}
        return {
            _name(name, path): value.contiguous() for name, one in whole.items() for path, value in _parts(one).items()
        }

    try:
        known = all(_is_known(teachers.models[name]) for name in teachers.needs)
        if folder is None or accelerator.num_processes > 1 or not known:
            found = make()
        else:
            found = once(folder, _key(teachers, split, accelerator.device), make)
    except _Ragged:
        return teachers
    needs = teachers.needs.items()
    return CachedTeachers(
        {
            name: ModelOutputs(found.get(_name(name, "")), {path: found[_name(name, path)] for path in need.taps})
            for name, need in needs
        }
    )


class _Ragged(Exception):
    """Outputs of other shapes in every batch, or not one a row."""


def _name(teacher: str, path: str) -> str:
    return f"{teacher} {path}"


def _parts(observation: ModelOutputs) -> dict[str, Tensor]:
    """All that was observed by its path, the output under no path."""
    output = {} if observation.output is None else {"": observation.output}
    return {**output, **observation.features}


def _key(teachers: LiveTeachers, split: Split, device: torch.device) -> str:
    """SHA-256 of all that the outputs depend on: weights, every setting of every module, taps, inputs, precision, code.

    And where they are computed: packages, device, threads.
    """
    half = str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else "fp32"
    here = {name: value for name, value in environment(device).items() if name not in ("commit", "dirty")}
    digest = hashlib.sha256(f"{project_code_digest()} {here} {half} {teachers.needs}".encode())
    for name in teachers.needs:
        model = teachers.models[name]
        digest.update(f"{name} {model}".encode())
        for path, module in model.named_modules():
            digest.update(f"{path} {type(module).__module__} {_settings(module)}".encode())
        for path, value in model.state_dict().items():
            digest.update(path.encode() + _bytes(value))
    for rows in batches(split, BATCH_SIZE):
        batch = split.batch(rows)
        for name in teachers.needs:
            inputs = teachers.inputs(name, batch, torch.device("cpu"))
            for value in [inputs] if isinstance(inputs, Tensor) else inputs.values():
                digest.update(f"{list(rows)} {tuple(value.shape)}".encode() + _bytes(value))
    return digest.hexdigest()


def _settings(module: nn.Module) -> list[str]:
    """What a module holds of plain values: of these some, such as a number of heads, are in no text of it."""
    plain = (bool, int, float, str, tuple, list, dict, type(None), PreTrainedConfig)
    return [
        f"{key}={value}" for key, value in sorted(vars(module).items()) if key[0] != "_" and isinstance(value, plain)
    ]


def _bytes(value: Tensor) -> bytes:
    flat = value.detach().cpu().reshape(-1).contiguous()
    return f"{value.dtype}".encode() + flat.view(torch.uint8).numpy().tobytes()


def _is_known(model: nn.Module) -> bool:
    """Whether all of a model's code is of packages whose versions are in the key, and its state is tensors."""
    packages = {type(module).__module__.partition(".")[0] for module in model.modules()}
    tensors = all(isinstance(value, Tensor) for value in model.state_dict().values())
    return packages <= {"zoo", "torch", "torchvision", "transformers"} and tensors


def _whole(swept: list[tuple[Sequence[int], ModelOutputs]]) -> ModelOutputs:
    """What was observed of all batches, in the order of the split."""
    first = swept[0][1]
    output = None if first.output is None else in_order((rows, one.logits) for rows, one in swept)
    return ModelOutputs(output, {path: in_order((rows, one[path]) for rows, one in swept) for path in first.features})


def _on_cpu(observed: Mapping[str, ModelOutputs]) -> dict[str, ModelOutputs]:
    return {name: observation.map(torch.Tensor.cpu) for name, observation in observed.items()}


def _bytes_per_row(observed: Mapping[str, ModelOutputs]) -> float:
    return sum(
        v.nbytes / max(len(v), 1) if v.dim() else v.nbytes for o in observed.values() for v in _parts(o).values()
    )


def _one_shape(observations: list[ModelOutputs]) -> bool:
    shapes = [[value.shape[1:] if value.dim() else None for value in _parts(one).values()] for one in observations]
    return all(one == shapes[0] and None not in one for one in shapes)
