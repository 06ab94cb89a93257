"""Facts about public data sets that model cards name, beside those of `zoo.recipes.public_data`.

Numbers of rows are those of the data sets' cards on the Hub (`dataset_info`), and for variants of ImageNet those of
their papers. Classes are counted only where the data are balanced by construction, or where the counts are published.
"""

from collections.abc import Mapping

from zoo.recipes.public_data import GLUE_REPOSITORY, PUBLIC, PublicData


def _texts(*classes: str, train: int, counts: Mapping[str, tuple[int, ...]] | None = None, **splits: int) -> PublicData:
    return PublicData(
        rows=splits, classes=classes, train={"train": train}, class_counts=counts or {},
        positive=1 if len(classes) == 2 else None,
    )  # fmt: skip


def _balanced(classes: int, *names: str, train: int | None = None, **splits: int) -> PublicData:
    counts = {split: (rows // classes,) * classes for split, rows in splits.items()}
    trained = {} if train is None else {"train": train}
    return PublicData(
        rows=splits, classes=names, train=trained, class_counts=counts, positive=1 if classes == 2 else None
    )


def _other(train: int, **splits: int) -> PublicData:
    """Return data whose accuracy is no share of the rows: tokens, spans, or real-valued scores."""
    return PublicData(rows=splits, train={"train": train}, has_labelled_rows=False)


_MNLI = PUBLIC["glue/mnli"]
_GENRES = {
    name: PublicData(
        rows={"validation": _MNLI.rows[f"validation_{name}"]}, classes=_MNLI.classes,
        hidden={"test": _MNLI.hidden[f"test_{name}"]}, train=_MNLI.train,
        class_counts={"validation": _MNLI.class_counts[f"validation_{name}"]},
    )
    for name in ("matched", "mismatched")
}  # fmt: skip
_NLI = ("entailment", "neutral", "contradiction")
_SST2 = PUBLIC["glue/sst2"]
_WSC = PublicData(
    rows={"validation": 104}, classes=("False", "True"), hidden={"test": 146}, train={"train": 554}, positive=1
)
_STANCE = ("none", "against", "favor")

KNOWN_DATA: Mapping[tuple[str, str], PublicData] = {
    **{(GLUE_REPOSITORY, name.removeprefix("glue/")): data for name, data in PUBLIC.items() if name[:5] == "glue/"},
    **{(GLUE_REPOSITORY, f"mnli_{name}"): data for name, data in _GENRES.items()},
    (GLUE_REPOSITORY, "ax"): PublicData(rows={}, classes=_NLI, hidden={"test": 1104}),
    ("stanfordnlp/sst2", ""): _SST2,
    ("SetFit/sst2", ""): _texts("negative", "positive", train=6920, validation=872, test=1821),
    ("nyu-mll/multi_nli", ""): PublicData(
        rows=_MNLI.rows, classes=_NLI, train=_MNLI.train, class_counts=_MNLI.class_counts
    ),
    ("aps/super_glue", "boolq"): PublicData(
        rows={"validation": 3270}, classes=("False", "True"), hidden={"test": 3245}, train={"train": 9427},
        class_counts={"validation": (1237, 2033)}, positive=1,
    ),
    ("aps/super_glue", "cb"): PublicData(
        rows={"validation": 56}, classes=("entailment", "contradiction", "neutral"), hidden={"test": 250},
        train={"train": 250}, class_counts={"validation": (23, 28, 5)},
    ),
    ("aps/super_glue", "copa"): PublicData(
        rows={"validation": 100}, classes=("choice1", "choice2"), hidden={"test": 500}, train={"train": 400}, positive=1
    ),
    ("aps/super_glue", "rte"): PublicData(
        rows={"validation": 277}, classes=("entailment", "not_entailment"), hidden={"test": 3000},
        train={"train": 2490}, class_counts={"validation": (146, 131)}, positive=1,
    ),
    ("aps/super_glue", "wic"): PublicData(
        rows={"validation": 638}, classes=("False", "True"), hidden={"test": 1400}, train={"train": 5428},
        class_counts={"validation": (319, 319)}, positive=1,
    ),
    ("aps/super_glue", "wsc"): _WSC,
    ("aps/super_glue", "wsc.fixed"): _WSC,
    ("stanfordnlp/imdb", ""): _balanced(2, "neg", "pos", train=25000, test=25000),
    ("fancyzhx/ag_news", ""): _balanced(4, "World", "Sports", "Business", "Sci/Tech", train=120000, test=7600),
    ("dair-ai/emotion", ""): _texts(
        "sadness", "joy", "love", "anger", "fear", "surprise", train=16000, validation=2000, test=2000,
        counts={"validation": (550, 704, 178, 275, 212, 81), "test": (581, 695, 159, 275, 224, 66)},
    ),
    ("cornell-movie-review-data/rotten_tomatoes", ""): _balanced(
        2, "neg", "pos", train=8530, validation=1066, test=1066
    ),
    ("fancyzhx/yelp_polarity", ""): _balanced(2, "1", "2", train=560000, test=38000),
    ("Yelp/yelp_review_full", ""): _balanced(5, train=650000, test=50000),
    ("fancyzhx/amazon_polarity", ""): _balanced(2, "negative", "positive", train=3600000, test=400000),
    ("fancyzhx/dbpedia_14", ""): _balanced(14, train=560000, test=70000),
    ("CogComp/trec", ""): PublicData(rows={"test": 500}, train={"train": 5452}),
    ("facebook/xnli", ""): _balanced(3, *_NLI, train=392702, validation=2490, test=5010),
    ("cardiffnlp/tweet_eval", "emoji"): PublicData(
        rows={"validation": 5000, "test": 50000}, train={"train": 45000}
    ),
    ("cardiffnlp/tweet_eval", "emotion"): _texts(
        "anger", "joy", "optimism", "sadness", train=3257, validation=374, test=1421,
        counts={"test": (558, 358, 123, 382)},
    ),
    ("cardiffnlp/tweet_eval", "hate"): _texts(
        "non-hate", "hate", train=9000, validation=1000, test=2970, counts={"test": (1718, 1252)}
    ),
    ("cardiffnlp/tweet_eval", "irony"): _texts(
        "non_irony", "irony", train=2862, validation=955, test=784, counts={"test": (473, 311)}
    ),
    ("cardiffnlp/tweet_eval", "offensive"): _texts(
        "non-offensive", "offensive", train=11916, validation=1324, test=860, counts={"test": (620, 240)}
    ),
    ("cardiffnlp/tweet_eval", "sentiment"): _texts(
        "negative", "neutral", "positive", train=45615, validation=2000, test=12284,
        counts={"test": (3972, 5937, 2375)},
    ),
    ("cardiffnlp/tweet_eval", "stance_abortion"): _texts(*_STANCE, train=587, validation=66, test=280),
    ("cardiffnlp/tweet_eval", "stance_atheism"): _texts(*_STANCE, train=461, validation=52, test=220),
    ("cardiffnlp/tweet_eval", "stance_climate"): _texts(*_STANCE, train=355, validation=40, test=169),
    ("cardiffnlp/tweet_eval", "stance_feminist"): _texts(*_STANCE, train=597, validation=67, test=285),
    ("cardiffnlp/tweet_eval", "stance_hillary"): _texts(*_STANCE, train=620, validation=69, test=295),
    ("rajpurkar/squad", ""): _other(87599, validation=10570),
    ("rajpurkar/squad_v2", ""): _other(130319, validation=11873),
    ("eriktks/conll2003", ""): _other(14041, validation=3250, test=3453),
    ("sentence-transformers/stsb", ""): _other(5749, validation=1500, test=1379),
    ("uoft-cs/cifar10", ""): PUBLIC["cifar/cifar10"],
    ("uoft-cs/cifar100", ""): PUBLIC["cifar/cifar100"],
    ("ylecun/mnist", ""): PublicData(
        rows={"test": 10000}, train={"train": 60000},
        class_counts={"test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)},
    ),
    ("zalando-datasets/fashion_mnist", ""): _balanced(10, train=60000, test=10000),
    ("ethz/food101", ""): _balanced(101, train=75750, validation=25250),
    ("timm/oxford-iiit-pet", ""): PublicData(rows={"test": 3669}, train={"train": 3680}),
    ("dpdl-benchmark/oxford_flowers102", ""): PublicData(
        rows={"validation": 1020, "test": 6149}, train={"train": 1020}
    ),
    ("AI-Lab-Makerere/beans", ""): PublicData(
        rows={"validation": 133, "test": 128}, train={"train": 1034},
    ),
    ("ILSVRC/imagenet-1k", ""): PublicData(
        rows={"validation": 50000}, hidden={"test": 100000}, train={"train": 1281167},
        class_counts={"validation": (50,) * 1000},
    ),
    ("imagenet-real", ""): PublicData(rows={"validation": 46837}),
    ("imagenet-v2", ""): PublicData(rows={"test": 10000}, class_counts={"test": (10,) * 1000}),
    ("imagenet-sketch", ""): PublicData(rows={"test": 50889}),
    ("imagenet-a", ""): PublicData(rows={"test": 7500}),
    ("imagenet-r", ""): PublicData(rows={"test": 30000}),
    ("digits", ""): PUBLIC["digits"],
    ("entailment", ""): PUBLIC["entailment"],
    ("coco2017", ""): PUBLIC["data:coco2017"],
    ("pascal_voc2012", ""): PUBLIC["data:pascal_voc2012"],
}  # fmt: skip
"""Canonical id on the Hub and configuration (empty if there is only one, or all have the same rows) -> facts."""
ONLY_METRICS: Mapping[tuple[str, str], str] = {
    **{(GLUE_REPOSITORY, name): "accuracy" for name in ("sst2", "qnli", "rte", "wnli")},
    **{(GLUE_REPOSITORY, f"mnli{genre}"): "accuracy" for genre in ("", "_matched", "_mismatched")},
    (GLUE_REPOSITORY, "cola"): "matthews_correlation",
    **{("aps/super_glue", name): "accuracy" for name in ("boolq", "copa", "rte", "wic", "wsc", "wsc.fixed")},
}
"""The metric of each benchmark that has a single one, as GLUE and SuperGLUE define it. MRPC, for example, has two."""
