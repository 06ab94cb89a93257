"""The Hub's names for what a recipe names. Never imports torch."""

import re
from collections.abc import Iterator
from typing import Any

from zoo.fetch.source_types import HubRepo, parse_or_none
from zoo.recipes.reader import texts

HUB_METRICS = {"pearson": "pearsonr", "spearman": "spearmanr", "f1_micro": "f1"}
"""Metrics that have another name on the Hub."""
OTHER = "other"
"""The Hub's type of a task that it has no name for."""
LONGEST_TYPE = 96
"""The most characters of the type of a data set, which looks like the name of a repository."""


def hub_repos(data: Any, kind: str) -> Iterator[tuple[str, HubRepo]]:
    """Yield the repositories of one kind that a part of a recipe names, each once, with their sources."""
    for text in dict.fromkeys(texts(data)):
        repo = parse_or_none(text)
        if isinstance(repo, HubRepo) and repo.kind == kind:
            yield text, repo


def data_set_slug(name: str) -> str:
    """Return the type of a data set that is not on the Hub: its name with the characters of a repository's name."""
    slug = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")
    return slug[:LONGEST_TYPE] or OTHER
