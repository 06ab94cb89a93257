"""Read parquet files, except those that are small but would fill the memory: equal values take almost no space."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zoo.errors import SourceError
from zoo.fetch.limits import max_ratio, max_values

VALUES_PER_BYTE = 20
"""The most values of a file for each of its bytes, besides ZOO_MAX_VALUES."""
FREE_BYTES = 64 * 1024 * 1024
"""The most bytes of all values, besides ZOO_MAX_RATIO times the size of the file."""


def read_table(path: Path) -> pa.Table:
    """Read a parquet file in batches. Columns of text are dictionaries, in which equal texts are stored once.

    Raises:
        SourceError: The file has too many values or bytes for its size.
    """
    with path.open("rb") as file:  # a file and not its name, in which pyarrow may see a pattern or a folder
        metadata = pq.ParquetFile(file).metadata
        _check_metadata(path, metadata)
        columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        parquet = pq.ParquetFile(file, read_dictionary=texts)
        return pa.Table.from_batches(_checked(path, parquet.iter_batches()), parquet.schema_arrow)


def _check_metadata(path: Path, metadata: Any) -> None:
    """Raise SourceError for a file whose own description has too many values, or bytes of pages."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    chunks = [(group.column(index), index) for group in groups for index in range(metadata.num_columns)]
    values = sum(chunk.num_values for chunk, _ in chunks)
    if values > max_values() + VALUES_PER_BYTE * path.stat().st_size:
        raise _too_large(path, f"{values:,} values", "ZOO_MAX_VALUES")
    # the length is that of a value of a fixed size, else 0
    sizes = ((chunk.num_values * max(0, metadata.schema.column(index).length), chunk) for chunk, index in chunks)
    _check_bytes(path, sum(max(size, chunk.total_uncompressed_size) for size, chunk in sizes))


def _checked(path: Path, batches: Iterator[Any]) -> Iterator[Any]:
    """Yield batches until their values have too many bytes, which the description of a file need not say."""
    size = 0
    for batch in batches:
        size += sum(map(_decoded_bytes, batch.columns))
        _check_bytes(path, size)
        yield batch


def _decoded_bytes(array: Any) -> int:
    """Return the bytes of all values, with equal texts counted each time."""
    if pa.types.is_dictionary(array.type) and not pa.types.is_primitive(array.type.value_type):
        lengths = pc.binary_length(array.dictionary)
        return int(array.nbytes) + int(pc.sum(lengths.take(array.indices)).as_py() or 0)
    if pa.types.is_struct(array.type):
        return sum(map(_decoded_bytes, array.flatten()))
    if pa.types.is_map(array.type):
        return _decoded_bytes(array.keys) + _decoded_bytes(array.items)
    return _decoded_bytes(array.flatten()) if pa.types.is_nested(array.type) else int(array.nbytes)


def _check_bytes(path: Path, size: int) -> None:
    if size > FREE_BYTES + max_ratio() * path.stat().st_size:
        raise _too_large(path, f"values of {size:,} bytes", "ZOO_MAX_RATIO")


def _too_large(path: Path, content: str, variable: str) -> SourceError:
    size = path.stat().st_size
    problem = f"{size:,} bytes hold {content}; it is not read, as it could fill the memory"
    return SourceError(f"{path}: {problem}; {variable} raises this limit")
