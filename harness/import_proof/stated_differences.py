"""The terms of a configuration whose losses differ from those of the recipe for a stated reason, and all others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from zoo.importers.torchdistill.items import Item

DIFFERENT = frozenset(("FSPLoss", "SPKDLoss", "CCKDLoss", "DISTPlusLoss"))
"""Losses of torchdistill that differ from their papers, which the recipe follows."""
SUB_TERMS = ("criterion", "kwargs", "sub_terms")


def reason_of(stage: Item) -> str:
    """Return why the loss of a stage need not be equal; nothing if it must be."""
    terms = _sub_terms(stage)
    if found := sorted({_key(term) for term in terms.values()} & DIFFERENT):
        differs = "differs from the paper" if len(found) == 1 else "differ from the papers"
        return f"{', '.join(found)} of torchdistill {differs}; the recipe follows the paper"
    return "the regressors have other layers" if any(map(_is_stated, terms.values())) else ""


def without_stated(config: Item, stages: Sequence[str]) -> Item:
    """Return a configuration without the terms that differ for a stated reason.

    Args:
        config: The configuration.
        stages: The keys of the stages in `train`; empty if `train` is a single stage. A stage without other terms is
            left as it is.
    """

    def changed(stage: Item) -> Item:
        others = {name: term for name, term in _sub_terms(stage).items() if not _is_stated(term)}
        return _changed(stage, SUB_TERMS, lambda terms: replace(terms, value=others)) if has_others(stage) else stage

    train = config.need("train")
    values = {key: changed(item) if key in stages else item for key, item in train.mapping.items()}
    return replace(
        config, value={**config.mapping, "train": replace(train, value=values) if stages else changed(train)}
    )


def has_others(stage: Item) -> bool:
    """Return whether a stage has both terms that differ for a stated reason and other ones."""
    stated = [_is_stated(term) for term in _sub_terms(stage).values() if _has_weight(term)]
    return any(stated) and not all(stated)


def _sub_terms(stage: Item) -> Mapping[str, Item]:
    item: Item | None = stage
    for key in SUB_TERMS:
        item = item.get(key) if item else None
    return item.mapping if item else {}


def _key(term: Item) -> str:
    return term.need("criterion").need("key").text


def _has_weight(term: Item) -> bool:
    return (weight := term.get("weight")) is None or weight.number != 0


def _is_stated(term: Item) -> bool:
    """Return whether a term is one of DIFFERENT, or compares what a learned regressor of FitNets returns."""
    item: Item | None = term
    for key in ("criterion_wrapper", "kwargs", "input", "module_path"):
        item = item.get(key) if item else None
    return _key(term) in DIFFERENT or (item is not None and item.text.startswith("+"))


def _changed(item: Item, keys: Sequence[str], change: Callable[[Item], Item]) -> Item:
    """Return a mapping in which one value, below these keys, is changed."""
    if not keys:
        return change(item)
    return replace(item, value={**item.mapping, keys[0]: _changed(item.need(keys[0]), keys[1:], change)})
