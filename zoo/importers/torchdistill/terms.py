"""The terms of a criterion, in both formats, and the stage that they belong to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import Mark, Problem
from zoo.importers.torchdistill.features import FeatureReader
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import BlockedError, Item
from zoo.importers.torchdistill.old_names import RENAMED_LOSSES

CRITERION_KEYS = ("func2extract_model_loss", "model_term", "sub_terms", "org_term")
WEIGHTED_SUM = "WeightedSumLoss"
MODEL = "the loss of the model"
"""The key of the term that the model computes itself."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One term of a criterion."""

    name: str
    key: str
    kwargs: Item
    weight: float
    mark: Mark
    wrapper: str = ""
    """`SimpleLossWrapper`, `DictLossWrapper`, or nothing."""
    reads: Item | None = None
    """The arguments of the wrapper: `input`, `target` and `weights`."""

    def blocked(self, message: str) -> BlockedError:
        """Return the error that says why this term cannot be converted."""
        return BlockedError(Problem(self.mark, f"{self.name}: {message}"))

    def check(self, *known: str, reductions: tuple[str, ...] = ()) -> None:
        """Raise BlockedError for an argument that is not known, and for another reduction than these.

        Args:
            known: The arguments that the conversion reads, or that name what zoo reads anyway.
            reductions: The reductions that zoo has; the first one is torchdistill's default. Empty: the loss has none.
        """
        self.kwargs.check_keys((*known, *(["reduction"] if reductions else [])), self.key)
        if reductions and (reduction := self.word("reduction", reductions[0])) not in reductions:
            item = self.kwargs.need("reduction")
            wanted = " or ".join(map(repr, reductions))
            raise item.blocked(f"{self.name}: reduction {reduction!r} has no equal; write {wanted}")

    def number(self, name: str, default: float | None = None) -> float:
        """Return an argument that is a number; without a default it is required."""
        if (item := self.kwargs.get(name)) is not None:
            return item.number
        if default is None:
            raise self.blocked(f"{self.key} needs the argument {name!r}")
        return default

    def word(self, name: str, default: str) -> str:
        """Return an argument that is a text."""
        return item.text if (item := self.kwargs.get(name)) else default


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the training, as its losses need it."""

    number: int
    config: Item
    student: FeatureReader
    teacher: FeatureReader | None
    rows: int
    """The rows of a batch of one process, before gradients are accumulated: what a sum is over."""
    loader: Item
    has_labels: bool
    side: int
    """The side of the images that the models see; 0 if it is not known."""
    found: Findings
    later_keys: frozenset[str]
    """The losses of later stages."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A term of a recipe."""

    name: str
    loss: Any
    weight: float = 1.0
    uses_teacher: bool = True
    keeps: bool = False
    """Whether a later stage takes its learned parts over."""
    is_shared: bool = False
    """Whether its learned parts are those of another stage's term with the same name."""


def terms_of(criterion: Item, found: Findings) -> list[Term]:
    """Return the terms of a weighted sum. A term that cannot be read is left out, and its problem added."""
    key = criterion.need("key")
    if RENAMED_LOSSES.get(key.text, key.text) != WEIGHTED_SUM:
        raise key.blocked(f"{key.text} is not a weighted sum, the only criterion that is converted")
    kwargs = criterion.get("kwargs") or criterion
    criterion.check_keys((*CRITERION_KEYS, "key", "kwargs", "args"), "a criterion")
    kwargs.check_keys((*CRITERION_KEYS, "key"), "a weighted sum")
    terms: list[Term] = []
    for make in (_own_term, _model_term):
        with found.part():
            terms += make(criterion, kwargs)
    for name, item in (kwargs.get("sub_terms") or Item(value={}, mark=kwargs.mark)).mapping.items():
        with found.part():
            terms += [term for term in _sub_terms(name, item) if term.weight]
    if not terms and not found.problems:
        raise criterion.blocked("no term has a weight other than 0")
    return terms


def is_old(criterion: Item) -> bool:
    """Return whether a criterion has the format before version 1."""
    kwargs = criterion.get("kwargs")
    has_own_term = kwargs is not None and kwargs.get("org_term") is not None
    return has_own_term or criterion.get("org_term", "sub_terms") is not None


def _own_term(criterion: Item, kwargs: Item) -> Iterator[Term]:
    """Yield the older format's `org_term`, which reads the outputs of the models, with a weight or one for each key."""
    term = kwargs.get("org_term") or criterion.get("org_term")
    if term is None or (loss := term.get("criterion")) is None:
        return
    key = loss.need("key")
    weight, reads, wrapper = term.get("weight", "factor"), None, ""
    if weight is not None and isinstance(weight.value, Mapping):
        wrapper, reads, weight = "DictLossWrapper", Item(value={"weights": weight}, mark=weight.mark), None
    if weight is not None and not weight.number:
        return
    name = {"CrossEntropyLoss": "ce", "KDLoss": "kd"}.get(RENAMED_LOSSES.get(key.text, key.text), "original")
    yield Term(
        name=name, key=RENAMED_LOSSES.get(key.text, key.text), weight=weight.number if weight else 1.0,
        mark=key.mark, wrapper=wrapper,
        kwargs=loss.get("kwargs") or Item(value={}, mark=loss.mark), reads=reads,
    )  # fmt: skip


def _model_term(criterion: Item, kwargs: Item) -> Iterator[Term]:
    """Yield the loss that the model computes itself, of a model of transformers."""
    old = kwargs.get("org_term") or criterion.get("org_term")
    if (term := kwargs.get("model_term")) is None and old is not None and old.get("criterion") is None:
        extracts = criterion.get("func2extract_model_loss")
        term = old if extracts is not None and extracts.text == "extract_transformers_loss" else None
    if term is None or (weight := term.get("weight", "factor")) is None or not weight.number:
        return
    yield Term(name="ce", key=MODEL, kwargs=Item(value={}, mark=term.mark), weight=weight.number, mark=term.mark)


def _sub_terms(name: str, item: Item) -> Iterator[Term]:
    item.check_keys(("criterion", "criterion_wrapper", "kwargs", "weight"), f"the term {name}")
    criterion = item.need("criterion")
    key = criterion.need("key")
    wrapper = item.get("criterion_wrapper")
    old_reads = item.get("kwargs")
    reads = wrapper.get("kwargs") if wrapper else old_reads
    yield Term(
        name=name.replace(".", "_"),
        key=RENAMED_LOSSES.get(key.text, key.text),
        kwargs=criterion.get("kwargs") or Item(value={}, mark=criterion.mark),
        weight=weight.number if (weight := item.get("weight")) else 1.0,
        mark=key.mark,
        wrapper=wrapper.need("key").text if wrapper else "SimpleLossWrapper" if old_reads else "",
        reads=reads,
    )
