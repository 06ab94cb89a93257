"""Select parameters by path: which of them learn, and which settings of the optimizer each has.

A path names a module or a parameter and everything below it: `layer1` does not match `layer10`. `*` matches any
characters.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from zoo.errors import UsageError, did_you_mean


def freeze_all_but(model: nn.Module, paths: Sequence[str]) -> list[nn.Module]:
    """Turn off the gradients of all parameters that are not at one of the paths.

    Returns:
        The modules that hold none of the parameters that learn. They belong in `eval()`.

    Raises:
        UsageError: Nothing is at one of the paths.
    """
    modules, names = dict(model.named_modules()), _parameter_names(model)
    require_matches(paths, [name for aliases in names.values() for name in aliases] + list(modules))
    learning = [name for aliases in names.values() for name in aliases if matches(name, paths)]
    for parameter, aliases in names.items():
        parameter.requires_grad_(parameter.requires_grad and any(name in learning for name in aliases))
    frozen = []
    for name, module in modules.items():
        holds_learning = any(f"{path}.".startswith(f"{name}.") for path in learning) or not name
        if not matches(name, paths) and not holds_learning:
            frozen.append(module)
    return frozen


def parameter_groups(
    module: nn.Module, groups: Mapping[str, Mapping[str, Any]], prefix: str = ""
) -> list[dict[str, Any]]:
    """Return the parameters that learn, as the groups that an optimizer takes.

    Args:
        module: The module that holds them.
        groups: Settings of the optimizer by path. If several paths match a parameter, later settings override earlier
            ones.
        prefix: Removed from the names of parameters before they are compared with the paths.

    Raises:
        UsageError: No parameter that learns is at one of the paths.
    """
    learning = {
        parameter: [name.removeprefix(prefix) for name in aliases]
        for parameter, aliases in _parameter_names(module).items()
        if parameter.requires_grad
    }
    require_matches(groups, [name for aliases in learning.values() for name in aliases])
    by_settings: dict[str, dict[str, Any]] = {}
    for parameter, aliases in learning.items():
        settings: dict[str, Any] = {}
        for path, path_settings in groups.items():
            settings |= path_settings if any(matches(name, [path]) for name in aliases) else {}
        group = by_settings.setdefault(repr(sorted(settings.items())), {"params": [], **settings})
        group["params"].append(parameter)
    return list(by_settings.values())


def matches(name: str, paths: Iterable[str]) -> bool:
    """Return whether a module or parameter is at one of the paths or below it."""
    return any(fnmatchcase(name, path) or fnmatchcase(name, f"{path}.*") for path in paths)


def require_matches(paths: Iterable[str], names: Iterable[str]) -> None:
    """Raise UsageError, naming the nearest name, for the first path that matches none of the names."""
    known = [name for name in names if name]
    for path in paths:
        if not any(matches(name, [path]) for name in known):
            raise UsageError(f"there is nothing to train at {path!r}{did_you_mean(path, known)}")


def _parameter_names(module: nn.Module) -> dict[nn.Parameter, list[str]]:
    """Return every parameter with all its names; a tied one has several."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return names
