"""The aims on a card of the class of an H100, and what the record says of them."""

from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

import pandas as pd

from benchmarks.gpu.contests import BOX, GRAPHS, LOOP, PEAK, SORTED, STRICT, TRAIN, TRAINER, ZOO

NOT_RUN = "not run"
Record = Mapping[str, Any]
Found = Iterator[Mapping[str, Any]]


def rows_of(record: Record, part: str, contender: str = "", start: str = "") -> Found:
    """Yield the measured rows of a part, of one contender, at the points whose names begin with `start`."""
    for row in record.get("parts", {}).get(part, {}).get("rows", ()):
        is_wanted = row.get("contender", "") == contender and row.get("point", "").startswith(start)
        if is_wanted and "seconds" in row:
            yield row


def _teraflops(model: str, precision: str) -> Callable[[Record], str | None]:
    def value(record: Record) -> str | None:
        of_zoo = next(rows_of(record, "bert", ZOO, f"{model} {precision}"), None)
        if of_zoo is None:
            return None
        rate = of_zoo["useful_flops"] / median(of_zoo["seconds"]) / 1e12
        peak = next(rows_of(record, "bert", PEAK, f"{model} {precision}"), None)
        share = f" ({rate * 1e12 / median(peak['flops_per_second']):.0%} of the products')" if peak else ""
        return f"{rate:.3g}{share}"

    return value


def _lowest_ratio(
    part: str, contenders: tuple[str, ...], precisions: tuple[str, ...] = ("",), name: str = "ratio"
) -> Callable[[Record], str | None]:
    """Return a function that finds the lowest ratio to zoo of some contenders in some precisions."""

    def value(record: Record) -> str | None:
        rows = [row for contender in contenders for row in rows_of(record, part, contender)]
        ratios = [row[name] for row in rows if name in row and any(f" {p}" in row["point"] for p in precisions)]
        return f"{min(ratios):.2f}" if ratios else None

    return value


def _strict_cost(record: Record) -> str | None:
    ratios = [row["ratio"] for row in rows_of(record, "bert", STRICT) if "ratio" in row]
    return f"{max(ratios):.2f}" if ratios else None


def _resnet_step(contender: str) -> Callable[[Record], str | None]:
    def value(record: Record) -> str | None:
        row = next(rows_of(record, "resnet", contender), None)
        return None if row is None else f"{median(row['step_seconds']) * 1000:.2f}"

    return value


def _trained(record: Record) -> str | None:
    rows = [row for row in record.get("parts", {}).get("methods", {}).get("rows", ()) if "failed" in row]
    counts = (f"{row['finished'] - len(row['failed'])} of {row['recipes']} in {row['precision']}" for row in rows)
    return ", ".join(counts) or None


def _methods_seconds(record: Record) -> str | None:
    rows = rows_of(record, "methods")
    return next((f"{row['seconds']:.0f}" for row in rows if row["precision"] == "fp32"), None)


def _entries_seconds(record: Record) -> str | None:
    return next((f"{row['seconds']:.0f}" for row in rows_of(record, "entries") if row["precision"] == "bf16"), None)


def _tests(record: Record) -> str | None:
    part = record.get("parts", {}).get("tests", {})
    if "counts" not in part:
        return None
    return f"{len(part['failed'])}" + (" (cut off)" if part["cut_off"] else "")


AIMS: tuple[tuple[str, str, Callable[[Record], str | None]], ...] = (
    ("failed tests", "0", _tests),
    ("BERT-base in fp32, TFLOP/s useful", "30", _teraflops("base", "fp32")),
    ("BERT-base in TF32, TFLOP/s useful", "120", _teraflops("base", "tf32")),
    ("BERT-base in bf16, TFLOP/s useful", "250", _teraflops("base", "bf16")),
    ("MiniLM-L6 in fp32, TFLOP/s useful", "22", _teraflops("minilm6", "fp32")),
    ("MiniLM-L6 in bf16, TFLOP/s useful", "60", _teraflops("minilm6", "bf16")),
    (
        "lowest ratio to batches of 32, of torchdistill's loop and the Trainer",
        "5",
        _lowest_ratio("bert", (LOOP, TRAINER)),
    ),
    ("lowest ratio to the Trainer's sorted batches of 256 in fp32", "1.1", _lowest_ratio("bert", (SORTED,), ("fp32",))),
    ("lowest ratio to the Trainer's sorted batches of 256 in bf16", "1.3", _lowest_ratio("bert", (SORTED,), ("bf16",))),
    ("highest ratio of the strict mode to the default", "at most 3", _strict_cost),
    ("ms per step of ResNet-20, 128 images", "at most 2.5", _resnet_step(ZOO)),
    ("ms per step of ResNet-20 with CUDA graphs", "at most 2.5", _resnet_step(GRAPHS)),
    ("ratio of a step to torchdistill's loop with 16 workers", "5", _lowest_ratio("resnet", (BOX,), name="step_ratio")),
    ("ratio of a step to the Trainer's, fine-tuning", "2", _lowest_ratio("finetune", (TRAIN,), name="step_ratio")),
    ("methods that train", "39 of 39 in fp32, bf16, fp16", _trained),
    ("seconds for one seed of each method in fp32", "under 180", _methods_seconds),
    ("seconds for `zoo verify` over 27 entries in bf16", "under 90", _entries_seconds),
)
"""The name of each measurement, its aim (a minimum unless it says `at most`), and the function that finds the value."""


def aims_table(record: Record) -> str:
    """Return the table of the aims."""
    cells = [{"what": what, "aim": aim, "measured": value(record) or NOT_RUN} for what, aim, value in AIMS]
    return str(pd.DataFrame(cells).to_markdown(index=False, disable_numparse=True))
