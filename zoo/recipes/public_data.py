"""Public facts about the data sets of shipped recipes, so that checks and judgements need not load them.

The numbers of GLUE are those of nyu-mll/glue, counted in its files (QQP and MNLI: as its card and its paper have them).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.fetch.source_types import HubRepo, UserFolder, parse_or_none
from zoo.recipes.values import Call


@dataclass(frozen=True, kw_only=True)
class PublicData:
    """Facts about a data set."""

    rows: Mapping[str, int]
    """The number of rows of each split that can be scored."""
    classes: tuple[str, ...] = ()
    """The names of the classes, in their order."""
    hidden: Mapping[str, int] = field(default_factory=dict)
    """The number of rows of each split with hidden labels."""
    train: Mapping[str, int] = field(default_factory=dict)
    """The number of rows of each split that models are trained on."""
    class_counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The number of rows of each class, for the splits where it is recorded here."""
    positive: int | None = None
    """The class that F1, precision and recall of two classes are about."""
    has_labelled_rows: bool = True
    """Whether each row has one label out of the classes, so that accuracy is a share of the rows."""

    @property
    def largest(self) -> Mapping[str, int]:
        """The number of rows of the most frequent class, for the splits where it is recorded here."""
        return {split: max(counts) for split, counts in self.class_counts.items()}


def _glue(
    rows: int, *classes: str, train: int, test: int, counts: tuple[int, ...] = (), trained: tuple[int, ...] = ()
) -> PublicData:
    known = {"validation": counts, "train": trained}
    return PublicData(
        rows={"validation": rows}, classes=classes, hidden={"test": test}, train={"train": train},
        class_counts={split: of_split for split, of_split in known.items() if of_split},
        positive=1 if len(classes) == 2 else None, has_labelled_rows=bool(classes),
    )  # fmt: skip


def _cifar(classes: int) -> PublicData:
    return PublicData(
        rows={"test": 10000}, train={"train": 50000},
        class_counts={"test": (10000 // classes,) * classes, "train": (50000 // classes,) * classes},
    )  # fmt: skip


PUBLIC: Mapping[str, PublicData] = {
    "glue/cola": _glue(
        1043, "unacceptable", "acceptable", train=8551, test=1063, counts=(322, 721), trained=(2528, 6023)
    ),
    "glue/sst2": _glue(872, "negative", "positive", train=67349, test=1821, counts=(428, 444), trained=(29780, 37569)),
    "glue/mrpc": _glue(
        408, "not_equivalent", "equivalent", train=3668, test=1725, counts=(129, 279), trained=(1194, 2474)
    ),
    "glue/stsb": _glue(1500, train=5749, test=1379),
    "glue/qqp": _glue(40430, "not_duplicate", "duplicate", train=363846, test=390965, counts=(25545, 14885)),
    "glue/mnli": PublicData(
        rows={"validation_matched": 9815, "validation_mismatched": 9832},
        classes=("entailment", "neutral", "contradiction"),
        hidden={"test_matched": 9796, "test_mismatched": 9847, "ax": 1104},
        train={"train": 392702},
        class_counts={"validation_matched": (3479, 3123, 3213), "validation_mismatched": (3463, 3129, 3240)},
    ),
    "glue/qnli": _glue(5463, "entailment", "not_entailment", train=104743, test=5463, counts=(2702, 2761)),
    "glue/rte": _glue(277, "entailment", "not_entailment", train=2490, test=3000, counts=(146, 131),
                      trained=(1249, 1241)),
    "glue/wnli": _glue(71, "not_entailment", "entailment", train=635, test=146, counts=(40, 31), trained=(323, 312)),
    "cifar/cifar10": _cifar(10),
    "cifar/cifar100": _cifar(100),
    "data:ilsvrc2012": PublicData(
        rows={"val": 50000}, hidden={"test": 100000}, train={"train": 1281167}, class_counts={"val": (50,) * 1000}
    ),
    "data:coco2017": PublicData(
        rows={"val": 5000}, hidden={"test": 40670}, train={"train": 118287}, has_labelled_rows=False
    ),
    "data:pascal_voc2012": PublicData(
        rows={"val": 1449}, hidden={"test": 1456}, train={"train": 1464}, has_labelled_rows=False
    ),
    "digits": PublicData(
        rows={"test": 898}, train={"train": 899}, class_counts={"test": (88, 89, 91, 93, 88, 91, 90, 91, 86, 91)}
    ),
    "entailment": PublicData(
        rows={"test": 1200}, classes=("entailment", "neutral", "contradiction"), class_counts={"test": (400, 400, 400)}
    ),
}  # fmt: skip


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
