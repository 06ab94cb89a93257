"""Read files with a word and its tags on each line, as the CoNLL shared tasks publish them."""

from pathlib import Path

from zoo.errors import SourceError
from zoo.files import undecodable_byte
from zoo.tasks.tables import Table

ENDINGS = (".conll", ".bio", ".iob", ".iob2", ".txt")
DOCUMENT = "-DOCSTART-"
"""Begins the line between two documents, which is no sentence."""
WORDS, TAGS = "tokens", "ner_tags"


def read_columns(path: Path) -> Table:
    """Return the sentences of a file as rows.

    A line has the fields of one word: separated by tabs, if it has one, else by white space. A blank line ends a
    sentence. The columns are called by their position, 0, 1 and so on; the first is also called `tokens`, and the last
    one `ner_tags`. Each value is the list of the fields of a sentence.

    Raises:
        SourceError: The file is missing, is not in UTF-8, or a line has another number of fields.
    """
    if not path.is_file():
        raise SourceError(f"{path.absolute()}: no such file")
    sentences = _sentences(path)
    if not sentences:
        raise SourceError(f"{path}: the file has no word")
    count = len(sentences[0][0])
    columns = {str(column): [[word[column] for word in each] for each in sentences] for column in range(count)}
    return Table({**columns, WORDS: columns["0"], TAGS: columns[str(count - 1)]})


def _sentences(path: Path) -> list[list[list[str]]]:
    """Return the fields of each word of each sentence."""
    found: list[list[list[str]]] = [[]]
    expected = 0
    for number, line in enumerate(_lines(path), 1):
        fields = line.split("\t") if "\t" in line.strip() else line.split()
        if not line.strip() or fields[0] == DOCUMENT:
            found.append([])
            continue
        expected = expected or len(fields)
        if len(fields) < 2 or len(fields) != expected:
            wanted = f"the lines before have {expected}" if expected > 1 else "a word and its tag are needed"
            raise SourceError(f"{path}: line {number}: {len(fields)} fields, but {wanted}")
        found[-1].append([field.strip() for field in fields])
    return [sentence for sentence in found if sentence]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line, _ = undecodable_byte(error)
        raise SourceError(f"{path}: line {line}: the file is not in UTF-8; save it in UTF-8") from None
