"""Questions to the architecture of a model, built without memory: which parts learn, and how large a feature is."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from zoo.errors import ZooError
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.model import Model
from zoo.models.build_watch import watched
from zoo.models.size_limits import size_limits
from zoo.recipes.build import Builder
from zoo.recipes.values import Call

FUNCTIONS = ("relu", "avgpool")
"""Modules of torchdistill's models for CIFAR that zoo's compute by functions."""
FROZEN = (
    "the parts that do not learn are in eval() in zoo; torchdistill leaves their parameters alone, but their BatchNorm"
    " updates its statistics and their dropout is on"
)


def trainable_parts(
    model: Model, chosen: Sequence[str], frozen: Sequence[str], config: Item, found: Findings
) -> list[str] | None:
    """Return the paths of the parts that learn, or None if all do.

    Args:
        model: The student.
        chosen: The modules that the model is cut into; empty if it is whole.
        frozen: The modules whose parameters are frozen.
        config: Where the stage describes the student, for problems.
        found: Gets the difference between frozen parts here and there.
    """
    if model.family == "text":
        raise config.blocked("frozen or chosen parts of a model of transformers are not converted")
    module = _build(model, config)
    names = dict(module.named_modules())
    if model.family == "cifar":
        chosen = [path for path in chosen if path not in FUNCTIONS]
    for path in (*chosen, *frozen):
        if path not in names:
            raise config.blocked(f"{model.key} has no module {path!r}")
    if frozen:
        found.differ(FROZEN)
    parts = [path for path in chosen or [""] if _has_parameters(names[path])]
    return [path for part in parts for path in _learning(part, names[part], frozen)]


def covers(model: Model, paths: Sequence[str]) -> bool:
    """Return whether all parameters of a model are at or below these paths."""
    if model.family == "text":
        return False
    names = [name for name, _ in _build(model, Item(value={}, mark=model.mark)).named_parameters()]
    return all(any(name == path or name.startswith(f"{path}.") for path in paths) for name in names)


def feature_values(model: Model, path: str, side: int, config: Item) -> int:
    """Return how many values the output of a module has for an image of `side` pixels.

    Args:
        model: The model.
        path: The feature path of the module's output; a negative number counts from the end of a list of modules.
        side: The height and width of the image.
        config: Where to report problems.
    """
    module = _build(model, config).eval()
    part = module
    for step in path.split("."):
        children = dict(part.named_children())
        name = list(children)[int(step)] if step.startswith("-") else step
        if name not in children:
            raise config.blocked(f"{model.key} has no module {path!r}")
        part = children[name]
    sizes: list[int] = []
    with torch.device("meta"), torch.no_grad(), part.register_forward_hook(lambda *call: sizes.append(call[2].numel())):
        module(torch.empty(1, 3, side, side))
    return sizes[-1]


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _learning(path: str, module: nn.Module, frozen: Sequence[str]) -> Iterator[str]:
    """Yield the largest parts of a module that hold nothing frozen."""
    if path in frozen or not _has_parameters(module):
        return
    if path and not any(name.startswith(f"{path}.") for name in frozen):
        yield path
        return
    for name, child in module.named_children():
        yield from _learning(f"{path}.{name}" if path else name, child, frozen)
    yield from (f"{path}.{name}" if path else name for name, _ in module.named_parameters(recurse=False))


def _build(model: Model, config: Item) -> nn.Module:
    """Build the architecture without memory for its weights."""
    call = Call(use=model.call["use"], args={key: value for key, value in model.call.items() if key != "use"})

    def build() -> nn.Module:
        with torch.device("meta"), size_limits():
            return Builder().instance(call, "model", nn.Module)

    try:
        return watched(build)
    except ZooError as error:
        raise config.blocked(f"{model.key} cannot be built: {error}") from None
