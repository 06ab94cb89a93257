"""What is publicly known of the data sets that shipped recipes use, so that nobody has to load them to ask."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.fetch.sources import DATA
from zoo.recipes.reader import Call


@dataclass(frozen=True, kw_only=True)
class PublicData:
    """Rows of the splits that can be scored, names of the classes in their order, and splits whose labels are hidden.

    `largest` is how many rows of a split the most frequent class has, where that is recorded here.
    """

    rows: Mapping[str, int]
    classes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    largest: Mapping[str, int] = field(default_factory=dict)


def _glue(rows: int, *classes: str, largest: int | None = None) -> PublicData:
    most = {} if largest is None else {"validation": largest}
    return PublicData(rows={"validation": rows}, classes=classes, hidden=("test",), largest=most)


PUBLIC: Mapping[str, PublicData] = {
    "glue/cola": _glue(1043, "unacceptable", "acceptable", largest=721),
    "glue/sst2": _glue(872, "negative", "positive", largest=444),
    "glue/mrpc": _glue(408, "not_equivalent", "equivalent", largest=279),
    "glue/stsb": _glue(1500),
    "glue/qqp": _glue(40430, "not_duplicate", "duplicate"),
    "glue/mnli": PublicData(
        rows={"validation_matched": 9815, "validation_mismatched": 9832},
        classes=("entailment", "neutral", "contradiction"),
        hidden=("test_matched", "test_mismatched", "ax"),
    ),
    "glue/qnli": _glue(5463, "entailment", "not_entailment"),
    "glue/rte": _glue(277, "entailment", "not_entailment", largest=146),
    "glue/wnli": _glue(71, "not_entailment", "entailment", largest=40),
    "cifar/cifar10": PublicData(rows={"test": 10000}),
    "cifar/cifar100": PublicData(rows={"test": 10000}),
    "data:ilsvrc2012": PublicData(rows={"val": 50000}, hidden=("test",)),
    "data:coco2017": PublicData(rows={"val": 5000}, hidden=("test",)),
    "data:pascal_voc2012": PublicData(rows={"val": 1449}, hidden=("test",)),
    "digits": PublicData(rows={"test": 898}, largest={"test": 93}),
    "entailment": PublicData(
        rows={"test": 1200}, classes=("entailment", "neutral", "contradiction"), largest={"test": 400}
    ),
}


def known(task: Call) -> PublicData | None:
    """What is known of the data that a recipe's task reads; None for any other."""
    data = task.args.get("data")
    if isinstance(data, str) and data.startswith(DATA):
        return PUBLIC.get(data)
    if "name" in task.args:
        return PUBLIC.get(f"{task.use}/{task.args['name']}")
    return PUBLIC.get(task.use)
