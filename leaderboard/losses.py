"""Papers, equations and layers of the losses, read from their source files.

The files are parsed with `ast` and never imported, because the leaderboard must not import torch.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from zoo.recipes.values import Call

FOLDER = Path(harness.__file__).parent / "losses"


@dataclass(frozen=True, kw_only=True)
class LossDescription:
    """A loss as its source file describes it.

    Attributes:
        name: Name of the class.
        file: Name of the file, without suffix.
        paper: Authors, title, venue and equation number; empty if the loss has no paper.
        equation: The equation in backticks.
        reads_logits: Whether the loss reads logits.
    """

    name: str
    file: str
    paper: str
    equation: str
    reads_logits: bool


def read_losses() -> dict[str, LossDescription]:
    """Return the losses that a recipe can name, by name."""
    imports = [node for node in _parse("__init__").body if isinstance(node, ast.ImportFrom)]
    names = [(alias.name, str(node.module).rpartition(".")[2]) for node in imports for alias in node.names]
    return {name: _description(name, file) for name, file in names}


def paper(docstring: str) -> str:
    """Return the text of the section `Paper:` of a docstring, on one line; empty without that section."""
    section = re.search(r"^Paper:\n((?:[ \t]+.+\n?)+)", docstring, re.MULTILINE)
    return " ".join(section[1].split()).removesuffix(".") if section else ""


def equation(docstring: str) -> str:
    """Return the first paragraph of a docstring that is one text in backticks, or else the summary line."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in docstring.split("\n\n")]
    return next((text for text in paragraphs if re.fullmatch(r"`[^`]+`", text)), paragraphs[0])


def describe_inputs(call: Call, loss: LossDescription) -> str:
    """Describe what a loss reads: the layers in its arguments `student...`, `teacher...` and `of`, and the logits."""
    student, teacher = (
        [f"`{path}`" for name, value in call.args.items() if name.split("_")[0] in prefixes for path in _texts(value)]
        for prefixes in (("student", "of"), ("teacher",))
    )
    if student == teacher:
        parts = [f"{', '.join(student)} of both"] if student else []
    else:
        parts = [
            f"{whose} {', '.join(paths)}" for whose, paths in (("student's", student), ("teacher's", teacher)) if paths
        ]
    reads_logits = (loss.reads_logits and "of" not in call.args) or not parts
    return "; ".join([*parts, *(["logits"] if reads_logits else [])])


def _description(name: str, file: str) -> LossDescription:
    (node,) = [node for node in _parse(file).body if isinstance(node, ast.ClassDef) and node.name == name]
    docstring = ast.get_docstring(node) or ""
    return LossDescription(
        name=name,
        file=file,
        paper=paper(docstring),
        equation=equation(docstring),
        reads_logits=not any(re.fullmatch(r"reads_logits(:.+)? = False", ast.unparse(line)) for line in node.body),
    )


def _parse(file: str) -> ast.Module:
    return ast.parse((FOLDER / f"{file}.py").read_text(encoding="utf-8"))


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings in an argument: a string, or nested lists of strings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
