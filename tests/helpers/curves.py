"""Training logs that are made, not trained."""

import json
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any


def write_log(
    folder: Path,
    *,
    steps: int = 20,
    per_epoch: int = 5,
    terms: Sequence[str] = ("ce",),
    stages: int = 1,
    metric: str = "accuracy",
    not_finite: Collection[int] = (),
    scale: float = 1.0,
) -> Path:
    """Write a `log.jsonl` into a folder, and return its path. `steps` are those of each stage."""
    lines: list[dict[str, Any]] = []
    for number in range(1, steps * stages + 1):
        in_stage = (number - 1) % steps + 1
        position = {
            "step": number,
            "stage": (number - 1) // steps + 1,
            "epoch": in_stage / per_epoch,
            "rate": 0.1 / number,
        }
        losses: dict[str, float | None] = {
            term: scale * (n + math.exp(-in_stage / steps)) for n, term in enumerate(terms)
        }
        losses["total"] = sum(value or 0 for value in losses.values())
        if number in not_finite:
            losses = dict.fromkeys(losses)
        lines.append({**position, "losses": losses, "seconds": 0.1})
        if in_stage % per_epoch == 0:
            score = 1 - 0.5 * math.exp(-in_stage / steps)
            lines.append({**position, "mean_loss": 1.0, "scores": {"test": {metric: score}}, "seconds": 0.1})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return folder / "log.jsonl"
