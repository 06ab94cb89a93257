"""The methods' page: what each adds to a plain student, and its paper, equation and layers. Never imports torch."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from harness.judging.judge_runs import RecordedRun
from harness.records.record import read_all
from leaderboard import page, table
from leaderboard.losses import LossDescription, describe_inputs, read_losses
from zoo.recipes.catalogue import Entry, entries
from zoo.recipes.reader import Call
from zoo.recipes.schema import Claim, Recipe, Stage

SUITE, PLAIN = page.METHODS, "starter"
LABELS = ("CrossEntropy", "BinaryCrossEntropy", "MSE")
CONFIGS, CODE = "../configs", "../harness/losses"
NO_BREAK = "\u00a0"
INTRODUCTION = f"# Methods\n\n{page.BEGIN}\n{page.END}\n"
READING = """The methods of [configs/methods](../configs/methods), ranked by what they add to the plain student of their
family: the mean difference of reference runs of the same seed, in points (hundredths of the metric), with the 95 %
interval of Student's t over the seeds. The plain student is the same model trained on the labels alone, as the head of
a family says. Values are mean ± standard deviation of single runs.

Where a method has fewer epochs than the plain student it is compared at less training than that. Settings are those of
the papers where they fit, and not tuned; the weights of FSP, PKT and SPKD were lowered once, after a first run that
diverged or fell far behind.

The data are small and the seeds few: an interval that holds zero says nothing, and a rank is not a finding. Of many
comparisons about one interval in twenty excludes zero by chance, and all of a family lean on the same plain runs.
{counted}To run one again, X being its name:

```sh
zoo train configs/methods/X.yaml
zoo reproduce X --train --seeds 5 --first-seed 1000
```"""
REFERENCE = """## Papers, equations and layers

What makes each recipe its method, beside the labels, and the layers that it reads. Paper and equation are the loss's,
from its class, which says what the letters stand for (`s` is the student, `t` the teacher, `B` the batch); a loss
without a paper is a building block."""


def render(evidence: Path) -> str:
    """The generated block as Markdown."""
    records, found = read_all(evidence), rows(evidence)
    parts = [READING.format(counted=_counted(found))]
    for student, family in groupby(found, lambda row: row["student"]):
        parts += [f"## {student or 'other students'}", *_plain(student, records), page.markdown(_ranking([*family]))]
    parts += [REFERENCE, page.markdown(_reference(found))] if found else []
    claims = table.rows(evidence, SUITE)
    return "\n\n".join([*parts, *([page.claims(claims, SUITE, "Claims")] if len(claims) else [])])


def rows(evidence: Path) -> list[dict[str, Any]]:
    """One row for each method, by family and then by what it adds to the plain student; what was not run comes last."""
    records, known, losses = read_all(evidence), entries(), read_losses()
    found = [_row(entry, known, losses, records) for entry in known if entry.suite == SUITE]
    return sorted(
        found, key=lambda row: (row["student"] or "~", row["gain"] is None, -(row["gain"] or 0), not row["n"])
    )


def about(text: str) -> str:
    """The first sentence of a recipe: its leading comment, up to a line that ends in a full stop."""
    said = ""
    for line in text.splitlines():
        if not line.startswith("#") or said.endswith("."):
            break
        said += f" {line.lstrip('#').strip()}"
    return said.strip()


def plain_student(entry: Entry, known: list[Entry]) -> Entry | None:
    """The starter suite's entry that trains the same model on the same task without a teacher."""
    alone = [one for one in known if one.suite == PLAIN and not any(s.all_teachers for s in one.recipe.stages)]
    return next((one for one in alone if _student(one.recipe) == _student(entry.recipe)), None)


def own_losses(recipe: Recipe) -> list[Call]:
    """The losses that make the method: all but those of the labels, and but KD where there is another."""
    calls = [term.loss for stage in recipe.stages for term in stage.criterion.values()]
    left_out: tuple[Collection[str], ...] = ((*LABELS, "KD"), LABELS, ())
    return next((found for names in left_out if (found := [call for call in calls if call.use not in names])), [])


def _row(
    entry: Entry, known: list[Entry], losses: Mapping[str, LossDescription], records: list[RecordedRun]
) -> dict[str, Any]:
    plain = plain_student(entry, known)
    calls = [call for call in own_losses(entry.recipe) if call.use in losses]
    claim = table.measured_by(entry, plain or entry)
    mean, sd, runs = _summary(entry, claim, records)
    gain = (table.gain(entry, plain, records) if plain else None) or {}
    return {
        "method": entry.name,
        "student": plain.name if plain else None,
        "about": about(entry.path.read_text(encoding="utf-8")),
        "epochs": [stage.epochs for stage in entry.recipe.stages],
        "losses": [{**asdict(losses[call.use]), "reads": describe_inputs(call, losses[call.use])} for call in calls],
        "metric": claim.metric if claim else None,
        "mean": mean,
        "sd": sd,
        "n": runs,
        **{name: gain.get(name) for name in ("gain", "low", "high")},
        "seeds": gain.get("n", 0),
    }


def _summary(entry: Entry, claim: Claim | None, records: list[RecordedRun]) -> tuple[float | None, float | None, int]:
    """Mean and standard deviation of an entry's reference runs, where there are any, and their number."""
    values = [*table.reference_runs(entry, claim, records).values()] if claim else []
    return fmean(values) if values else None, stdev(values) if len(values) > 1 else None, len(values)


def _student(recipe: Recipe) -> tuple[Call | None, ...]:
    return recipe.task, recipe.tokenizer, recipe.model


def _counted(found: list[dict[str, Any]]) -> str:
    """How many intervals there are, how many exclude zero, and how many would by chance."""
    compared = [row for row in found if row["gain"] is not None]
    away = sum(not row["low"] <= 0 <= row["high"] for row in compared)
    chance = f"{len(compared) / 20:.1f}"
    said = f"Of the {len(compared)} intervals here {away} exclude zero; by chance alone about {chance} would.\n"
    return said if compared else ""


def _plain(student: str | None, records: list[RecordedRun]) -> list[str]:
    """How the plain student of a family is trained, and what it scores."""
    if student is None:
        return ["No entry of the starter suite trains the student of these alone."]
    (entry,) = [one for one in entries() if one.name == student]
    training = ", then ".join(map(_training, entry.recipe.stages))
    said = f"The plain student is [{student}]({CONFIGS}/{entry.suite}/{student}.yaml), trained for {training}."
    claim = table.measured_by(entry, entry)
    mean, sd, runs = _summary(entry, claim, records)
    if claim is None or not runs:
        return [f"{said} It is not-run."]
    n = next(result.n for _, one in records if one.entry == student and (result := one.result(claim.split)))
    return [f"{said} Its {claim.metric} on {claim.split} ({n:,} examples) is {page.value(mean, sd, runs)}."]


def _training(stage: Stage) -> str:
    optimizer = stage.optimizer
    settings = ", ".join(f"{name} {value}" for name, value in optimizer.args.items())
    return f"{stage.epochs} epochs in batches of {stage.batch_size} with {optimizer.use} ({settings})"


def _ranking(family: list[dict[str, Any]]) -> list[dict[str, Any]]:
    metric = next((row["metric"] for row in family if row["metric"]), "score")
    return [
        {
            "method": f"[{row['method']}]({CONFIGS}/{SUITE}/{row['method']}.yaml)<br>{row['about']}",
            "epochs": _unbroken(" + ".join(map(str, row["epochs"]))),
            metric: _unbroken(page.value(row["mean"], row["sd"], row["n"]).partition(" (")[0]) or "not-run",
            "difference, points": "" if row["gain"] is None else page.points(row["gain"]),
            "95 % interval": "" if row["gain"] is None else _unbroken(page.span(row["low"], row["high"])),
            "runs": f"{row['n'] or ''}" + (f" ({row['seeds']} paired)" if row["seeds"] != row["n"] else ""),
        }
        for row in family
    ]


def _reference(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "method, with its loss": _joined(
                [row["method"], *(f"[{one['name']}]({CODE}/{one['file']}.py)" for one in row["losses"])]
            ),
            "paper and equation of the loss": _joined(
                one[key] for key in ("paper", "equation") for one in row["losses"]
            ),
            "reads": _joined(one["reads"] for one in row["losses"]),
        }
        for row in sorted(found, key=lambda row: str(row["method"]))
    ]


def _unbroken(text: str) -> str:
    """A cell that stays on one line."""
    return text.replace(" ", NO_BREAK)


def _joined(texts: Iterable[str]) -> str:
    """Different texts as lines of one cell."""
    return "<br>".join(dict.fromkeys(text for text in texts if text))
