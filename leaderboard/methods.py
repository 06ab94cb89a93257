"""Generate leaderboard/methods.md: what each distillation method gains, and its paper, equation and layers.

It reads the sources of the losses without importing them, so it never imports torch.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from harness.records.find_runs import read_all
from harness.records.record import RecordedRun
from leaderboard import markdown_parts, page, table
from leaderboard.losses import LossDescription, describe_inputs, read_losses
from zoo.recipes.catalogue import Entry, entries
from zoo.recipes.claim import Claim
from zoo.recipes.schema import Recipe
from zoo.recipes.stage import Stage
from zoo.recipes.values import Call
from zoo.text_tables import counted

SUITE, PLAIN = page.METHODS, "starter"
LABELS = ("CrossEntropy", "BinaryCrossEntropy", "MSE")
CODE = "../harness/losses"
INTRODUCTION = f"# Methods\n\n{page.BEGIN}\n{page.END}\n"
READING = """\
This page ranks the distillation methods in [configs/methods](../configs/methods) by their gain over a plain student:
the same model, trained on the labels without a teacher.

- **accuracy** is the mean ± standard deviation of single runs over seeds.
- **difference** is the mean difference to the plain student over reference runs of the same seed. It is given in points
  (hundredths of the metric), with the 95 % interval of Student's t.

Read the ranks with care:

- The data sets are small and the seeds are few. An interval that contains zero shows nothing, and a rank is no finding.
- Among many comparisons, about one interval in twenty excludes zero by chance. All methods of a family are compared
  with the same runs of the plain student. {counted}
- A method with fewer epochs than the plain student is compared at less training.
- Settings follow the papers where they fit, and are not tuned. The weights of FSP, PKT and SPKD were lowered once,
  after a first run that diverged or scored far lower.

To train a method, here `kd`, and to repeat its reference runs:

```sh
zoo train configs/methods/kd.yaml
zoo reproduce kd --train --seeds 5 --first-seed 1000
```"""
REFERENCE = """## Papers, equations and layers

The losses that define each method, besides that of the labels, and the layers that they read. In the equations, `s` is
the student, `t` the teacher and `B` the batch size; the docstring of the loss explains the other symbols. A loss
without a paper is a building block."""

CLAIMS = f"""## Claims

[suites/{SUITE}.md](suites/{SUITE}.md) compares the claims of these entries with the recorded runs."""


def render(evidence: Path) -> str:
    """Return the generated block as Markdown."""
    records, ranked = read_all(evidence), rows(evidence)
    parts = [READING.format(counted=_interval_counts(ranked))]
    for student, family in groupby(ranked, lambda row: row["student"]):
        parts += [
            f"## Student {student}" if student else "## Other students",
            *_plain_student_text(student, records),
            markdown_parts.markdown_table(_ranking([*family])),
        ]
    parts += [REFERENCE, markdown_parts.markdown_table(_reference(ranked))] if ranked else []
    parts += [CLAIMS] if any(entry.suite == SUITE for entry in entries()) else []
    return "\n\n".join(parts)


def rows(evidence: Path) -> list[dict[str, Any]]:
    """Return one row per method, sorted by student and then by gain; methods without runs come last."""
    records, shipped, losses = read_all(evidence), entries(), read_losses()
    methods = [_row(entry, shipped, losses, records) for entry in shipped if entry.suite == SUITE]
    return sorted(
        methods, key=lambda row: (row["student"] or "~", row["gain"] is None, -(row["gain"] or 0), not row["n"])
    )


def recipe_summary(text: str) -> str:
    """Return the first sentence of a recipe's leading comment, up to a line that ends in a full stop."""
    summary = ""
    for line in text.splitlines():
        if not line.startswith("#") or (summary.endswith(".") and not summary.endswith(" al.")):
            break
        summary += f" {line.lstrip('#').strip()}"
    return summary.strip()


def plain_student(entry: Entry, shipped: list[Entry]) -> Entry | None:
    """Return the entry of the starter suite that trains the same model on the same task without a teacher."""
    starters = [other for other in shipped if other.suite == PLAIN]
    alone = [other for other in starters if not any(stage.all_teachers for stage in other.recipe.stages)]
    return next((other for other in alone if _student(other.recipe) == _student(entry.recipe)), None)


def method_losses(recipe: Recipe) -> list[Call]:
    """Return the losses that define a method: without those of the labels, and without KD if there is another."""
    calls = [term.loss for stage in recipe.stages for term in stage.criterion.values()]
    left_out: tuple[Collection[str], ...] = ((*LABELS, "KD"), LABELS, ())
    return next((rest for names in left_out if (rest := [call for call in calls if call.use not in names])), [])


def _row(
    entry: Entry, shipped: list[Entry], losses: Mapping[str, LossDescription], records: list[RecordedRun]
) -> dict[str, Any]:
    plain = plain_student(entry, shipped)
    calls = [call for call in method_losses(entry.recipe) if call.use in losses]
    claim = table.comparison_claim(entry, plain or entry)
    mean, sd, runs = _summary(entry, claim, records)
    gain = (table.paired_gain(entry, plain, records) if plain else None) or {}
    return {
        "method": entry.name,
        "student": plain.name if plain else None,
        "about": recipe_summary(entry.path.read_text(encoding="utf-8")),
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
    """Return mean and standard deviation of an entry's reference runs, None if undefined, and their number."""
    values = [*table.reference_runs(entry, claim, records).values()] if claim else []
    return fmean(values) if values else None, stdev(values) if len(values) > 1 else None, len(values)


def _student(recipe: Recipe) -> tuple[Call | None, ...]:
    return recipe.task, recipe.tokenizer, recipe.model


def _interval_counts(methods: list[dict[str, Any]]) -> str:
    """Return how many intervals exclude zero, and how many would by chance."""
    compared = [row for row in methods if row["gain"] is not None]
    nonzero = sum(not row["low"] <= 0 <= row["high"] for row in compared)
    chance = f"{len(compared) / 20:.1f}"
    text = f"Of the {len(compared)} intervals here, {nonzero} exclude zero; about {chance} would by chance."
    return text if compared else ""


def _plain_student_text(student: str | None, records: list[RecordedRun]) -> list[str]:
    """Return how the plain student of a family is trained, and its score."""
    if student is None:
        return ["No entry of the starter suite trains these students without a teacher, so there is no comparison."]
    (entry,) = [entry for entry in entries() if entry.name == student]
    training = ", then ".join(map(_training, entry.recipe.stages))
    text = f"The plain student is {markdown_parts.recipe_link(student, entry.suite)}, trained for {training}."
    claim = table.comparison_claim(entry, entry)
    mean, sd, runs = _summary(entry, claim, records)
    if claim is None or not runs:
        return [f"{text} It is not-run."]
    student_records = [record for _, record in records if record.entry == student]
    n = next(result.n for record in student_records if (result := record.result(claim.split)))
    return [
        f"{text} Its {claim.metric} on {claim.split} ({n:,} examples) is {markdown_parts.format_mean(mean, sd, runs)}."
    ]


def _training(stage: Stage) -> str:
    optimizer = stage.optimizer
    settings = ", ".join(f"{name} {value}" for name, value in optimizer.args.items())
    epochs = counted(stage.epochs, "epoch")
    return f"{epochs} in batches of {stage.batch_size} with {optimizer.use} ({settings})"


def _ranking(family: list[dict[str, Any]]) -> list[dict[str, Any]]:
    metric = next((row["metric"] for row in family if row["metric"]), "score")
    return [
        {
            "method": f"{markdown_parts.recipe_link(row['method'], SUITE)}<br>{row['about']}",
            "epochs": markdown_parts.unbroken(" + ".join(map(str, row["epochs"]))),
            metric: markdown_parts.unbroken(
                markdown_parts.format_mean(row["mean"], row["sd"], row["n"]).partition(" (")[0]
            )
            or "not-run",
            "difference, points": "" if row["gain"] is None else markdown_parts.format_points(row["gain"]),
            "95 % interval": ""
            if row["gain"] is None
            else markdown_parts.unbroken(markdown_parts.format_points_range(row["low"], row["high"])),
            "runs": markdown_parts.records_link(row["method"], f"{row['n'] or ''}")
            + (f" ({row['seeds']} paired)" if row["seeds"] != row["n"] else ""),
        }
        for row in family
    ]


def _reference(methods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "method and its losses": _joined(
                [row["method"], *(f"[{loss['name']}]({CODE}/{loss['file']}.py)" for loss in row["losses"])]
            ),
            "papers and equations": _joined(loss[key] for key in ("paper", "equation") for loss in row["losses"]),
            "layers": _joined(loss["reads"] for loss in row["losses"]),
        }
        for row in sorted(methods, key=lambda row: str(row["method"]))
    ]


def _joined(texts: Iterable[str]) -> str:
    """Return the distinct texts as lines of one cell."""
    return "<br>".join(dict.fromkeys(text for text in texts if text))
