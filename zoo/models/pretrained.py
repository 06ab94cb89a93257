"""Any model that starts from published weights: all of them, or those of a part such as its backbone."""

from torch import nn

from zoo.errors import UsageError
from zoo.fetch import weights_file
from zoo.fetch.sources import Source


def pretrained(*, model: nn.Module, weights: Source, part: str = "", of: str = "") -> nn.Module:
    """The model with the weights of a checkpoint, which are verified as any are.

    `part` is the path of the module that they are for, the whole model where left out; `of` the path within the
    checkpoint that they are taken from. Raises UsageError where names or shapes there are not the module's.
    """
    fetched = weights.fetch()
    given = weights_file.read(fetched.path)
    prefix = f"{of}." if of else ""
    own = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    if not own:
        raise UsageError(f"{fetched.path}: holds nothing at {of!r}; it has {', '.join(sorted(given)[:3])}, ...")
    into = model.get_submodule(part)
    weights_file.load_state(into, own, fetched.path)
    return model
