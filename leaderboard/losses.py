"""What the losses' files say of them: paper, equation, layers. Read with `ast`: none is imported, and so no torch."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from zoo.recipes.reader import Call

FOLDER = Path(harness.__file__).parent / "losses"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a loss's file says of it: class, the file's stem, paper, equation, and whether it reads the logits."""

    name: str
    file: str
    paper: str
    equation: str
    reads_logits: bool


def read_losses() -> dict[str, Loss]:
    """The losses that a recipe can name, by name."""
    imported = [node for node in _tree("__init__").body if isinstance(node, ast.ImportFrom)]
    names = [(alias.name, str(node.module).rpartition(".")[2]) for node in imported for alias in node.names]
    return {name: _loss(name, file) for name, file in names}


def paper(docstring: str) -> str:
    """Authors, title and venue, the last paragraph of a class's docstring; empty where it has no year."""
    said = " ".join(docstring.rpartition("\n\n")[2].split()).removesuffix(".")
    return said if re.search(r"\b(19|20)\d\d\b", said) else ""


def equation(docstring: str) -> str:
    """The backticked text that a class's docstring begins with, or its first sentence."""
    said = " ".join(docstring.split())
    found = re.match(r"`[^`]+`", said) or re.match(r".*?[.](?= [A-Z]|$)", said)
    return found[0] if found else said


def reads(call: Call, loss: Loss) -> str:
    """Which layers a loss reads: those of its arguments `student...`, `teacher...` and `of`, and the logits."""
    mine, theirs = (
        [f"`{path}`" for name, arg in call.args.items() if name.split("_")[0] in side for path in _texts(arg)]
        for side in (("student", "of"), ("teacher",))
    )
    if mine == theirs:
        parts = [f"{', '.join(mine)} of both"] if mine else []
    else:
        parts = [f"{whose} {', '.join(side)}" for whose, side in (("student's", mine), ("teacher's", theirs)) if side]
    return "; ".join([*parts, *(["logits"] if (loss.reads_logits and "of" not in call.args) or not parts else [])])


def _loss(name: str, file: str) -> Loss:
    tree = _tree(file)
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return Loss(
        name=name,
        file=file,
        paper=paper(ast.get_docstring(found) or ""),
        equation=equation(ast.get_docstring(found) or ""),
        reads_logits=not any(re.fullmatch(r"reads_logits(:.+)? = False", ast.unparse(node)) for node in found.body),
    )


def _tree(file: str) -> ast.Module:
    return ast.parse((FOLDER / f"{file}.py").read_text(encoding="utf-8"))


def _texts(arg: Any) -> Iterator[str]:
    """The texts in an argument that is one, or nested lists of them."""
    if isinstance(arg, str):
        yield arg
    elif isinstance(arg, list | tuple):
        for item in arg:
            yield from _texts(item)
