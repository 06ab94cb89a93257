"""The data loader of a stage: its batches, and settings that would change which rows a batch has."""

from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Imported, Item
from zoo.importers.torchdistill.old_names import RENAMED_LOSSES

LOADER_KEYS = (
    "dataset_id", "sampler", "batch_sampler", "collate_fn", "dataset_wrapper", "kwargs", "requires_supp",
    "cache_output", "random_sample", "batch_size", "num_workers", "drop_last", "pin_memory",
)  # fmt: skip
KWARGS = ("batch_size", "num_workers", "pin_memory", "drop_last", "shuffle", "persistent_workers", "prefetch_factor")
COLLATE = ("DataCollatorWithPadding", "coco_seg_collate_fn", "coco_seg_eval_collate_fn", "default_collate")
"""Functions that only put rows together, as zoo's tasks do."""
SAMPLERS = ("RandomSampler", "DistributedSampler")
WRAPPERS = {"SSKDDatasetWrapper": ("AuxSSKDLoss", "SSKDLoss"), "CRDDatasetWrapper": ("CRDLoss",)}
"""Wrappers of data sets, and the losses that do the same in zoo."""


def rows_of(loader: Item) -> int:
    """Return the rows of a batch of one process."""
    size = _setting(loader, "batch_size")
    if size is None:
        raise loader.blocked("the key 'batch_size' is missing")
    return size.at_least(1)


def drops_last(loader: Item) -> bool:
    """Return whether a smaller last batch is left out."""
    drops = _setting(loader, "drop_last")
    return drops is not None and drops.flag


def _setting(loader: Item, name: str) -> Item | None:
    kwargs = loader.get("kwargs")
    return loader.get(name) or (kwargs.get(name) if kwargs else None)


def check_loader(loader: Item, losses: frozenset[str], found: Findings) -> None:
    """Add a problem for each setting by which torchdistill draws or changes rows in a way that a recipe cannot.

    Args:
        loader: The data loader that trains.
        losses: The losses of the stage.
        found: Gets the problems.
    """
    with found.part():
        loader.check_keys(LOADER_KEYS, "a data loader")
    with found.part():
        (loader.get("kwargs") or Item(value={}, mark=loader.mark)).check_keys(KWARGS, "a data loader")
    with found.part():
        _check_order(loader)
    with found.part():
        if (function := loader.get("collate_fn")) is not None and function.text not in COLLATE:
            message = f"{function.text} changes the batch, or is not known; known are {', '.join(COLLATE)}"
            raise function.blocked(f"collate_fn: {message}")
    with found.part():
        _check_wrapper(loader, losses)
    with found.part():
        if (cache := loader.get("cache_output")) is not None:
            message = "a file with the teacher's outputs of other random crops; zoo computes them for each batch"
            raise cache.blocked(f"cache_output: {message}; remove it from a copy")


def _check_order(loader: Item) -> None:
    """Raise BlockedError unless the rows of each epoch are a random order of all rows."""
    if (groups := loader.get("batch_sampler")) is not None:
        raise groups.blocked("batch_sampler: a recipe has no sampler of batches")
    for name in ("random_sample", "shuffle"):
        item = _setting(loader, name)
        if item is not None and not item.flag:
            raise item.blocked(f"{name}: a recipe trains on the rows in random order; write {name}: True")
    if (sampler := loader.get("sampler")) is None:
        return
    called = sampler.need("class_or_func", "key")
    name = called.value.name if isinstance(called.value, Imported) else called.text
    if name.rpartition(".")[2] not in SAMPLERS:
        raise called.blocked(f"{name}: a recipe trains on the rows in random order, as torch.utils.data.RandomSampler")
    for key, item in (kwargs.mapping if (kwargs := sampler.get("kwargs")) else {}).items():
        if item.value not in (None, False) and (key, item.value) != ("shuffle", True):
            raise item.blocked(f"{key}: an epoch of a recipe has all rows once; remove the arguments of the sampler")


def _check_wrapper(loader: Item, losses: frozenset[str]) -> None:
    if (wrapper := loader.get("dataset_wrapper")) is None or not wrapper.mapping:
        return
    key = wrapper.need("key", "name")
    if not losses & {*WRAPPERS.get(RENAMED_LOSSES.get(key.text, key.text), ())}:
        message = "changes the rows, and no loss of this stage does the same in zoo"
        raise key.blocked(f"dataset_wrapper: {key.text} {message}; known are {', '.join(WRAPPERS)} with their losses")
