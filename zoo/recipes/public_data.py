"""Public facts about the data sets of shipped recipes, so that checks and judgements need not load them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.fetch.source_types import HubRepo, UserFolder, parse_or_none
from zoo.recipes.reader import Call


@dataclass(frozen=True, kw_only=True)
class PublicData:
    """Facts about a data set."""

    rows: Mapping[str, int]
    """The number of rows of each split that can be scored."""
    classes: tuple[str, ...] = ()
    """The names of the classes, in their order."""
    hidden: Mapping[str, int] = field(default_factory=dict)
    """The number of rows of each split with hidden labels."""
    largest: Mapping[str, int] = field(default_factory=dict)
    """The number of rows of the most frequent class, for the splits where it is recorded here."""


def _glue(rows: int, *classes: str, test: int, largest: int | None = None) -> PublicData:
    most = {} if largest is None else {"validation": largest}
    return PublicData(rows={"validation": rows}, classes=classes, hidden={"test": test}, largest=most)


PUBLIC: Mapping[str, PublicData] = {
    "glue/cola": _glue(1043, "unacceptable", "acceptable", test=1063, largest=721),
    "glue/sst2": _glue(872, "negative", "positive", test=1821, largest=444),
    "glue/mrpc": _glue(408, "not_equivalent", "equivalent", test=1725, largest=279),
    "glue/stsb": _glue(1500, test=1379),
    "glue/qqp": _glue(40430, "not_duplicate", "duplicate", test=390965),
    "glue/mnli": PublicData(
        rows={"validation_matched": 9815, "validation_mismatched": 9832},
        classes=("entailment", "neutral", "contradiction"),
        hidden={"test_matched": 9796, "test_mismatched": 9847, "ax": 1104},
    ),
    "glue/qnli": _glue(5463, "entailment", "not_entailment", test=5463),
    "glue/rte": _glue(277, "entailment", "not_entailment", test=3000, largest=146),
    "glue/wnli": _glue(71, "not_entailment", "entailment", test=146, largest=40),
    "cifar/cifar10": PublicData(rows={"test": 10000}),
    "cifar/cifar100": PublicData(rows={"test": 10000}),
    "data:ilsvrc2012": PublicData(rows={"val": 50000}, hidden={"test": 100000}),
    "data:coco2017": PublicData(rows={"val": 5000}, hidden={"test": 40670}),
    "data:pascal_voc2012": PublicData(rows={"val": 1449}, hidden={"test": 1456}),
    "digits": PublicData(rows={"test": 898}, largest={"test": 93}),
    "entailment": PublicData(
        rows={"test": 1200}, classes=("entailment", "neutral", "contradiction"), largest={"test": 400}
    ),
}


GLUE_REPOSITORY = "nyu-mll/glue"
"""The data set of the Hub that has the nine tasks of GLUE as its configurations."""


def full_rows(task: Call, split: str, scored: int) -> int | None:
    """Return the number of rows of a whole split, of which `scored` rows were scored; None if it is unknown.

    A task that reads no data generates its rows, so they are always complete.
    """
    if "data" not in task.args and "." not in task.use:
        return scored
    data = find_public_data(task)
    return data.rows.get(split) if data else None


def find_public_data(task: Call) -> PublicData | None:
    """Return the facts about the data that a recipe's task reads; None for any other data."""
    data = task.args.get("data")
    source = parse_or_none(data) if isinstance(data, str) else None
    if isinstance(source, UserFolder):
        return PUBLIC.get(str(data))
    if isinstance(source, HubRepo) and source.name == GLUE_REPOSITORY:
        return PUBLIC.get(f"glue/{task.args.get('config', task.args.get('name'))}")
    if "name" in task.args:
        return PUBLIC.get(f"{task.use}/{task.args['name']}")
    return PUBLIC.get(task.use)
