"""The part that trains the recipes of configs/methods on the device."""

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu.session import ROOT, Session

PART, JOBS = "methods", 8
PRECISIONS = ("fp32", "bf16", "fp16")
SHORT, TINY = 2, ("kd", "dist")
"""The epochs of a stage in bf16 and fp16, and the recipes of `--quick`."""


def train_methods(session: Session) -> None:
    """Train one seed of each recipe: in fp32 as the recipe says, timed, in bf16 and fp16 for two epochs, untimed."""
    rows = [_train(session, "fp32", 1 if session.quick else None)]
    session.save(PART, rows=rows)
    with ThreadPoolExecutor(2) as pool:  # at the same time, because their times are no result
        short = partial(_train, session, epochs=1 if session.quick else SHORT)
        for row in pool.map(short, PRECISIONS[1:]):
            rows.append({name: value for name, value in row.items() if name != "seconds"})
            session.save(PART, rows=rows)


def _train(session: Session, precision: str, epochs: int | None) -> dict[str, Any]:
    """Train all recipes in a precision, and return which failed."""
    row: dict[str, Any] = {"precision": precision, "jobs": 2 if session.quick else JOBS, "epochs": epochs}
    if precision == "fp16" and session.device == "cpu":
        return row | {"not_run": "training in fp16 needs a CUDA device"}
    if not session.seconds_left:
        return row | {"not_run": "out of time"}
    folder = session.folder / f"methods-{precision}"
    recipes = write_recipes(folder / "recipes", epochs, TINY if session.quick else None)
    out = folder / "out.json"
    code, seconds = session.run(
        ["zoo", "verify", *recipes, "--train", "--seeds", "1", "--jobs", str(row["jobs"]), "--device", session.device,
         "--precision", precision, "--records", folder / "records", "--fail-on", "none", "--json"],
        out, ZOO_HOME=str(folder / "home"),
    )  # fmt: skip
    row |= {"recipes": len(recipes), "finished": len(list((folder / "records").glob("*/*/record.json")))}
    if code is None:
        return row | {"cut_off": seconds}
    text = out.read_text(encoding="utf-8")
    if not text.startswith("{"):
        errors = out.with_suffix(".err").read_text(encoding="utf-8").splitlines()
        return row | {"not_run": (errors or [f"zoo ended with exit code {code}"])[-1][-200:]}
    return row | {"seconds": seconds, "failed": failures(json.loads(text))}


def write_recipes(folder: Path, epochs: int | None, names: tuple[str, ...] | None) -> list[Path]:
    """Write the recipes of configs/methods, with another number of epochs in every stage unless `epochs` is None."""
    folder.mkdir(parents=True)
    for path in sorted((ROOT / "configs" / "methods").glob("*.yaml")):
        if names is None or path.stem in names:
            text = path.read_text(encoding="utf-8")
            shortened = text if epochs is None else re.sub(r"\bepochs: \d+", f"epochs: {epochs}", text)
            (folder / path.name).write_text(shortened, encoding="utf-8")
    return sorted(folder.glob("*.yaml"))


def failures(result: dict[str, Any]) -> dict[str, str]:
    """Return the reason of each entry that failed: its error, or a score that is not a number."""
    failed = {}
    for entry in result["entries"]:
        measured = [claim["measured"] for claim in entry["claims"] if claim["tested"]]
        if entry["error"]:
            failed[entry["entry"]] = str(entry["error"])
        elif not measured or any(value is None or not math.isfinite(value) for value in measured):
            failed[entry["entry"]] = "its score is not a number"
    return failed
