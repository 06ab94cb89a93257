"""The command that writes a first recipe for the user's own data: init."""

import itertools
import shlex
import shutil
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from zoo.cli import render
from zoo.cli.options import OUTPUT, WHAT, Json, Without, command, option
from zoo.cli.progress import session_of
from zoo.errors import SourceError, UsageError
from zoo.files import write_atomically
from zoo.recipes.catalogue import local
from zoo.recipes.options import SourceOptions
from zoo.safe_text import one_line
from zoo.text_tables import wrapped

if TYPE_CHECKING:
    from zoo.api.session import Session
    from zoo.first_recipe.write import FirstRecipe


class Purpose(StrEnum):
    """What a first recipe is for."""

    TRAIN = "train"
    VERIFY = "verify"


DATA_QUESTION = "1/3 Your data: a CSV, TSV, JSONL or Parquet file, a folder, or OWNER/NAME of the Hub"
MODEL_QUESTION = "2/3 Model: OWNER/NAME of the Hub, a folder, or a model of zoo or torchvision"
FOR_QUESTION = "3/3 Do you want to train it, or to verify a published score? (train, verify)"

ROOM_FOR_ANSWER = 4
"""The characters that a question leaves free at the end of a line."""


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
    from zoo.first_recipe.look import look_at
    from zoo.first_recipe.write import first_recipe

    _check_new(out)
    dataset = dataset or _ask(DATA_QUESTION, "--data")
    session = session_of(sources)
    found = look_at(
        dataset, out.absolute().parent, lambda name: session.fetcher().fetch(name, "data"), text=text or [],
        label=label, encoding=encoding,
    )  # fmt: skip
    default = "bert_classifier" if found.is_text else "cifar_resnet"
    model = model or _ask(f"    found {found.summary}\n{MODEL_QUESTION} [{default}]", "--model", default)
    chosen = purpose.value if purpose else _ask(f"{FOR_QUESTION} [train]", "--for", "train")
    if chosen not in ("train", "verify"):
        raise UsageError(f"{chosen!r} is neither train nor verify")
    if chosen == "verify" and score is None:
        score = _number(_ask("    The published score, such as 0.93", "--score"))
    recipe = first_recipe(found, out, model, "verify" if chosen == "verify" else "train", score=score, source=source)
    _write(recipe, out, session)
    name = f"{shlex.quote(str(out))}{_options(sources)}"
    run = f"zoo verify {name}" if chosen == "verify" else f"zoo train {name} --out {shlex.quote(str(_free(out)))}"
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


def _check_new(out: Path) -> None:
    if out.exists():
        raise UsageError(f"--out {out}: the file exists; name a new one with --out")
    if out.suffix not in (".yaml", ".yml"):
        raise UsageError(f"--out {out}: the name of a recipe ends with .yaml")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.absolute().parent}")


def _ask(question: str, name: str, default: str = "") -> str:
    """Ask on the terminal until there is an answer. Raise UsageError if nobody can answer."""
    if not sys.stdin.isatty():
        raise UsageError(f"nobody can answer a question here; pass {name}")
    while True:
        width = shutil.get_terminal_size().columns - ROOM_FOR_ANSWER
        lines = [wrapped(line.strip(), width, " " * (len(line) - len(line.lstrip()))) for line in question.splitlines()]
        print("\n".join(lines), end=": ", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise UsageError(f"there was no answer; pass {name}")
        if answer := line.strip() or default:
            return answer


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a number; write a score such as 0.93") from None


def _write(recipe: "FirstRecipe", out: Path, session: "Session") -> None:
    """Write the recipe and its files, and check it. Nothing stays if the check finds a problem."""
    from zoo.recipes.check import check_entry

    texts = {**recipe.files, out: recipe.text}
    for path in recipe.files:
        if path.exists():
            raise UsageError(f"{path}: the file exists; move it away, or pass another --out")
    try:
        _write_texts(texts)
        entry = local(out)
        check_entry(entry, session.builder([entry]).at(entry.recipe_repo, entry.folder))
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
