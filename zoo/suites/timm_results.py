"""Make recipes from timm's tables of results: CSV files with a row for each model and size of its inputs."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import UsageError
from zoo.suites.generated import GeneratedEntry, GeneratedSuite, Unsupported, recipe_text

REPOSITORY = "huggingface/pytorch-image-models"
COMMIT = "90cae8c5ab83d2d7e23b1fb2bab1559bfdcbc7e9"
"""The commit of timm's repository whose tables are read."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos", "box", "hamming")
NEEDED = ("model", "img_size", "top1", "top5", "param_count", "crop_pct", "interpolation")
METRICS = {"top1": "accuracy", "top5": "top5_accuracy"}
DECIMALS, MOST_DECIMALS = 5, 12
"""The decimals of a share: the tables have per cents with three decimals. More than twelve are rounding errors."""
TWICE_ROUNDED = 5.5e-6
"""The largest error of a share in a table: values were rounded to four decimals, then to three."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of results, and the images behind it.

    Attributes:
        file: The name of the file.
        n: The number of images.
        data: The source of the folder of images.
        val: The split, and the folder of it.
        classes: The classes in the recipe: their number, or the names of the folders in the order of the outputs.
    """

    file: str
    n: int
    data: str
    val: str = "val"
    classes: int | tuple[int, ...] = 1000

    @property
    def url(self) -> str:
        """The file at the pinned commit."""
        return f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}/results/{self.file}"


TABLES: Mapping[str, Table] = {
    "timm": Table(file="results-imagenet.csv", n=50_000, data="data:ilsvrc2012"),
    "timm-imagenetv2": Table(
        file="results-imagenetv2-matched-frequency.csv", n=10_000, data="data:imagenetv2",
        val="imagenetv2-matched-frequency-format-val", classes=tuple(range(1000)),
    ),
    "timm-sketch": Table(file="results-sketch.csv", n=50_889, data="data:imagenet-sketch", val="sketch"),
}  # fmt: skip
"""Suite -> its table."""
NO_TASK = "its scores choose among 200 of the 1,000 classes, which no task of zoo does"
UNSUPPORTED_TABLES: Mapping[str, str] = {
    "results-imagenet-real.csv": "an image may have several right labels, which no task of zoo reads",
    "results-imagenet-a.csv": NO_TASK,
    "results-imagenet-a-clean.csv": NO_TASK,
    "results-imagenet-r.csv": NO_TASK,
    "results-imagenet-r-clean.csv": NO_TASK,
}
"""The other tables of timm, and why they are no suites."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table."""

    line: int
    model: str
    img_size: int
    shares: Mapping[str, float]
    """The accuracies as fractions, by metric."""
    decimals: Mapping[str, int]
    """The printed decimals of these fractions, at least `DECIMALS`."""
    params: float
    """Million parameters."""
    crop_pct: float
    interpolation: str


class UnusableRowError(ValueError):
    """A row of a table cannot become an entry."""


def timm_suite(suite: str, content: bytes, where: str) -> GeneratedSuite:
    """Return the entries of a table's rows, and the rows that cannot be read.

    Args:
        suite: A key of `TABLES`.
        content: The content of the table's file.
        where: The file or URL, for messages and for readers.

    Raises:
        UsageError: The file is not such a table.
    """
    table, rows, unsupported = TABLES[suite], list[Row](), list[Unsupported]()
    for line, values in _lines(content, where):
        try:
            rows.append(_row(line, values))
        except UnusableRowError as error:
            name = f"{suite}-{values.get('model') or '?'}"
            unsupported.append(Unsupported(name=name, reason=f"{where}:{line}: {error}"))
    entries = []
    for name, row in _named(suite, rows):
        try:
            entries.append(_entry(name, row, table, where))
        except UnusableRowError as error:
            unsupported.append(Unsupported(name=name, reason=f"{where}:{row.line}: {error}"))
    unsupported += [Unsupported(name=file, reason=why) for file, why in UNSUPPORTED_TABLES.items() if suite == "timm"]
    return GeneratedSuite(origin=f"timm's table {where}", entries=entries, unsupported=unsupported)


def _lines(content: bytes, where: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV with the numbers of their lines."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        if missing := [name for name in NEEDED if name not in (reader.fieldnames or ())]:
            raise UsageError(f"{where}:1: not a table of timm's results: there is no column {missing[0]!r}")
        for values in reader:
            yield reader.line_num, values
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{where}: not a table of timm's results: {error}") from None


def _row(line: int, values: Mapping[str, str | None]) -> Row:
    model = values["model"] or ""
    if not NAME.fullmatch(model):
        raise UnusableRowError(f"{model!r} is not the name of a model")
    if (interpolation := values["interpolation"]) not in INTERPOLATIONS:
        raise UnusableRowError(f"interpolation {interpolation!r} is unknown; expected {', '.join(INTERPOLATIONS)}")
    size = _number(values, "img_size")
    if size != int(size):
        raise UnusableRowError(f"img_size {values['img_size']!r} is not a whole number")
    return Row(
        line=line, model=model, img_size=int(size), params=_number(values, "param_count"),
        crop_pct=_number(values, "crop_pct"), interpolation=interpolation,
        shares={metric: _number(values, column, most=100) / 100 for column, metric in METRICS.items()},
        decimals={metric: _decimals(values[column] or "") for column, metric in METRICS.items()},
    )  # fmt: skip


def _number(values: Mapping[str, str | None], column: str, most: float = 1e6) -> float:
    """Return a number, which may have commas between thousands."""
    text = values[column]
    try:
        number = float((text or "").replace(",", ""))
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise UnusableRowError(f"{column} {text!r} is not a number above 0 and at most {most:g}")
    return number


def _decimals(per_cent: str) -> int:
    return min(MOST_DECIMALS, max(DECIMALS, len(per_cent.strip().partition(".")[2]) + 2))


def _named(suite: str, rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Yield each row with a unique name: model and size and, if a model has two rows of a size, its crop."""
    plain = [f"{suite}-{row.model}-{row.img_size}" for row in rows]
    times = Counter(plain)
    names = [
        name if times[name] == 1 else f"{name}-crop{row.crop_pct:g}" for name, row in zip(plain, rows, strict=True)
    ]
    seen = Counter[str]()
    for name, row in zip(names, rows, strict=True):
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-row{seen[name]}", row


def _entry(name: str, row: Row, table: Table, where: str) -> GeneratedEntry:
    repository = f"hub:timm/{row.model}"
    recipe = {
        "name": name,
        "task": {
            "use": "image_folder",
            "data": table.data,
            "preprocessing": {
                "use": "published",
                "of": repository,
                "size": row.img_size,
                "crop_pct": row.crop_pct,
                "interpolation": row.interpolation,
            },
            "classes": table.classes if isinstance(table.classes, int) else list(table.classes),
            "val": table.val,
        },
        "model": {"use": "timm.create_model", "model_name": row.model, "pretrained": False},
        "weights": repository,
    }
    claims = [_claim(metric, row, table) for metric in row.shares]
    megabytes = 4 * row.params
    comments = [
        f"timm's {row.model} at {row.img_size} pixels: {row.params:g} million parameters, about {megabytes:,.0f} MB.",
        f"Made from {where}, line {row.line}.",
        "mean, std and the mode of the crop are in config.json beside the weights, not in the table.",
    ]
    facts = {
        "model": row.model, "params": row.params, "img_size": row.img_size, "crop_pct": row.crop_pct,
        "interpolation": row.interpolation, "quantized": False, "accuracy": claims[0]["value"], "claims": len(claims),
        "megabytes": round(megabytes, 1),
    }  # fmt: skip
    return GeneratedEntry(name=name, recipe=recipe_text(comments, recipe, claims), facts=facts)


def _claim(metric: str, row: Row, table: Table) -> dict[str, Any]:
    """Return a claim whose value fits one count only: that of the table or, if it was rounded twice, of the count."""
    share, decimals = row.shares[metric], row.decimals[metric]
    count = round(share * table.n)
    error, rounding = abs(count / table.n - share), 10.0**-decimals / 2
    if error > (TWICE_ROUNDED if decimals == DECIMALS else rounding):
        raise UnusableRowError(f"{100 * share:.{decimals - 2}f} % is no share of {table.n:,} images")
    is_rounded_once = error <= rounding
    value = round(share if is_rounded_once else count / table.n, decimals)
    note = "" if is_rounded_once else f", which {table.file} rounds twice, to {100 * share:.3f}"
    return {
        "of": "weights", "split": table.val, "metric": metric, "value": value, "decimals": decimals, "n": table.n,
        "source": f"timm, {table.file}, {row.model}: {count:,} of {table.n:,}{note}",
    }  # fmt: skip
