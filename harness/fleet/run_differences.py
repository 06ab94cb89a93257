"""What differs between recorded runs: their scores, the environments they were made in, and their conditions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.records.record import Record

Facts = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that differs between runs.

    Attributes:
        name: What differs, such as `accuracy on 'test'` or `packages.torch`.
        values: Its value in each run, in their order; None for a run that has none.
    """

    name: str
    values: tuple[Any, ...]


def scores_of(record: Record) -> Facts:
    """Return the scores of a run by name, and the numbers of scored examples. Runs with equal facts are copies."""
    facts = dict[str, Any]()
    for result in record.results:
        where = f"'{result.split}', {result.selection} epoch"
        facts[f"examples of {where}"] = result.n
        facts |= {f"{name} on {where}": score["value"] for name, score in result.metrics.items()}
    return facts


def environment_of(record: Record) -> Facts:
    """Return the environment of a run by dotted name, such as `threads` and `packages.torch`."""
    return dict(_flat(record.environment))


def conditions_of(record: Record) -> Facts:
    """Return by name what the key of a run depends on besides its entry, recipe and seed."""
    identity = record.identity
    return {
        **dict(_flat(identity.numerics)),
        **{f"code of {metric}": digest for metric, digest in identity.metric_code.items()},
        **{
            f"data of '{split}', {key}": value
            for split, data in identity.sources["data"].items()
            for key, value in _flat(data)
        },
        **{
            f"file {source}, {key}".removesuffix(", "): value
            for source, files in identity.sources["files"].items()
            for key, value in _flat(files)
        },
    }


def differences(records: Sequence[Record], facts_of: Callable[[Record], Facts]) -> tuple[Difference, ...]:
    """Return the facts that differ between runs.

    Args:
        records: The runs.
        facts_of: `scores_of`, `environment_of` or `conditions_of`.
    """
    facts = [facts_of(record) for record in records]
    names = dict.fromkeys(name for each in facts for name in each)
    found = (Difference(name=name, values=tuple(each.get(name) for each in facts)) for name in names)
    return tuple(each for each in found if any(value != each.values[0] for value in each.values))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings by dotted name."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, part in value.items():
        yield from _flat(part, f"{name}.{key}" if name else str(key))
