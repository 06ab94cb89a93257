"""Real-looking model cards over small classifiers, and what zoo should make of each of their claims."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import torch
from scipy import stats
from sklearn.metrics import f1_score

from tests.helpers.card_models import (
    SENTIMENTS,
    TOPICS,
    card,
    labels,
    outputs,
    pickled_model,
    result,
    text_data,
    text_model,
    texts,
)
from tests.helpers.glue_hub import parquet
from tests.helpers.hub_server import ALWAYS, LocalHub
from tests.helpers.image_cards import CIFAR, cifar_data, right_among, vit_model
from tests.helpers.question_cards import QUESTIONS, question_card
from tests.helpers.sentence_encoders import MODULES, SETTINGS, cosines_of, encoder_files

REVIEWS, NLI, SIMILAR, MRPC = "someone/reviews", "someone/nli", "someone/similar", "nyu-mll/glue"
ROWS = {"train": texts(50), "validation": texts(40, seed=1), "test": texts(30, seed=2)}
RIGHT = {"train": 45, "validation": 33, "test": 20}
"""How many rows of each split of `REVIEWS` the classifier of sentiments predicts right."""
PAIRS = texts(408, seed=3, columns=2)
SENTENCE_TRANSFORMERS = """\
---
language: en
license: apache-2.0
library_name: sentence-transformers
tags: [sentence-transformers, feature-extraction, sentence-similarity, transformers]
datasets: [s2orc, flax-sentence-embeddings/stackexchange_xml, ms_marco]
pipeline_tag: sentence-similarity
---
# all-MiniLM-L6-v2
This is a sentence-transformers model: it maps sentences & paragraphs to a 384 dimensional dense vector space.
"""
"""The head of the card of sentence-transformers/all-MiniLM-L6-v2."""
Expected = tuple[str, str, str]
"""The metric of a claim, its verdict, and the code of the reason or a part of it."""


@dataclass
class Cards:
    """Models to add to a Hub, and what is expected of their claims."""

    hub: LocalHub
    expected: dict[str, list[Expected]] = field(default_factory=dict)

    def add(self, name: str, files: Mapping[str, bytes], *expected: Expected, **settings: Any) -> None:
        self.hub.add("models", f"someone/{name}", files, **settings)
        self.expected[f"someone/{name}"] = list(expected)


def publish(hub: LocalHub) -> dict[str, list[Expected]]:
    """Add data sets and models to a Hub; return what is expected of the claims of each model."""
    cards = Cards(hub)
    sentiments = text_model(SENTIMENTS)
    splits = {name: (rows, labels(sentiments, rows, right=RIGHT[name])) for name, rows in ROWS.items()}
    reviews = text_data(["text"], splits, SENTIMENTS)
    hub.add("datasets", REVIEWS, reviews)
    hub.add("datasets", "someone/private", reviews, private=True)
    hub.add("datasets", "someone/gated", reviews, gated=True)
    _add_styles(cards, sentiments)
    _add_splits(cards, sentiments)
    _add_labels(cards, sentiments)
    _add_glue(cards, sentiments)
    _add_other_tasks(cards)
    _add_questions(cards)
    _add_images(cards, sentiments)
    _add_encoders(cards)
    _add_unreadable(cards, sentiments)
    return cards.expected


def _add_styles(cards: Cards, model: Mapping[str, bytes]) -> None:
    """Add true claims in all ways of writing them, and values that are none."""
    exact = ("accuracy", "reproduced", "33 of 40 right, as claimed, to the example")
    for name, value in (("fraction", 0.825), ("percent", 82.5), ("percent-sign", "82.5 %"), ("text", "0.825")):
        shown = card(result(REVIEWS, ("accuracy", value), split="validation"))
        cards.add(name, {**model, "README.md": shown}, exact)
    wrong = card(result(REVIEWS, ("accuracy", 0.95), split="validation"))
    cards.add("false", {**model, "README.md": wrong}, ("accuracy", "not-reproduced", "5 fewer than claimed (38)"))
    odd = result(REVIEWS, ("accuracy", "n/a"), ("accuracy", "82.5 ± 0.3"), ("bleu", 0.3), ("accuracy", 412))
    reasons = ("no-number", "mean-of-runs", "unknown-metric", "out-of-range")
    metrics = ("accuracy", "accuracy", "bleu", "accuracy")
    cards.add(
        "odd-values", {**model, "README.md": card(odd)},
        *((metric, "not-compared", reason) for metric, reason in zip(metrics, reasons, strict=True)),
    )  # fmt: skip
    trained = card(result(REVIEWS, ("accuracy", 0.825), ("loss", 1.37), split="validation"))
    cards.add("with-loss", {**model, "README.md": trained}, exact, ("loss", "not-compared", "no-score"))
    cut = card(result(REVIEWS, ("accuracy", 0.666), split="test"))
    cards.add("truncated", {**model, "README.md": cut}, ("accuracy", "reproduced", "if the claim was truncated"))
    results = [{"dataset": {"id": REVIEWS, "task_id": "default"}, "value": 82.5, "date": "2026-11-01"}]
    files = {**model, ".eval_results/reviews.yaml": json.dumps(results).encode()}
    no_metric = ("-", "not-compared", "no-metric")
    cards.add("eval-results", files, no_metric)
    broken = {**files, ".eval_results/other.yaml": b"- {dataset: [\n"}
    unreadable = ("(unreadable)", "not-compared", "unreadable: ")
    cards.add("half-readable", {**broken, "README.md": shown}, exact, no_metric, unreadable)


def _add_splits(cards: Cards, model: Mapping[str, bytes]) -> None:
    def add(name: str, value: float, expected: Expected, **data: Any) -> None:
        cards.add(name, {**model, "README.md": card(result(REVIEWS, ("accuracy", value), **data))}, expected)

    add("no-split", 0.825, ("accuracy", "reproduced", "33 of 40"))
    add("no-split-but-test", 0.6667, ("accuracy", "reproduced", "20 of 30"))
    add("dev", 0.825, ("accuracy", "reproduced", "33 of 40"), split="dev")
    add("wrong-split", 0.825, ("accuracy", "not-compared", "is no share of 50 examples"), split="train")
    add("other-split", 0.5, ("accuracy", "not-compared", "no-split"), split="holdout")
    rows = (ROWS["test"], [-1] * len(ROWS["test"]))
    cards.hub.add("datasets", "someone/hidden", text_data(["text"], {"test": rows}, SENTIMENTS))
    hidden = card(result("someone/hidden", ("accuracy", 0.825), split="test"))
    cards.add("unlabelled", {**model, "README.md": hidden}, ("accuracy", "not-compared", "no-fit: "))
    negative = card(result(REVIEWS, ("accuracy", -0.5)))
    cards.add("negative", {**model, "README.md": negative}, ("accuracy", "not-compared", "out-of-range"))
    add("other-config", 0.825, ("accuracy", "reproduced", "33 of 40"), split="validation", args="default")


def _add_labels(cards: Cards, model: Mapping[str, bytes]) -> None:
    shown = {"README.md": card(result(REVIEWS, ("accuracy", 0.825), split="validation"))}
    exact = ("accuracy", "reproduced", "33 of 40")
    cards.add("named-otherwise", {**text_model(("POS", "NEG"), order=(1, 0)), **shown}, exact)
    cards.add("label-n", {**text_model(("LABEL_0", "LABEL_1")), **shown}, exact)
    swapped = text_model(("LABEL_0", "LABEL_1"), order=(1, 0))
    cards.add("permuted", {**swapped, **shown}, ("accuracy", "not-reproduced", "26 fewer than claimed (33)"))
    cards.add("other-names", {**text_model(("spam", "ham")), **shown}, ("accuracy", "not-compared", "labels-differ"))
    cards.add("three-classes", {**text_model(TOPICS), **shown}, ("accuracy", "not-compared", "labels-differ"))
    cards.add("pickle", {**pickled_model(model), **shown}, exact)


def _add_glue(cards: Cards, model: Mapping[str, bytes]) -> None:
    """Add a card in the style of before 2022, with a string in `args` and no split."""
    right = labels(model, PAIRS, right=350)
    columns = {f"sentence{number + 1}": [pair[number] for pair in PAIRS] for number in (0, 1)}
    rows = parquet({**columns, "label": right}, labels=pa.int64())
    names = {str(number): name for number, name in enumerate(("not_equivalent", "equivalent"))}
    features = [{"name": name, "dtype": "string"} for name in columns]
    features += [{"name": "label", "dtype": {"class_label": {"names": names}}}]
    info = {"dataset_info": [{"config_name": "mrpc", "features": features}]}
    data = {"README.md": f"---\n{json.dumps(info)}\n---\n".encode(), "mrpc/validation-00000-of-00001.parquet": rows}
    cards.hub.add("datasets", MRPC, data)
    f1 = float(f1_score(right, outputs(model, PAIRS).argmax(dim=1)))
    renamed = text_model(("LABEL_0", "LABEL_1"))
    old = result("glue", ("accuracy", 350 / 408), ("f1", f1), name="GLUE MRPC", args="mrpc")
    reproduced: list[Expected] = [("accuracy", "reproduced", "350 of 408"), ("f1", "reproduced", "Difference")]
    cards.add("old-style", {**renamed, "README.md": card(old)}, *reproduced)
    hidden = result("glue", ("accuracy", 0.86), config="mrpc", split="test")
    other = result("glue", ("accuracy", 0.86), config="mprc", split="validation")
    cards.add("hidden", {**renamed, "README.md": card(hidden)}, ("accuracy", "not-compared", "hidden-labels"))
    cards.add("typo", {**renamed, "README.md": card(other)}, ("accuracy", "not-compared", "no-configuration"))


def _add_other_tasks(cards: Cards) -> None:
    """Add a regression, and a classifier of three classes whose F1 needs an average."""
    regression = text_model(("LABEL_0",), problem_type="regression")
    pairs = texts(60, seed=4, columns=2)
    scores = outputs(regression, pairs).flatten()
    noisy = (scores + torch.linspace(-1, 1, len(pairs))).tolist()
    cards.hub.add("datasets", SIMILAR, text_data(["sentence1", "sentence2"], {"test": (pairs, noisy)}))
    pearson, spearman = (float(of(scores, noisy)[0]) for of in (stats.pearsonr, stats.spearmanr))
    claimed = result(
        SIMILAR, ("pearson", round(pearson, 4)), ("spearmanr", 100 * round(spearman, 4)), ("accuracy", 0.5)
    )
    cards.add(
        "regression", {**regression, "README.md": card(claimed)}, ("pearson", "reproduced", ""),
        ("spearman", "reproduced", ""), ("accuracy", "not-compared", "unknown-metric"),
    )  # fmt: skip
    topics, rows = text_model(TOPICS), texts(45, seed=5, columns=2)
    right = labels(topics, rows, right=30)
    cards.hub.add("datasets", NLI, text_data(["premise", "hypothesis"], {"validation": (rows, right)}, TOPICS))
    macro = float(f1_score(right, outputs(topics, rows).argmax(dim=1), average="macro"))
    metrics = result(NLI, ("F1 (macro)", macro), ("F1", macro), task="natural-language-inference", split="validation")
    both: list[Expected] = [("f1", "reproduced", ""), ("F1", "not-compared", "undefined-metric")]
    cards.add("macro", {**topics, "README.md": card(metrics)}, *both)
    shuffled = text_model((TOPICS[2], TOPICS[0], TOPICS[1]), order=(2, 0, 1))
    claim = card(result(NLI, ("accuracy", 30 / 45), split="validation"))
    cards.add("nli-order", {**shuffled, "README.md": claim}, ("accuracy", "reproduced", "30 of 45"))


def _add_questions(cards: Cards) -> None:
    """Add a model that finds answers in texts that are longer than it reads."""
    model, data = question_card()
    cards.hub.add("datasets", QUESTIONS, data)
    cards.add(
        "answers", model, ("exact_match", "reproduced", ""), ("answer_f1", "reproduced", ""),
        ("rouge", "not-compared", "unknown-metric"),
    )  # fmt: skip


def _add_images(cards: Cards, text_classifier: Mapping[str, bytes]) -> None:
    """Add image classifiers: by an old id of CIFAR-10, of other data, and without settings for images."""
    cards.hub.add("datasets", CIFAR, cifar_data())
    model = vit_model()
    first, fifth = right_among(model, 1), right_among(model, 5)

    def shown(dataset: str, *metrics: tuple[str, Any], task: str = "image-classification") -> bytes:
        return card(result(dataset, *(metrics or (("accuracy", 0.5),)), task=task, split="test"))

    def not_compared(name: str, files: Mapping[str, bytes], reason: str) -> None:
        cards.add(name, files, ("accuracy", "not-compared", reason))

    true = shown("cifar10", ("accuracy", first / 50), ("top-5 accuracy", 100 * fifth / 50))
    expected = [("accuracy", "reproduced", f"{first} of 50"), ("top5_accuracy", "reproduced", f"{fifth} of 50")]
    cards.add("vit-cifar10", {**model, "README.md": true}, *expected)
    bare = {name: data for name, data in model.items() if name != "preprocessor_config.json"}
    not_compared("no-processor", {**bare, "README.md": shown("cifar10")}, "no-preprocessing")
    not_compared("vit-reviews", {**model, "README.md": shown(REVIEWS)}, "no-image")
    not_compared("vit-imagenet", {**model, "README.md": shown("imagenet-1k")}, "labels-differ")
    not_compared("bert-cifar10", {**text_classifier, "README.md": shown("cifar10")}, "unsupported-model")
    boxes = shown("cifar10", task="object-detection")
    not_compared("vit-boxes", {**model, "README.md": boxes}, "unsupported-task")


def _add_encoders(cards: Cards) -> None:
    """Add sentence encoders with claims on STS-B, by the names of MTEB and of GLUE."""
    rows = texts(40, seed=6, columns=2)
    model = encoder_files()
    cosines = cosines_of(rows, max_length=12)
    scores = [cosine + noise for cosine, noise in zip(cosines, torch.linspace(-0.1, 0.1, 40).tolist(), strict=True)]
    data = text_data(["sentence1", "sentence2"], {"test": (rows, scores)})
    cards.hub.add("datasets", "sentence-transformers/stsb", data)
    spearman = 100 * float(stats.spearmanr(cosines, scores)[0])

    def shown(*metrics: str, task: str = "STS", **fields: str) -> bytes:
        values = [(metric, round(spearman, 4)) for metric in metrics]
        return card(result("mteb/stsbenchmark-sts", *values, task=task, **fields))

    mteb = shown("cosine_spearman", "dot_spearman", config="default", split="test", name="MTEB STSBenchmark")
    expected = [("spearman", "reproduced", ""), ("dot_spearman", "not-compared", "unknown-metric")]
    cards.add("encoder-mteb", {**model, "README.md": mteb}, *expected)
    unlike = shown("accuracy", task="Classification")
    cards.add("encoder-classes", {**model, "README.md": unlike}, ("accuracy", "not-compared", "unsupported-model"))
    dense = [*MODULES[:2], {**MODULES[2], "type": "sentence_transformers.models.Dense"}]
    other = {**encoder_files({**SETTINGS, "modules.json": dense}), "README.md": shown("cos_sim_spearman")}
    cards.add("encoder-dense", other, ("cos_sim_spearman", "not-compared", "unsupported-model"))


def _add_unreadable(cards: Cards, model: Mapping[str, bytes]) -> None:
    """Add cards without claims, and claims about models and data that zoo cannot run."""

    def shown(dataset: str = REVIEWS, task: str = "text-classification") -> dict[str, bytes]:
        return {"README.md": card(result(dataset, ("accuracy", 0.825), task=task, split="validation"))}

    def not_compared(reason: str, metric: str = "accuracy") -> Expected:
        return metric, "not-compared", reason

    config = json.loads(model["config.json"])

    def configured(**changed: Any) -> dict[str, bytes]:
        return {**model, **shown(), "config.json": json.dumps({**config, **changed}).encode()}

    code = {"model_type": "mine", "auto_map": {"AutoModelForSequenceClassification": "modeling.Mine"}}
    without = {name: data for name, data in model.items() if name not in ("model.safetensors", "vocab.txt")}
    index = {"model-index": [
        {"name": "two-models", "results": [result(REVIEWS, ("accuracy", 0.825), split="validation")]},
        {"name": "larger", "results": [result(REVIEWS, ("accuracy", 0.9), split="validation")]},
    ]}  # fmt: skip
    two = {"README.md": f"---\n{json.dumps(index)}\n---\n".encode()}
    cards.add("two-models", {**model, **two}, ("accuracy", "reproduced", "33 of 40"), not_compared("other-model"))
    cards.add("private-data", {**model, **shown("someone/private")}, not_compared("unknown-data-set"))
    cards.add("gated-data", {**model, **shown("someone/gated")}, not_compared("gated"))
    cards.add("no-data", {**model, **shown("an invented one")}, not_compared("unknown-data-set"))
    cards.hub.fault("/api/datasets/imagefolder", "status", times=ALWAYS, status=404)  # without a code, as of a mirror
    known, trainer = (result(data, ("accuracy", 0.825), split="validation") for data in (REVIEWS, "imagefolder"))
    both = {**model, "README.md": card(trainer, known)}
    cards.add("imagefolder", both, ("accuracy", "reproduced", "33 of 40"), not_compared("unknown-data-set"))
    cards.add("summaries", {**model, **shown(task="summarization")}, not_compared("unsupported-task"))
    cards.add("custom-code", configured(**code), not_compared("custom-code"))
    cards.add("encoder", configured(architectures=["BertForMaskedLM"]), not_compared("unsupported-model"))
    no_weights = {**without, **shown(), "vocab.txt": model["vocab.txt"], "tf_model.h5": b"x"}
    cards.add("no-weights", no_weights, not_compared("no-weights"))
    no_tokenizer = {**without, **shown(), "model.safetensors": model["model.safetensors"]}
    cards.add("no-tokenizer", no_tokenizer, not_compared("no-tokenizer"))
    cards.add("no-claims", {**model, "README.md": b"# A model\n"})
    cards.add("empty-index", {**model, "README.md": b"---\nmodel-index: []\n---\n"})
    cards.add("broken-yaml", {**model, "README.md": b"---\nmodel-index: [\n---\n"})
    cards.add(
        "all-MiniLM-L6-v2", {**configured(architectures=["BertModel"]), "README.md": SENTENCE_TRANSFORMERS.encode()}
    )
    cards.add("gated", {**model, **shown()}, gated=True)
