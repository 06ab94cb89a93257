"""Any model with published weights for all of it, or for a part such as its backbone."""

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from zoo.errors import UsageError, did_you_mean
from zoo.fetch import weights_file
from zoo.fetch.fetched import Fetched
from zoo.fetch.sources import Source

_PLAIN_TEXT = re.compile(r"(?!(?:yes|no|on|off|true|false|null)$)[a-z_][\w.]*", re.IGNORECASE)
"""Matches names that YAML reads as text without quotes."""


def pretrained(
    *, model: nn.Module, weights: Source, part: str = "", of: str = "", ignore: Sequence[str] = ()
) -> nn.Module:
    """Load published weights into a model, or into a part of it, and return the model.

    Args:
        model: The model.
        weights: The file with the weights, a folder, or a repository of the Hub. Its checksum is verified.
        part: The path of the submodule to load, such as "backbone". Default: the whole model.
        of: Take only the weights below this path of the file, such as "features". Default: all weights.
        ignore: Modules and parameters that keep their initial values, such as "fc" for a head with another number of
            classes, relative to `part` and `of`. `fc` does not match `fc2`. Default: none.

    Raises:
        UsageError: The file has no weights below `of`, there is no such `part`, a name in `ignore` matches nothing, or
            names or shapes differ from those of the module.
    """
    fetched = weights.fetch()
    module, prefix = _submodule(model, part), f"{of}." if of else ""
    initial = module.state_dict()
    names = [f"{prefix}{name}" for name in initial]
    state = _part_of_file(weights_file.read_fetched(fetched, names), prefix, fetched)
    _check_ignored(ignore, [*initial, *state])
    state = {name: value for name, value in state.items() if not _is_below(name, ignore)}
    if not state:
        raise UsageError(f"{fetched.source}: 'ignore' leaves no weights to load")
    state |= {name: value for name, value in initial.items() if _is_below(name, ignore)}
    try:
        unused = weights_file.load_state(module, state, fetched.path)
    except UsageError as error:
        raise UsageError(f"{error}{_advice(initial, state, ignore)}") from None
    if unused:
        weights.sources.report_once(f"note: {fetched.source}: {weights_file.unused_note(unused)}")
    return model


def _part_of_file(state: Mapping[str, Tensor], prefix: str, fetched: Fetched) -> dict[str, Tensor]:
    below = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not below:
        examples = ", ".join(sorted(state)[:3])
        raise UsageError(
            f"{fetched.path}: there are no weights below {prefix.removesuffix('.')!r}; the file has {examples}, ..."
        )
    return below


def _submodule(model: nn.Module, part: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if part not in modules:
        raise UsageError(f"part: the model has no module {part!r}{did_you_mean(part, list(modules)[1:])}")
    return modules[part]


def _check_ignored(ignore: Sequence[str], names: Sequence[str]) -> None:
    """Raise UsageError for a name that is neither of a tensor nor of a module that has one."""
    parts = [name.split(".") for name in names]
    known = {".".join(path[:length]): None for path in parts for length in range(1, len(path) + 1)}
    for name in ignore:
        if name not in known:
            raise UsageError(f"ignore: {name!r} is in neither the model nor its weights{did_you_mean(name, [*known])}")


def _is_below(name: str, paths: Iterable[str]) -> bool:
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def _advice(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], ignore: Sequence[str]) -> str:
    """Return what to write into `ignore`; an empty text if the weights are of another model."""
    faults = weights_file.misfits(expected, state)
    names = [name for name in {**expected, **state} if not name.endswith(weights_file.COUNTER)]
    has_other_shape = any(name in expected and name in state for name in faults)
    if not has_other_shape or 2 * len(faults) > len(names):
        return ""
    found = dict.fromkeys(_largest_part(name, faults, names) for name in faults)
    listed = ", ".join(part if _PLAIN_TEXT.fullmatch(part) else f'"{part}"' for part in (*ignore, *found))
    return f"; to leave these parts at their initial values, write `ignore: [{listed}]` beside 'weights'"


def _largest_part(name: str, faults: Iterable[str], names: Sequence[str]) -> str:
    """Return the longest way up from a tensor to a module that has no tensor without a fault."""
    fitting = set(names) - set(faults)
    path = name.split(".")
    parts = (".".join(path[:length]) for length in range(1, len(path)))
    return next((part for part in parts if not any(_is_below(other, [part]) for other in fitting)), name)
