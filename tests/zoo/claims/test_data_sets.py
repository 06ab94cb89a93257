"""The data set of a claim is found by any of its names, and its recorded facts agree with each other."""

import pytest

from zoo.claims.data_sets import ALIASES, DataSet, find_data_set
from zoo.claims.known_data import KNOWN_DATA
from zoo.claims.published import PublishedClaim
from zoo.errors import Mark
from zoo.recipes.public_data import PublicData

MARK = Mark(path="README.md", line=1, column=1)


def find(dataset: str, config: str = "", name: str = "") -> DataSet | None:
    return find_data_set(
        PublishedClaim(metric="accuracy", text="0.5", mark=MARK, dataset=dataset, config=config, dataset_name=name)
    )


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (("glue", "mrpc"), ("nyu-mll/glue", "mrpc")),
        (("glue", "", "GLUE MRPC"), ("nyu-mll/glue", "mrpc")),
        (("glue", "glue--mrpc"), ("nyu-mll/glue", "mrpc")),
        (("GLUE (SST-2)",), ("nyu-mll/glue", "sst2")),
        (("", "", "GLUE STS-B"), ("nyu-mll/glue", "stsb")),
        (("glue/mrpc",), ("nyu-mll/glue", "mrpc")),
        (("glue", "mnli-mm"), ("nyu-mll/glue", "mnli_mismatched")),
        (("emotion", "split"), ("dair-ai/emotion", "")),
        (("imdb", "plain_text"), ("stanfordnlp/imdb", "")),
        (("tweet_eval", "sentiment"), ("cardiffnlp/tweet_eval", "sentiment")),
        (("ImageNet ReaL",), ("imagenet-real", "")),
    ],
)
def test_old_new_and_fused_names_lead_to_the_canonical_id(named: tuple[str, ...], found: tuple[str, str]) -> None:
    data_set = find(*named)
    assert data_set is not None
    assert (data_set.id, data_set.config) == found


@pytest.mark.parametrize(
    "named",
    [
        ("glue",), ("glue", "unknown"), ("mteb/emotion",), ("imagenet-22k",), ("imdb_reviews",), ("emotion", "unsplit"),
        ("kmfoda/booksum", "kmfoda--booksum"), ("",),
    ],
)  # fmt: skip
def test_another_or_an_unclear_data_set_is_not_found(named: tuple[str, ...]) -> None:
    assert find(*named) is None


@pytest.mark.parametrize(
    ("dataset", "declared", "splits"),
    [
        ("glue/mrpc", "dev", ("validation",)),
        ("glue/mrpc", "", ("validation", "train")),
        ("glue/mrpc", "eval", ("validation", "train")),
        ("glue/mrpc", "testing", ("test",)),
        ("glue/mrpc", "test", ("test",)),
        ("glue/mnli", "validation", ("validation_matched", "validation_mismatched")),
        ("glue/mrpc", "validation[:100]", ()),
        ("glue/mnli_matched", "validation_matched", ("validation",)),
        ("glue/mnli_matched", "dev_matched", ("validation",)),
        ("glue/mnli_matched", "validation-matched", ("validation",)),
        ("glue/mnli", "dev_matched", ("validation_matched",)),
        ("glue/mnli", "Validation-Mismatched split", ("validation_mismatched",)),
        ("glue/mrpc", "training", ("train",)),
        ("glue/mrpc", "test set", ("test",)),
        ("glue/mrpc", "eval set", ("validation", "train")),
        ("glue/mrpc", "None", ("validation", "train")),
        ("glue/mrpc", "N/A", ("validation", "train")),
        ("glue/mrpc", "unknown", ("validation", "train")),
        ("glue/mnli_matched", "validation_mismatched", ()),
        ("ilsvrc2012", "val", ("validation",)),
        ("coco2017", "val", ("val",)),
    ],
)
def test_a_declared_split_is_found_by_its_other_names(dataset: str, declared: str, splits: tuple[str, ...]) -> None:
    data_set = find(dataset)
    assert data_set is not None
    assert data_set.find_splits(declared) == splits


@pytest.mark.parametrize("data", KNOWN_DATA.values(), ids=["/".join(key) for key in KNOWN_DATA])
def test_counts_of_classes_add_up_to_the_rows(data: PublicData) -> None:
    for split, counts in data.class_counts.items():
        assert sum(counts) == {**data.rows, **data.train}[split]
        assert not data.classes or len(counts) == len(data.classes)


def test_every_alias_leads_to_known_data() -> None:
    assert set(ALIASES.values()) <= {identifier for identifier, _ in KNOWN_DATA}
