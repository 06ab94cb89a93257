"""The model card of a training run: README.md, for readers and for the Hub."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tabulate import tabulate

from harness.judging.chosen_rows import subset_text
from harness.judging.types import decimals_of
from harness.models.provenance import code_packages
from harness.records.training_log import PICTURE
from harness.runs.answering_code import parts_text
from harness.runs.card_metadata import CardFacts, metadata
from harness.runs.loading_code import loading_code, max_length
from zoo.recipes.claim import Claim
from zoo.safe_text import QUOTE, in_code, markdown, one_line
from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.image_defaults import with_defaults
from zoo.tasks.question_features import QuestionSplit
from zoo.tasks.splits import TextSplit
from zoo.tasks.tagged_words import TaggedWords
from zoo.text_tables import number

CARD = "README.md"
MISSING = "The recipe reads files that are not here. Put them at these paths, seen from this folder:"
REPRODUCTION = "## How to reproduce it"
FEW_CLASSES = 20
"""A longer list of classes is folded."""
SHOWN_PACKAGES = ("zoo-reproduce", "torch", "torchvision", "transformers", "tokenizers", "numpy")


def model_card(facts: CardFacts) -> str:
    """Return the README.md of a training run: what it is, its scores, how to use it, and how it was trained."""
    record, recipe, data = facts.record, facts.recipe, metadata(facts)
    failure = f"**The training failed: {markdown(record.failure)}. Its scores mean nothing.**" if record.failure else ""
    intro = (
        f"Trained by `zoo train` on `{in_code(facts.task.name)}` with seed {record.identity.seed}. The weights are"
        f" those of the {record.kept_epoch} epoch. [record.json](record.json) lists the inputs with their checksums,"
        " the environment and the scores."
    )
    sections = {
        "Scores": _scores(facts),
        "Classes": _classes(facts.class_names),
        "How to use it": f"In a folder with the files of this repository:\n\n```python\n{loading_code(facts)}\n```",
        "Preprocessing": _preprocessing(facts),
        "Training": _training(facts) + _curves(facts),
        "How to reproduce it": _reproduction(facts),
        "Environment": _environment(facts),
        "License": _license(facts, data.license),
    }
    front = f"---\n{data.to_yaml().strip()}\n---"
    parts = [front, f"# {markdown(recipe['name'])}", failure, intro]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(filter(None, parts)) + "\n"


def _scores(facts: CardFacts) -> str:
    """Return the scores of the run beside the claims about trainings, and what a reader should know of them."""
    claims = {(c.split, c.metric, str(c.selection)): c for c in facts.claims if c.of == "retrain"}
    headers = ["split", "metric", "epoch", "examples", f"seed {facts.record.identity.seed}", "claimed"]
    rows = [
        [result.split, metric, result.selection, subset_text(result.scoring, result.n) or f"{result.n:,}",
         number(value, decimals_of(facts.claims, result.split, metric)),
         _claimed(claims.get((result.split, metric, result.selection)), facts.claims)]
        for result, metric, value in facts.scores()
    ]  # fmt: skip
    columns = len(headers) if claims else len(headers) - 1
    table = _table(headers[:columns], [row[:columns] for row in rows]) if rows else ""
    notes = "\n".join(f"- {markdown(finding)}" for finding in [*facts.record.findings, *_chosen_epoch(facts)])
    return "\n\n".join(filter(None, [table, notes]))


def _chosen_epoch(facts: CardFacts) -> Iterator[str]:
    """Yield that the best epoch was chosen on rows whose score is listed, which makes this score too good."""
    stage = facts.recipe["stages"][-1]
    chosen_on = stage.get("selected_on") or facts.holdout.get("name") or next(iter(facts.task.scored), "")
    if facts.record.kept_epoch == "best" and any(result.split == chosen_on for result in facts.record.results):
        yield f"The best epoch was chosen on the split {chosen_on}, so its score there is slightly too good."


def _claimed(claim: Claim | None, claims: Iterable[Claim]) -> str:
    """Return a claimed score with the number of runs behind it, with the decimals of all claims on it."""
    if claim is None or claim.value is None:
        return ""
    runs = f"mean of {claim.reference_runs} seeds" if claim.reference_runs > 1 else "one seed"
    decimals = decimals_of(claims, claim.split, claim.metric)
    spread = f" ± {number(claim.sigma, decimals)}" if claim.sigma is not None else ""
    return f"{number(claim.value, decimals)}{spread} ({runs})"


def _classes(names: tuple[str, ...]) -> str:
    listed = ", ".join(map(markdown, names))
    if len(names) <= FEW_CLASSES:
        return listed and f"The outputs are, in this order: {listed}."
    return f"<details><summary>{len(names):,} classes, in the order of the outputs</summary>\n\n{listed}\n\n</details>"


def _preprocessing(facts: CardFacts) -> str:
    """Return how an input of the scored splits is prepared, as far as the task says it."""
    lines, task, tokenizer = [], with_defaults(facts.recipe["task"]), facts.recipe.get("tokenizer")
    if (length := max_length(facts)) is not None:
        lines.append(_cutting(facts, length))
    if isinstance(tokenizer, Mapping) and "lowercase" in tokenizer:
        lines.append("Texts are converted to lower case." if tokenizer["lowercase"] else "Texts keep their case.")
    if published := task.get("preprocessing"):
        lines.append(f"Images are prepared by `{in_code(_call(published))}`, the settings that are published there.")
    if transforms := task.get("eval_transforms"):
        lines.append(f"Transforms, in order: {', '.join(f'`{in_code(_call(call))}`' for call in transforms)}.")
        resizes = [call for call in transforms if "Resize" in _call(call) or "ShorterSide" in _call(call)]
        if resizes and not any("interpolation" in call for call in resizes):
            lines.append("Images are resized bilinearly, with antialiasing.")
    if "mean" in task and "std" in task:
        lines.append(f"Pixels in [0, 1] are normalized with mean {task['mean']} and standard deviation {task['std']}.")
    return "\n".join(f"- {line}" for line in lines)


def _cutting(facts: CardFacts, length: int) -> str:
    """Return how texts are read that are longer than a number of tokens."""
    split = next(split for split in facts.task.loaded.values() if isinstance(split, TextSplit))
    if isinstance(split, QuestionSplit) and isinstance(facts.task.readout, AnswerReadout):
        return parts_text(split, facts.task.readout, length)
    is_pair = len(split.texts[0]) == 2 and split.texts_per_row == 1 and not isinstance(split, TaggedWords)
    return f"Longer texts are cut to {length} tokens{'; of a pair, the longer text first' if is_pair else ''}."


def _training(facts: CardFacts) -> str:
    """Return a table of the settings, with a column for each stage."""
    stages = facts.recipe["stages"]
    keys = list(dict.fromkeys(key for stage in stages for key in stage))
    order = ["epochs", "batch_size", "optimizer", "schedule", "criterion", "teacher", "teachers"]
    keys.sort(key=lambda key: order.index(key) if key in order else len(order))
    rows = [
        [key.replace("_", " "), *(f"`{in_code(_setting(stage[key]))}`" if key in stage else "" for stage in stages)]
        for key in keys
    ]
    headers = ["setting", *(["value"] if len(stages) == 1 else [f"stage {n}" for n in range(1, len(stages) + 1)])]
    numerics = facts.record.identity.numerics
    rows.append(["precision", *[f"`{numerics['precision']}`"] * len(stages)])
    model = f"The model is `{one_line(_call(facts.recipe['model'])).replace('`', QUOTE)}`."
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    return "\n\n".join(
        [model, *_chosen_rows(facts), *_held_out(facts), *_augmentation(with_defaults(facts.recipe["task"])), table]
    )


def _chosen_rows(facts: CardFacts) -> Iterator[str]:
    """Yield which rows of a split were read at all."""
    for split, rows in (facts.recipe.get("rows") or {}).items():
        yield f"Of the split `{in_code(split)}`, only the rows `{in_code(rows)}` are read; rows count from 0."


def _held_out(facts: CardFacts) -> Iterator[str]:
    """Yield which rows were kept out of the training."""
    if not facts.holdout:
        return
    of, name, share, seed = (facts.holdout[key] for key in ("of", "name", "share", "seed"))
    rows = next((f"{result.n:,} rows, " for result in facts.record.results if result.split == name), "")
    yield (
        f"Hold-out: {100 * share:g} % of the split `{in_code(of)}` ({rows}chosen at random with seed {seed}) are not"
        f" in it during the training. They are scored as the split `{in_code(name)}`."
    )


def _augmentation(task: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the images of the split for training are changed at random."""
    is_cifar = task["use"] == "cifar"
    calls = [f"`{in_code(_call(call))}`" for call in task.get("train_transforms") or ()]
    if is_cifar and task.get("crop_padding"):
        calls.append(f"padding by {task['crop_padding']} black pixels on each side and a random crop of the old size")
    if is_cifar and task.get("flip"):
        calls.append("a random horizontal flip")
    if calls:
        yield f"Transforms of the images that the model is trained on, in order: {', '.join(calls)}."
    elif is_cifar or "train_transforms" in task:
        yield "The images that the model is trained on are not augmented."


def _curves(facts: CardFacts) -> str:
    """Return the picture of the training curves, if it could be drawn."""
    if not (facts.folder / PICTURE).is_file():
        return ""
    return f"\n\n![Loss, learning rate and scores over the optimizer steps]({PICTURE})"


def _setting(value: Any) -> str:
    """Return a setting of a recipe: a call as Python code, a criterion as a weighted sum, a list with commas."""
    if isinstance(value, Mapping):
        if "use" in value:
            return _call(value)
        if all(isinstance(term, Mapping) and "loss" in term for term in value.values()):
            return " + ".join(_term(term) for term in value.values())
        return ", ".join(f"{key}: {_setting(item)}" for key, item in value.items())
    return ", ".join(map(_setting, value)) or "none" if isinstance(value, list) else str(value)


def _term(term: Mapping[str, Any]) -> str:
    weight = f"{term['weight']:g} * " if "weight" in term else ""
    return f"{weight}{_call(term['loss'])}"


def _call(call: Any) -> str:
    """Return a call of a recipe as Python code."""
    if not isinstance(call, Mapping):
        return str(call)
    arguments = ", ".join(f"{name}={_argument(value)}" for name, value in call.items() if name != "use")
    return f"{call['use']}({arguments})" if arguments else str(call["use"])


def _argument(value: Any) -> str:
    if isinstance(value, Mapping) and "use" in value:
        return _call(value)
    return f"[{', '.join(map(_argument, value))}]" if isinstance(value, list) else repr(value)


def _reproduction(facts: CardFacts) -> str:
    record, numerics = facts.record, facts.record.identity.numerics
    options = ["--seed", str(record.identity.seed)]
    options += ["--precision", numerics["precision"]] if numerics["precision"] != "fp32" else []
    options += ["--strict"] if "strict" in numerics else []
    options += ["--micro-batch", str(numerics["micro_batch"])] if "micro_batch" in numerics else []
    options += [word for name in facts.needed.data for word in ("--data", f"{name}=DIR")]
    packages = code_packages(record.identity.sources["files"])
    options += [word for package in packages for word in ("--trust", package)]
    command = shlex.join(["zoo", "train", facts.recipe_argument, *options])
    return "\n\n".join(
        [
            f"In a folder with the files of this repository:\n\n```sh\n{command}\n```",
            *_preparation(facts, packages),
            "On the same device, with the same packages and number of threads, the weights are equal bit for bit. The"
            f" key of the run is `{record.identity.key}`.",
        ]
    )


def _preparation(facts: CardFacts, packages: Iterable[str]) -> Iterator[str]:
    """Yield what the command that reproduces the run needs besides the files of the repository."""
    files = [f"- `{in_code(path)}`{note and f' ({note})'}" for path, note in facts.needed.missing.items()]
    files += [f"- the code of the Python package `{in_code(name)}`, unless it is installed" for name in packages]
    if files:
        listed = "\n".join(files)
        yield f"{MISSING}\n\n{listed}"
    if facts.needed.data:
        yield "`DIR` is the folder of the data set."


def _license(facts: CardFacts, known: str | list[str] | None) -> str:
    """Return what to do before the model is published if the license of the base model is not known."""
    if known or not facts.bases:
        return ""
    listed = ", ".join(f"`{in_code(base)}`" for base in facts.bases)
    return (
        f"The license of {listed}, which the training started from, is not known here. Look it up, and add `license:`"
        " to the metadata at the top of this file before you publish the model."
    )


def _environment(facts: CardFacts) -> str:
    environment, cost = facts.record.environment, facts.record.cost
    packages = {name: environment["packages"].get(name) for name in SHOWN_PACKAGES}
    rows = [
        ["device", environment["device"]],
        ["threads", environment["threads"]],
        ["training and evaluation", f"{cost['seconds']:,.0f} s"],
        ["peak memory", _memory(cost["peak_memory_bytes"], cost.get("device_peak_memory_bytes"))],
        ["Python", environment["python"]],
        *([name, version] for name, version in packages.items() if version),
    ]
    return _table(["", ""], rows)


def _memory(host: float, device: float | None) -> str:
    """Return the peak memory of a process, and on a CUDA device that of the device too."""
    on_device = "" if device is None else f", and {device / 2**20:,.0f} MiB of the device"
    return f"{host / 2**20:,.0f} MiB{on_device}"


def _table(headers: list[str], rows: Iterable[Iterable[Any]]) -> str:
    cells = [[markdown(cell) for cell in row] for row in rows]
    return tabulate(cells, headers=headers, tablefmt="github", disable_numparse=True)
