"""Where the checkpoints of a run that is being made lie, and its lock beside them. Never imports torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.records.record import Identity
from zoo.recipes.metric_names import metric_name

UNFINISHED = ".unfinished"
"""The folder of unfinished runs, beside the folders of the entries."""


def work_folder(runs: Path, entry: str, identity: Identity, recipe: Mapping[str, Any]) -> Path:
    """Return the folder of a run's checkpoints and log while it is made; it outlives a kill.

    Args:
        runs: The folder of all runs.
        entry: The entry's name.
        identity: The identity of the run.
        recipe: The recipe as data.
    """
    key = training_key(identity, recipe)  # other metrics resume the same training
    return runs / UNFINISHED / f"{entry}-{key[:12]}"


def entry_of_work_folder(folder: Path) -> str:
    """Return the entry in the name of a folder of `work_folder`."""
    return folder.name.rpartition("-")[0]


def training_key(identity: Identity, recipe: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that decides the weights of a training: its identity without its metrics.

    Metrics that select the best epoch belong to it.

    Args:
        identity: The identity of the run.
        recipe: The recipe as data.
    """
    names, calls = _selecting_metrics(recipe)
    code = {name: digest for name, digest in identity.metric_code.items() if name in names}
    data = {key: value for key, value in recipe.items() if key not in ("metrics", "claims")}
    content = {**asdict(identity), "digest": data, "metric_code": code, "selecting": [sorted(names), calls]}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _selecting_metrics(recipe: Mapping[str, Any]) -> tuple[set[str], list[Any]]:
    """Return the names of the metrics by which stages select their best epoch, and how the recipe calls them."""
    calls = {metric_name(call): call for call in recipe.get("metrics") or ()}
    names: set[str] = set()
    for stage in recipe.get("stages") or ():
        if stage.get("selection") == "best":
            names |= set(stage.get("selected_by") or list(calls)[:1] or ["the first metric of the task"])
    return names, [calls[name] for name in sorted(names) if name in calls]
