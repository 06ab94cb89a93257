"""The command that writes a first recipe for the user's own data: init."""

import itertools
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo.cli import render
from zoo.cli.command_function import Without, command
from zoo.cli.options import OUTPUT, WHAT, Json, option
from zoo.cli.progress import session_of
from zoo.cli.questions import answer
from zoo.errors import SourceError, UsageError
from zoo.files import write_atomically
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.options import SourceOptions
from zoo.safe_text import one_line

if TYPE_CHECKING:
    from zoo.api.session import Session
    from zoo.first_recipe.found import FoundData
    from zoo.first_recipe.write import FirstRecipe
    from zoo.first_recipe.write import Purpose as ToWrite
    from zoo.recipes.build import Builder


class Purpose(StrEnum):
    """What a first recipe is for."""

    TRAIN = "train"
    VERIFY = "verify"


DATA_QUESTION = "1/3 Your data: a CSV, TSV, JSONL or Parquet file, a folder, or OWNER/NAME of the Hub"
MODEL_QUESTION = "2/3 Model: OWNER/NAME of the Hub, a folder, or a model of zoo or torchvision"
FOR_QUESTION = "3/3 Do you want to train it, or to verify a published score? (train, verify)"

SCORE_QUESTION = "    The published score, such as 0.93"


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """The recipe for data that were looked at, made from one answer after the other."""

    found: "FoundData"
    out: Path
    builder: "Builder"
    score: float | None
    source: str | None

    def with_model(self, name: str, purpose: Purpose | None) -> "tuple[str, FirstRecipe]":
        """Return the name of a model and the recipe to train it. Raise UsageError if it does not fit the data."""
        if purpose is Purpose.VERIFY:
            self._check_published(name)
        return name, self._recipe(name, "train")

    def purpose(self, name: str, word: str) -> Purpose:
        """Return the purpose that a word names. Raise UsageError if there is none, or not for this model."""
        if word.lower() not in list(Purpose):
            raise UsageError(f"{word!r} is neither train nor verify")
        chosen = Purpose(word.lower())
        _check_claim(chosen, self.score, self.source)
        if chosen is Purpose.VERIFY:
            self._check_published(name)
        return chosen

    def with_score(self, name: str, text: str) -> "FirstRecipe":
        """Return the recipe to verify a published score. Raise UsageError if the text is no score."""
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise UsageError(f"--score {text}: not a number; write a score such as 0.93")
        if not -1 <= score <= 1:
            hint = f"; write {score:g} % as {score / 100:g}" if 1 < score <= 100 else ""
            raise UsageError(f"--score {text}: accuracies and correlations are at most 1{hint}")
        return self._recipe(name, "verify", score)

    def _recipe(self, name: str, purpose: "ToWrite", score: float | None = None) -> "FirstRecipe":
        from zoo.first_recipe.check import checked
        from zoo.first_recipe.write import first_recipe

        recipe = first_recipe(self.found, self.out, name, purpose, score=score, source=self.source)
        return checked(recipe, name, self.builder)

    def _check_published(self, name: str) -> None:
        from zoo.first_recipe.write import published_model

        if published_model(name, self.out.parent) is None:
            raise UsageError(
                f"{name} has no published score; to verify one, name a model of the Hub, or a folder with one"
            )


@command
def init(
    sources: Annotated[SourceOptions, Without(("data", "trust"))],
    dataset: Annotated[
        str | None,
        option(
            "--data",
            "The data: a CSV, TSV, JSONL or Parquet file, a folder of such files or of images, or OWNER/NAME of a data"
            " set on the Hub. Default: ask.",
            WHAT,
            "DATA",
        ),
    ] = None,
    model: Annotated[
        str | None,
        option(
            "--model",
            "OWNER/NAME of a model on the Hub, a folder with one, or a model of zoo or torchvision, such as resnet18."
            " Default: ask.",
            WHAT,
            "MODEL",
        ),
    ] = None,
    purpose: Annotated[
        Purpose | None, option("--for", "Train, or verify a published score. Default: ask.", WHAT, "PURPOSE")
    ] = None,
    text: Annotated[
        list[str] | None,
        option("--text", "The column with the text; twice for pairs. Default: guessed from the data.", WHAT, "COLUMN"),
    ] = None,
    label: Annotated[
        str | None, option("--label", "The column with the label. Default: guessed from the data.", WHAT, "COLUMN")
    ] = None,
    encoding: Annotated[
        str | None, option("--encoding", "The encoding of CSV, TSV and JSON. Default: UTF-8.", WHAT, "NAME")
    ] = None,
    score: Annotated[
        float | None,
        option("--score", "With --for verify, the published score, such as 0.93. Default: ask.", WHAT, "VALUE"),
    ] = None,
    source: Annotated[
        str | None,
        option("--source", "With --for verify, where the score is published. Default: not stated.", WHAT, "TEXT"),
    ] = None,
    out: Annotated[
        Path, option("--out", "Write the recipe to this new file. Default: mine.yaml.", OUTPUT, "FILE")
    ] = Path("mine.yaml"),
    as_json: Json = False,
) -> None:
    """Write a first recipe for your own data, after three questions, or from options.

    Looks at the data, guesses the columns, the classes and the splits, and says what to run next.

    Example: zoo init --data reviews.csv --model bert_classifier --for train
    """
    from zoo.first_recipe.check import check_out
    from zoo.first_recipe.look import look_at

    check_out(out, model)
    _check_claim(purpose, score, source)
    session = session_of(sources)
    look = partial(
        look_at, folder=out.absolute().parent, fetch=lambda name: session.fetcher().fetch(name, "data"),
        text=text or [], label=label, encoding=encoding,
    )  # fmt: skip
    found = answer(dataset, DATA_QUESTION, "--data", look)
    draft = _Draft(found=found, out=out, builder=_builder(session, out), score=score, source=source)
    default = "bert_classifier" if found.is_text else "cifar_resnet"
    question = f"    found {found.summary}\n{MODEL_QUESTION} [{default}]"
    name, recipe = answer(model, question, "--model", partial(draft.with_model, purpose=purpose), default)
    chosen = purpose or answer(None, f"{FOR_QUESTION} [train]", "--for", partial(draft.purpose, name), "train")
    if chosen is Purpose.VERIFY:
        value = None if score is None else str(score)
        recipe = answer(value, SCORE_QUESTION, "--score", partial(draft.with_score, name))
    _write(recipe, out)
    name = f"{shlex.quote(str(out))}{_options(sources)}"
    run = f"zoo verify {name}" if chosen is Purpose.VERIFY else f"zoo train {name} --out {shlex.quote(str(_free(out)))}"
    commands = [f"zoo check {name}", run]
    files = [str(path) for path in (out, *recipe.files)]
    lines = [one_line(f"wrote {file}") for file in files]
    lines += [f"found {found.summary}", "next:", *(f"  {one_line(each)}" for each in commands)]
    data = {"recipe": str(out), "files": files, "rows": dict(found.rows), "classes": list(found.classes)}
    render.emit({**data, "next_steps": commands}, "\n".join(lines), as_json=as_json)


def _options(sources: SourceOptions) -> str:
    """Return the options of sources for the next commands, with a space before each."""
    paths = {"--lock": sources.lock, "--mirror": sources.mirror, "--cache": sources.cache}
    return "".join(f" {option} {shlex.quote(str(path))}" for option, path in paths.items() if path is not None)


def _free(out: Path) -> Path:
    """Return a folder that does not exist, named after the recipe."""
    more = (out.with_name(f"{out.stem}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([out.with_suffix("")], more) if not path.exists())


def _check_claim(purpose: Purpose | None, score: float | None, source: str | None) -> None:
    """Raise UsageError for options of a published score if the recipe is to train."""
    options = {"--score": score, "--source": source}
    unused = [option for option, value in options.items() if value is not None]
    if purpose is Purpose.TRAIN and unused:
        raise UsageError(
            f"{' and '.join(unused)}: a recipe to train has no published score; write --for verify, or leave it out"
        )


def _builder(session: "Session", out: Path) -> "Builder":
    """Return what builds the recipe of a file that does not exist yet."""
    return session.builder([Entry(out.stem, LOCAL, out)]).at(None, out.absolute().parent)


def _write(recipe: "FirstRecipe", out: Path) -> None:
    """Write the recipe and its files. Nothing stays if one of them cannot be written."""
    from zoo.first_recipe.check import check_absent

    texts = {**recipe.files, out: recipe.text}
    for path in recipe.files:
        check_absent(path)
    try:
        _write_texts(texts)
    except BaseException:
        for path in texts:
            path.unlink(missing_ok=True)
        raise


def _write_texts(texts: Mapping[Path, str]) -> None:
    for path, content in texts.items():
        try:
            write_atomically(path, content)
        except OSError as error:
            raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None
