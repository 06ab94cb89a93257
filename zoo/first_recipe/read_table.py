"""Read a table of a user, and say what to change in a file that another program has written."""

from collections.abc import Sequence
from pathlib import Path

from zoo.errors import SourceError, UsageError
from zoo.tasks.dialect import Dialect
from zoo.tasks.tables import ENDINGS, SEPARATORS, Table, read_file

OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def read_table(path: Path, dialect: Dialect) -> Table:
    """Return the table of a file.

    Raises:
        UsageError: The file has no known ending, or another separator than its ending says.
        SourceError: It is empty, or in another encoding.
    """
    if path.suffix.lower() in ENDINGS and path.suffix.lower() != ".parquet":
        if not path.stat().st_size:
            raise SourceError(f"{path}: the file is empty")
        try:
            dialect.decode(path)
        except SourceError as error:
            problem = str(error).partition("; save it")[0]
            raise SourceError(f"{problem}; save it in UTF-8, or pass --encoding, such as --encoding cp1252") from None
    table = read_file(path, dialect)
    cells = table.columns if table.has_header else [value for values in table.columns.values() for value in values[:1]]
    _check_separator(path, [*cells])
    return table


def _check_separator(path: Path, columns: Sequence[str]) -> None:
    """Raise UsageError if the first line of CSV or TSV is one cell that holds the separator of another program."""
    expected = SEPARATORS.get(path.suffix.lower())
    if expected is None or len(columns) != 1:
        return
    found = next((each for each in OTHER_SEPARATORS if each in columns[0] and each != expected), None)
    if found is not None:
        raise UsageError(
            f"{path}: the columns are separated by {OTHER_SEPARATORS[found]}; save the file with"
            f" {OTHER_SEPARATORS[expected]}"
        )
