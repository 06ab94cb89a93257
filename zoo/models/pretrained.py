"""Any model with published weights for all of it, or for a part such as its backbone."""

from torch import nn

from zoo.errors import UsageError
from zoo.fetch import weights_file
from zoo.fetch.sources import Source


def pretrained(*, model: nn.Module, weights: Source, part: str = "", of: str = "") -> nn.Module:
    """Load published weights into a model, or into a part of it, and return the model.

    Args:
        model: The model.
        weights: The file with the weights. Its checksum is verified.
        part: The path of the submodule to load, such as "backbone". Default: the whole model.
        of: Take only the weights below this path of the file, such as "features". Default: all weights.

    Raises:
        UsageError: The file has no weights below `of`, or names or shapes differ from those of the module.
    """
    fetched = weights.fetch()
    prefix = f"{of}." if of else ""
    state = weights_file.read(fetched.path, [f"{prefix}{name}" for name in model.get_submodule(part).state_dict()])
    state_of_part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not state_of_part:
        examples = ", ".join(sorted(state)[:3])
        raise UsageError(f"{fetched.path}: there are no weights below {of!r}; the file has {examples}, ...")
    weights_file.load_state(model.get_submodule(part), state_of_part, fetched.path)
    return model
