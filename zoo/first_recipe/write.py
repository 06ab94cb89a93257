"""Write a first recipe: its model, its training or its claim, with comments."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import BertWordPieceTokenizer

from zoo.errors import UsageError
from zoo.fetch.hub_owners import owned_name
from zoo.fetch.source_types import HF, HUB, HUB_NAME, parse_or_none
from zoo.first_recipe.found import FoundData
from zoo.first_recipe.look import SPLITS, local_source
from zoo.importers.recipe_text import yaml_text
from zoo.recipes.values import texts
from zoo.safe_text import one_line

Purpose = Literal["train", "verify"]
BERT, RESNET = "bert_classifier", "cifar_resnet"
"""The models that need no download: one for texts, one for small images."""
USUAL_NAME = "mine"
"""The name of a recipe that the user does not name, and of its file."""
CONFIG = "config.json"
VOCABULARY = 4000
"""The most tokens of a vocabulary that is made of the user's texts."""
NO_SOURCE = "not stated; write here where the score is published"


@dataclass(frozen=True, kw_only=True)
class FirstRecipe:
    """A recipe and the files that it needs, not yet written."""

    text: str
    files: Mapping[Path, str]
    """The vocabulary of a model that is trained from scratch, by its path."""


def first_recipe(
    found: FoundData, path: Path, model: str, purpose: Purpose, *, score: float | None = None, source: str | None = None
) -> FirstRecipe:
    """Return the recipe for data and a model.

    Args:
        found: The data.
        path: The file that the recipe will be written to.
        model: OWNER/NAME of the Hub, a folder with a model of transformers, or the name of a model of zoo or
            torchvision.
        purpose: Whether to train, or to verify a published score.
        score: The published accuracy, for `verify`.
        source: Where it is published.

    Raises:
        UsageError: The model or the purpose does not fit the data.
    """
    published = published_model(model, path.parent)
    if purpose == "verify" and (published is None or score is None):
        raise UsageError(
            "--for verify needs a model of the Hub or a folder with one, and its published score: --score 0.93"
        )
    recipe: dict[str, Any] = {"name": _name(found, path), "task": {"use": found.task, **found.arguments}}
    files: dict[Path, str] = {}
    if published is not None:
        recipe |= _with_published(found, recipe["task"], published)
    elif found.is_text:
        recipe |= _from_scratch(found, path, model, files)
    else:
        recipe |= _image_model(found, recipe["task"], model)
    if purpose == "verify":
        recipe |= {"weights": published, "claims": [_claim(found, recipe["task"], score, source)]}
    else:
        recipe |= _training(found, is_published=published is not None)
    return FirstRecipe(text=_text(recipe, found, purpose), files=files)


def vocabulary_of(path: Path) -> Path:
    """Return the file for the vocabulary of a model that is trained from scratch with the recipe in a file."""
    return path.with_name(f"{path.stem}-vocab.txt")


def _name(found: FoundData, path: Path) -> str:
    """Return the name of the recipe: that of its file, or of the data if the file has the usual name.

    Runs are stored under this name, so those of several projects should not share it.
    """
    if path.stem != USUAL_NAME:
        return path.stem
    sources = map(parse_or_none, texts(found.arguments.get("data")))
    names = [Path(source.short_name).stem for source in sources if source is not None]
    words = (re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")
             for name in (*names, str(found.arguments.get("train", ""))) if name.lower() not in SPLITS)  # fmt: skip
    return next(filter(None, words), USUAL_NAME)


def published_model(model: str, folder: Path) -> str | None:
    """Return the source of a published model; None for a name of zoo or torchvision.

    Args:
        model: See `first_recipe`.
        folder: The folder of the recipe.

    Raises:
        UsageError: It is a folder without a model, or a model of the Hub without its owner.
    """
    local = Path(model).expanduser()
    if local.is_file() or (model.startswith((".", "~", "/")) and not local.is_dir()):
        what = "this is a file" if local.is_file() else "no such folder"
        raise UsageError(f"--model {model}: {what}; name the folder of a model, with its {CONFIG}")
    if local.is_dir():
        if not (local / CONFIG).is_file():
            raise UsageError(
                f"--model {model}: the folder has no {CONFIG}; name one that `save_pretrained` has written"
            )
        return local_source(local, folder)
    name = model.removeprefix(HF).removeprefix(HUB)
    if (owned := owned_name(name)) is not None:
        raise UsageError(f"--model {model}: a model of the Hub is OWNER/NAME; write {owned}")
    return f"{HUB}{name}" if HUB_NAME.fullmatch(name) else None


def _with_published(found: FoundData, task: dict[str, Any], source: str) -> dict[str, Any]:
    if found.is_text:
        return {
            "tokenizer": {"use": "published", "of": source},
            "model": {"use": "sequence_classifier", "init": source, "num_labels": found.outputs},
        }
    task["preprocessing"] = {"use": "published", "of": source}
    return {"model": {"use": "image_classifier", "init": source, "num_labels": found.outputs}}


def _from_scratch(found: FoundData, path: Path, model: str, files: dict[Path, str]) -> dict[str, Any]:
    """Return a small BERT with a vocabulary of the user's texts, which is added to `files`."""
    if model != BERT:
        raise UsageError(f"--model {model}: for texts write OWNER/NAME of the Hub, a folder, or {BERT}")
    tokenizer = BertWordPieceTokenizer()
    tokenizer.train_from_iterator(found.texts, vocab_size=VOCABULARY, show_progress=False)
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    vocabulary = vocabulary_of(path)
    files[vocabulary] = "".join(f"{token}\n" for token, _ in tokens)
    return {
        "tokenizer": {"use": "wordpiece", "vocab": f"file:{vocabulary.name}"},
        "model": {
            "use": BERT, "layers": 2, "hidden": 64, "heads": 4, "intermediate": 128, "vocab_size": len(tokens),
            "num_labels": found.outputs,
        },
    }  # fmt: skip


def _image_model(found: FoundData, task: dict[str, Any], model: str) -> dict[str, Any]:
    if model == BERT:
        raise UsageError(f"--model {model} reads texts; for images write {RESNET}, resnet18 or a model of the Hub")
    if model == RESNET:
        task["size"] = 32
        return {"model": {"use": RESNET, "depth": 8, "width": 16, "num_classes": found.outputs}}
    task["size"] = 64 if 0 < found.side <= 64 else 224
    return {"model": {"use": model, "num_classes": found.outputs}}


def _training(found: FoundData, *, is_published: bool) -> dict[str, Any]:
    recipe: dict[str, Any] = {}
    if len(found.rows) == 1:
        rows = found.rows[found.training]
        share = 0.1 if rows >= 100 else 0.2 if rows >= 10 else 0.5
        recipe["holdout"] = {"of": found.training, "share": share, "seed": 0}
    adam = is_published or found.is_text
    rate = 5e-5 if is_published else 1e-3 if adam else 0.05
    optimizer = {"use": "AdamW", "lr": rate} if adam else {"use": "SGD", "lr": rate, "momentum": 0.9}
    loss = "CrossEntropy" if found.classes else "MSE"
    stage: dict[str, Any] = {
        "epochs": 3 if is_published else 10, "batch_size": 16 if adam else 32, "optimizer": optimizer,
        "schedule": {"use": "linear", "warmup": 0.1}, "selection": "best",
    }  # fmt: skip
    if found.training != "train":
        stage["split"] = found.training
    return {**recipe, "stages": [{**stage, "criterion": {"ce" if found.classes else "mse": {"loss": loss}}}]}


def _claim(found: FoundData, task: dict[str, Any], score: float | None, source: str | None) -> dict[str, Any]:
    split = next((name for name in ("test", "validation", "val") if name in found.rows), found.training)
    if isinstance(task["data"], Mapping) and [*task["data"]] == ["train"]:
        split, task["data"] = "test", {"test": task["data"]["train"]}  # nothing is trained on these rows
    elif found.is_text or found.task == "image_classification":
        task["scored"] = split
    elif task["val"] is None:
        task["val"] = split
    metric = "accuracy" if found.classes else "pearson"
    return {"of": "weights", "split": split, "metric": metric, "value": score, "source": source or NO_SOURCE}


COMMENTS = {
    "task": "How rows are read. docs/your-data.md has all arguments.",
    "tokenizer": "How texts become tokens.",
    "model": "The architecture; the number of outputs is that of the classes.",
    "weights": "The published weights to verify.",
    "holdout": "Rows that are kept out of the training, as the split `validation`.",
    "stages": "The training. More epochs take longer and often score better.",
    "claims": "What is published about the weights.",
}


def _text(recipe: Mapping[str, Any], found: FoundData, purpose: Purpose) -> str:
    lines = [f"# Written by `zoo init` to {purpose}. Found: {found.summary}."]
    lines += [f"# Guessed: {one_line(note)}. Change it here if it is wrong." for note in found.notes]
    for key, value in recipe.items():
        lines += [f"# {COMMENTS[key]}"] if key in COMMENTS else []
        lines.append(yaml_text({key: value}).rstrip("\n"))
    return "\n".join(lines) + "\n"
