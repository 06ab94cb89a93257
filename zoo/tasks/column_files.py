"""Read files with a word and its tags on each line, as the CoNLL shared tasks publish them."""

import re
from pathlib import Path

from zoo.errors import SourceError
from zoo.files import undecodable_byte
from zoo.tasks.tables import Table

ENDINGS = (".conll", ".bio", ".iob", ".iob2", ".txt")
DOCUMENT = "-DOCSTART-"
"""Begins the line between two documents, which is no sentence."""
BLANKS = " \t\r\f\v"
"""The ASCII blanks, of which one or more separate fields."""
WORDS, TAGS = "tokens", "ner_tags"


def read_columns(path: Path) -> Table:
    """Return the sentences of a file as rows.

    A line has the fields of one word: separated by tabs, if it has one, else by spaces. Other white space, such as a
    no-break space, is part of a word. A blank line ends a sentence. A line before the first word of a sentence that
    begins with `# ` is a comment, unless its last field is a tag of a line that does not begin so: then `#` is a word.

    The columns are called by their position, 0, 1 and so on; the first is also called `tokens`, and the last one
    `ner_tags`. Each value is the list of the fields of a sentence.

    Raises:
        SourceError: The file is missing, is not in UTF-8, or a line has another number of fields.
    """
    if not path.is_file():
        raise SourceError(f"{path.absolute()}: no such file")
    sentences, comments = _sentences(path)
    if not sentences:
        raise SourceError(f"{path}: the file has no word")
    count = len(sentences[0][0])
    columns = {str(column): [[word[column] for word in each] for each in sentences] for column in range(count)}
    note = f"{path.name}: lines before sentences that begin with '# ' are read as comments: {comments:,}"
    return Table({**columns, WORDS: columns["0"], TAGS: columns[str(count - 1)]}, notes=(note,) if comments else ())


def _sentences(path: Path) -> tuple[list[list[list[str]]], int]:
    """Return the fields of each word of each sentence, and the number of comments."""
    found: list[list[list[str]]] = [[]]
    expected = comments = 0
    rows = [_fields(line) for line in _lines(path)]
    tags = {fields[-1] for fields, is_marked in rows if not is_marked and len(fields) > 1}
    for number, (fields, is_marked) in enumerate(rows, 1):
        if not fields or fields[0] == DOCUMENT:
            found.append([])
            continue
        if is_marked and not found[-1] and fields[-1] not in tags:
            comments += 1
            continue
        expected = expected or len(fields)
        if len(fields) < 2 or len(fields) != expected:
            wanted = f"the lines before have {expected}" if expected > 1 else "a word and its tag are needed"
            raise SourceError(f"{path}: line {number}: {len(fields)} fields, but {wanted}")
        found[-1].append(fields)
    return [sentence for sentence in found if sentence], comments


def _fields(line: str) -> tuple[list[str], bool]:
    """Return the fields of a line, none if it is blank, and whether it begins with `# `."""
    plain = line.strip(BLANKS)
    fields = plain.split("\t") if "\t" in plain else re.split(f"[{BLANKS}]+", plain)
    return [field.strip(BLANKS) for field in fields] if plain else [], plain.startswith("# ")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line, _ = undecodable_byte(error)
        raise SourceError(f"{path}: line {line}: the file is not in UTF-8; save it in UTF-8") from None
