"""Find the data set that a claim is about, whatever name the author gave it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from zoo.claims.known_data import KNOWN_DATA
from zoo.claims.published import PublishedClaim
from zoo.claims.split_names import find_splits, is_declared, normalized
from zoo.recipes.public_data import GLUE_REPOSITORY, PublicData

ALIASES = {
    "glue": GLUE_REPOSITORY, "sst2": "stanfordnlp/sst2", "sst-2": "stanfordnlp/sst2", "multi_nli": "nyu-mll/multi_nli",
    "super_glue": "aps/super_glue", "superglue": "aps/super_glue", "imdb": "stanfordnlp/imdb",
    "ag_news": "fancyzhx/ag_news", "agnews": "fancyzhx/ag_news", "emotion": "dair-ai/emotion",
    "rotten_tomatoes": "cornell-movie-review-data/rotten_tomatoes", "yelp_polarity": "fancyzhx/yelp_polarity",
    "yelp_review_full": "Yelp/yelp_review_full", "amazon_polarity": "fancyzhx/amazon_polarity",
    "dbpedia_14": "fancyzhx/dbpedia_14", "trec": "CogComp/trec", "xnli": "facebook/xnli",
    "tweet_eval": "cardiffnlp/tweet_eval", "squad": "rajpurkar/squad", "squad_v2": "rajpurkar/squad_v2",
    "squad2": "rajpurkar/squad_v2", "conll2003": "eriktks/conll2003", "cifar10": "uoft-cs/cifar10",
    "cifar-10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100", "cifar-100": "uoft-cs/cifar100",
    "mnist": "ylecun/mnist", "fashion_mnist": "zalando-datasets/fashion_mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist", "food101": "ethz/food101", "food-101": "ethz/food101",
    "pcuenq/oxford-pets": "timm/oxford-iiit-pet", "beans": "AI-Lab-Makerere/beans",
    "imagenet-1k": "ILSVRC/imagenet-1k", "imagenet_1k": "ILSVRC/imagenet-1k", "imagenet": "ILSVRC/imagenet-1k",
    "imagenet1k": "ILSVRC/imagenet-1k", "ilsvrc2012": "ILSVRC/imagenet-1k", "timm/imagenet-1k": "ILSVRC/imagenet-1k",
    "timm/imagenet-1k-wds": "ILSVRC/imagenet-1k", "imagenet real": "imagenet-real", "imagenet_v2": "imagenet-v2",
    "imagenetv2": "imagenet-v2", "imagenet_sketch": "imagenet-sketch", "songweig/imagenet_sketch": "imagenet-sketch",
    "mteb/stsbenchmark-sts": "sentence-transformers/stsb", "stsb": "sentence-transformers/stsb",
}  # fmt: skip
"""Other ids of data sets, in small letters -> the id on the Hub. Ids without an owner are those of before 2024."""
_CONFIGS = {
    "sst-2": "sst2", "sts-b": "stsb", "mnli-mm": "mnli_mismatched", "mnli_mm": "mnli_mismatched",
    "mnli-m": "mnli_matched", "mnli_m": "mnli_matched", "mnli-matched": "mnli_matched",
    "mnli-mismatched": "mnli_mismatched",
}  # fmt: skip
_CANONICAL = {key[0].lower(): key[0] for key in KNOWN_DATA}
_OTHER_ROWS = {("dair-ai/emotion", "unsplit")}
_PARTS = re.compile(r"--|[/ _-]")
"""The separators of an id and its configuration."""
SIMILAR = 0.75
"""How similar a word and a known name must be for a hint, see `difflib.SequenceMatcher.ratio`."""
_WORDS = re.compile(r"[\w.-]+")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set that zoo knows facts about."""

    id: str
    """The id on the Hub, with its owner."""
    config: str
    """The configuration; empty if there is only one, or if all have the same rows."""
    facts: PublicData

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of every split: those that can be scored, then those for training, then the hidden."""
        return {**self.facts.rows, **self.facts.train, **self.facts.hidden}

    def find_splits(self, declared: str) -> tuple[str, ...]:
        """Return the splits that an author may mean by a name.

        Args:
            declared: The author's word. An empty one, or one that names no split, such as `eval`, may mean any split
                with public labels.

        Returns:
            The names, such as `("validation_matched", "validation_mismatched")` for `validation` of MNLI; none if the
            data set has no such split.
        """
        of_config = f"_{self.config.rpartition('_')[2]}"
        plain = normalized(declared).removesuffix(of_config)  # MNLI matched has `validation` alone
        if found := find_splits(declared, self.rows) or find_splits(plain, self.rows):
            return found
        return () if is_declared(plain) else tuple({**self.facts.rows, **self.facts.train})


def find_data_set(claim: PublishedClaim) -> DataSet | None:
    """Return the data set that a claim is about; None if it is not known, or if its configuration is not.

    The configuration may stand in its own field, in the id (`glue/mrpc`, `glue--mrpc`), or in the name for readers
    (`GLUE MRPC`).
    """
    identifier, rest = _identify(claim.dataset or claim.dataset_name)
    if (identifier, "") in KNOWN_DATA:  # its configurations, such as `plain_text`, have the same rows
        is_other = rest or (identifier, claim.config) in _OTHER_ROWS
        return None if is_other else DataSet(id=identifier, config="", facts=KNOWN_DATA[identifier, ""])
    texts = (claim.config, rest, claim.dataset_name) if identifier else ()
    config = next(filter(None, (_find_config(identifier, text) for text in texts)), "")
    return DataSet(id=identifier, config=config, facts=KNOWN_DATA[identifier, config]) if config else None


def similar_name(claim: PublishedClaim) -> str:
    """Return the name of a data set, or of a configuration, that an author may have misspelled; empty if none is."""
    identifier, rest = _identify(claim.dataset or claim.dataset_name)
    if not identifier:
        first_words = [name.partition(" ")[0] for name in (claim.dataset, claim.dataset_name)]
        return _similar((claim.dataset, claim.dataset_name, *first_words), [*ALIASES, *_CANONICAL])
    known = [name for data, name in KNOWN_DATA if data == identifier and name]
    return _similar((claim.config, rest, _identify(claim.dataset_name)[1]), known)


def _similar(names: Iterable[str], known: list[str]) -> str:
    """Return the known name that is similar to the first name that has a similar one; empty if none has."""
    found = (get_close_matches(name.strip().lower(), known, n=1, cutoff=SIMILAR) for name in names)
    return next((similar[0] for similar in found if similar), "")


def _identify(name: str) -> tuple[str, str]:
    """Return the canonical id of a data set and the rest of its name; empty texts if it is not known."""
    plain = name.strip().lower()
    for word, rest in ((plain, ""), *((plain[: at.start()], plain[at.end() :]) for at in _PARTS.finditer(plain))):
        known = ALIASES.get(word, _CANONICAL.get(word, ""))
        if known:
            return known, rest
    return "", ""


def _find_config(identifier: str, text: str) -> str:
    """Return the configuration that a text names, or an empty text."""
    plain = text.strip().lower().split("--")[-1]
    names = (_CONFIGS.get(word, word) for word in (plain, *_WORDS.findall(plain)))
    return next((name for name in names if (identifier, name) in KNOWN_DATA), "")
