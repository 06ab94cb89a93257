"""The sources that a file in YAML or JSON names: a recipe, a lock or a record."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from zoo.fetch.source_types import HTTP

REPOSITORY = re.compile(r"hub:(?:datasets/)?[\w.-]+/[\w.-]+")
"""A repository of the Hub, without its revision."""
SEPARATORS = re.compile(r"[\s\"'{}\[\]]+")
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""The fast loader where PyYAML was built with it."""


def named_sources(text: str) -> tuple[set[str], str]:
    """Return the sources that a file names, those of the Hub without revisions, and why it cannot be read.

    All keys and values are read. Of a file that is neither YAML nor JSON, every word counts: a source too many only
    keeps a file in the cache.

    Args:
        text: The content of the file.
    """
    try:
        scalars, problem = _scalars(text), ""
    except (yaml.YAMLError, RecursionError) as error:
        words = [word for word in SEPARATORS.split(text) if word]
        scalars = [*words, *(part for word in words for part in word.split(","))]
        problem = f"neither JSON nor YAML: {' '.join(str(error).split())}"
    return {source for scalar in scalars for source in _sources(scalar)}, problem


def _scalars(text: str) -> list[str]:
    """Return the keys and values of a file. Aliases are not followed, so a small file cannot grow."""
    try:
        return [*_texts(json.loads(text))]
    except ValueError:
        events = yaml.parse(text, Loader=LOADER)
        return [event.value for event in events if isinstance(event, yaml.ScalarEvent)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in [*value, *(value.values() if isinstance(value, dict) else ())]:
            yield from _texts(each)


def _sources(scalar: str) -> Iterator[str]:
    """Yield the sources in one value: it is a URL as a whole, or has sources among its words."""
    yield from REPOSITORY.findall(scalar)
    yield from (text for text in (scalar.strip(), *scalar.split()) if text.startswith(HTTP))
