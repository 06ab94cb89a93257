"""The command line: the one module that imports all three rooms, heavy ones inside the commands that need them.

Data goes to stdout, logs and progress to stderr. Exit codes: 0 all reproduced; 1 something not reproduced, a stale
leaderboard or lock, a refused submission; 2 usage or recipe; 3 inconclusive, not compared or not run; 4 environment or
download; 5 integrity; 130 interrupted. The gravest wins: 5, 2, 1, 4, 3.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from tabulate import tabulate

from zoo import paths
from zoo.cli import render
from zoo.errors import NoDataError, UsageError, ZooError, translate_errors
from zoo.recipes import catalogue
from zoo.recipes.schema import Precision

if TYPE_CHECKING:
    from harness.diagnosis.diff import Diff
    from harness.diagnosis.fingerprint import FingerprintOutcome
    from harness.judging.judge_runs import Outcome
    from harness.runs.cache import RunConditions
    from harness.runs.experiment import RunContext

GRAVEST_FIRST = (5, 2, 1, 4, 3, 0)
PUBLISHED = re.compile(r"(?!.*\.ya?ml$)[\w.-]+/[\w.-]+(@[\w./-]+)?")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tell whether published weights, configurations and scores agree.",
)

Patterns = Annotated[
    list[str] | None, typer.Argument(help="Entries, suites, globs, or paths of recipes.", show_default=False)
]
Suites = Annotated[
    list[str] | None, typer.Option("--suite", help="All entries of a suite; may be repeated.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All entries.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Train = Annotated[bool, typer.Option("--train", help="Train again and judge the claims of retraining.")]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", min=1, help="Trainings per entry; the claim's own number if left out.", show_default=False),
]
FirstSeed = Annotated[
    int, typer.Option("--first-seed", min=0, help="The first seed; recorded references start at 1000.")
]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda or mps; the best there is if left out.", show_default=False)
]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="PACKAGE", help="A package that recipes may import.", show_default=False),
]
Records = Annotated[
    Path | None, typer.Option("--records", metavar="DIR", help="Where your runs are kept.", show_default=False)
]
Lock = Annotated[
    Path | None,
    typer.Option(
        "--lock",
        metavar="FILE",
        envvar="ZOO_LOCK",
        help="A lock in place of the project's, for a mirror.",
        show_default=False,
    ),
]

Mirror = Annotated[
    Path | None,
    typer.Option(
        "--mirror",
        metavar="DIR",
        envvar="ZOO_MIRROR",
        help="A folder that gives what it holds of what would be downloaded, by SHA-256.",
        show_default=False,
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="NAME=DIR", help="A data set's local folder; ZOO_DATA holds several.", show_default=False
    ),
]
In = Annotated[
    Precision, typer.Option("--precision", help="fp32, bf16, or fp16 with scaled gradients (on a CUDA device).")
]
MicroBatch = Annotated[
    int | None,
    typer.Option(
        "--micro-batch", min=1, help="The most examples at once; a batch's gradients are summed.", show_default=False
    ),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, help="Runs made at once, each by a process with its share of the cores and threads."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Make runs again that are there already.")]
SaveEvery = Annotated[
    float, typer.Option("--save-every", min=0, help="Seconds between saved states of a training; 0: every step.")
]


@app.command("list")
def list_entries(patterns: Patterns = None, suite: Suites = None, lock: Lock = None, as_json: Json = False) -> None:
    """List entries with their recorded scores."""
    chosen = _chosen(patterns, suite, not patterns and not suite, Given(lock=lock))
    readable, broken = _readable(chosen)
    rows = [
        {
            "entry": e.name,
            "suite": e.suite,
            "task": e.recipe.task.use,
            "model": e.recipe.model.use,
            "claims": [render.claim_data(claim) for claim in e.recipe.claims],
        }
        for e in readable
    ]
    if as_json:
        render.print_json({"entries": rows})
    else:
        table = [
            [r["entry"], r["suite"], r["task"], r["model"], render.summary(e.recipe.claims)]
            for r, e in zip(rows, readable, strict=True)
        ]
        print(render.fitted(table, ["entry", "suite", "task", "model", "claims"], render.terminal()))
    _end(error.exit_code for error in broken)


@app.command()
def show(entry: str, lock: Lock = None, as_json: Json = False) -> None:
    """Show an entry: its recipe, digest and claims."""
    for found in _chosen([entry], None, False, Given(lock=lock)):
        recipe = found.recipe
        if as_json:
            claims = [render.claim_data(claim) for claim in recipe.claims]
            render.print_json(
                {
                    "entry": found.name,
                    "suite": found.suite,
                    "digest": recipe.digest,
                    "recipe": recipe.data(),
                    "claims": claims,
                }
            )
        else:
            print(f"# {found.path}\n# digest {recipe.digest}\n{found.path.read_text(encoding='utf-8')}")


@app.command()
def check(
    patterns: Patterns = None,
    suite: Suites = None,
    everything: All = False,
    trust: Trust = None,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Check recipes: keys, types, and every name and argument against what it names."""
    given = Given(trust, lock)
    chosen = _chosen(patterns, suite, everything, given)
    builder = _builder(chosen, given)
    found: list[dict[str, Any]] = []
    codes = []
    for entry in chosen:
        try:
            builder.at(entry.here).check(entry.recipe)
            found.append(
                {
                    "path": str(entry.path),
                    "entry": entry.name,
                    "ok": True,
                    "digest": entry.recipe.digest,
                    "problems": [],
                }
            )
        except ZooError as error:
            codes.append(error.exit_code)
            found.append(
                {
                    "path": str(entry.path),
                    "entry": entry.name,
                    "ok": False,
                    "digest": None,
                    "problems": str(error).splitlines(),
                }
            )
    if as_json:
        render.print_json({"recipes": found})
    for one in found if not as_json else []:
        print(f"{one['path']}: ok" if one["ok"] else "\n".join(one["problems"]), file=None if one["ok"] else sys.stderr)
    _end(codes)


@app.command()
def reproduce(
    entry: Annotated[
        list[str], typer.Argument(help="Entries, suites, globs, or paths of recipes.", show_default=False)
    ],
    train: Train = False,
    seeds: Seeds = None,
    first_seed: FirstSeed = 0,
    device: Device = None,
    trust: Trust = None,
    records: Records = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    precision: In = "fp32",
    micro_batch: MicroBatch = None,
    save_every: SaveEvery = 300.0,
    fresh: Fresh = False,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Evaluate an entry's published weights, or train it again, and judge its claims one by one."""
    asked = Asked(train, seeds, first_seed, device, precision, micro_batch, save_every, fresh, jobs, records)
    outcomes = _outcomes(_chosen(entry, None, False, given := Given(trust, lock, mirror, data)), asked, given)
    if as_json:
        render.print_json(render.verification(outcomes))
    for outcome in outcomes if not as_json else []:
        print(f"{outcome.entry.name}: {outcome.verdict}")
        for judgement in outcome.judgements:
            print(f"  {render.claim_line(judgement)}\n    {judgement.why}\n    source: {judgement.claim.source}")
        for finding in outcome.findings:
            print(f"  note: {finding}")
        if not any(judgement.claim.of == outcome.mode for judgement in outcome.judgements):
            for line in _unclaimed(outcome):
                print(f"  {line}")
        for path in outcome.records:
            print(f"  record: {path}")
    _hint(outcomes)
    _end(_code(outcome, entry) for outcome in outcomes)


@app.command()
def verify(
    patterns: Patterns = None,
    suite: Suites = None,
    everything: All = False,
    train: Train = False,
    seeds: Seeds = None,
    first_seed: FirstSeed = 0,
    device: Device = None,
    trust: Trust = None,
    records: Records = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    precision: In = "fp32",
    micro_batch: MicroBatch = None,
    save_every: SaveEvery = 300.0,
    fresh: Fresh = False,
    jobs: Jobs = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only 32 examples an entry, against the fingerprint beside its recipe.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="With --quick: write the fingerprints anew.")] = False,
    changed_since: Annotated[
        str | None,
        typer.Option("--changed-since", metavar="REV", help="Only entries that a change touches.", show_default=False),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit's XML.", show_default=False)
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="VERDICTS",
            help="Exit non-zero for these verdicts only, with commas between, or none of them; errors always do.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge the claims of many entries: one line each and a summary."""
    failing = render.failing(fail_on)
    if update and not quick:
        raise UsageError("--update goes with --quick: it writes the fingerprints")
    if quick and (train or junit or seeds or fresh or jobs > 1):
        raise UsageError(
            "--quick looks at published weights only; it goes with none of --train, --seeds, --fresh, --jobs, --junit"
        )
    given = Given(trust, lock, mirror, data)
    chosen = _changed(
        _chosen(patterns, suite, everything or (changed_since is not None and not (patterns or suite)), given),
        changed_since,
    )
    asked = Asked(train, seeds, first_seed, device, precision, micro_batch, save_every, fresh, jobs, records)
    if quick:
        setup = _setup(chosen, device, records, given, precision)
        looks = list(_quick(chosen, setup, update))
        if as_json:
            counts = Counter(str(look.verdict) for look in looks)
            summary = {verdict: counts[verdict] for verdict in render.CODES}
            render.print_json({"entries": [look.data() for look in looks], "summary": summary})
        else:
            table = [[look.entry.name, look.verdict, look.why] for look in looks]
            print(render.fitted(table, ["entry", "verdict", "why"], render.terminal()))
        _end(_code(look, patterns, failing) for look in looks)
        return
    started = time.perf_counter()
    outcomes = _outcomes(chosen, asked, given)
    found = render.verification(outcomes)
    if as_json:
        render.print_json(found)
    else:
        rows = [row for outcome in outcomes for row in render.verify_rows(outcome)]
        headers = ["entry", "split", "metric", "claimed", "measured", "runs", "verdict"]
        print(render.fitted(rows, headers, render.terminal(), flexible=(0,)))
        print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in found["summary"].items() if count))
    _hint(outcomes)
    _report(found, chosen, junit, time.perf_counter() - started, failing)
    _end(_code(outcome, patterns, failing) for outcome in outcomes)


@app.command()
def explain(
    entry: Annotated[str, typer.Argument(help="An entry, or the path of a recipe.", show_default=False)],
    device: Device = None,
    trust: Trust = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    precision: In = "fp32",
    as_json: Json = False,
) -> None:
    """Try the known factors on published weights that do not give their score; say which restores agreement."""
    from harness.diagnosis.explain import explain as explained

    given = Given(trust, lock, mirror, data)
    chosen = _one(entry, given)
    found = explained(chosen, _setup([chosen], device, None, given, precision), evidence=paths.evidence())
    render.print_json(found.data()) if as_json else print(found.text(render.terminal()))
    _end([{"nothing to explain": 0, "explained": 1, "unexplained": 1, "nothing to compare": 3}[found.state]])


@app.command()
def diff(
    a: Annotated[
        str, typer.Argument(help="A run: its folder, ENTRY, ENTRY:SEED or ENTRY:weights.", show_default=False)
    ],
    b: Annotated[str, typer.Argument(help="Another.", show_default=False)],
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many flipped examples to show of a split.")] = 5,
    trust: Trust = None,
    records: Records = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Compare two runs: scores with intervals, flipped examples, McNemar's test, drift of the logits."""
    from harness.diagnosis.diff import diff as compared
    from harness.diagnosis.diff import find_record, text_report

    found = compared(*(find_record(run, paths.runs(records), paths.evidence()) for run in (a, b)))
    if found.flipped and limit:  # only to show examples is anything heavy loaded
        found = _illustrated(found, limit, records, Given(trust, lock, mirror, data))
    if as_json:
        render.print_json(found.data())
    else:
        print("\n".join(text_report.lines(found, limit=limit, colours=sys.stdout.isatty())))


@app.command()
def doctor(
    patterns: Patterns = None,
    suite: Suites = None,
    everything: All = False,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Tell what makes a recipe hard to reproduce, each with its place and a fix; exit 1 for an error."""
    from zoo.doctor import examine, lines
    from zoo.fetch.lock import read_lock
    from zoo.fetch.sources import Sources

    readable, broken = _readable(_chosen(patterns, suite, everything, Given(lock=lock)))
    sources = Sources(lock=read_lock(lock))
    found = {entry: examine(entry, sources) for entry in readable}
    if as_json:
        data = [{"entry": e.name, "hazards": [hazard.data() for hazard in hazards]} for e, hazards in found.items()]
        render.print_json({"entries": data})
    for entry, hazards in found.items() if not as_json else []:
        print("\n".join(lines(hazards)) or f"{entry.path}: no hazards")
    errors = any(hazard.severity == "error" for hazards in found.values() for hazard in hazards)
    _end([*([1] if errors else []), *(error.exit_code for error in broken)])


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file of your own, or an entry.")],
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A new folder for weights, log and record.", show_default=False),
    ] = None,
    device: Device = None,
    trust: Trust = None,
    records: Records = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    precision: In = "fp32",
    micro_batch: MicroBatch = None,
    save_every: SaveEvery = 300.0,
    as_json: Json = False,
) -> None:
    """Train a recipe once and evaluate it; writes weights, log, predictions and record into one folder."""
    from harness.runs.experiment import prepare
    from harness.runs.record_runs import train_and_record

    if (
        out is not None
        and out.exists()
        and not (out / "record.json").exists()
        and (not out.is_dir() or any(out.iterdir()))
    ):
        raise UsageError(f"{out} is there already and not empty; --out makes a new folder")
    given = Given(trust, lock, mirror, data)
    entry = _one(recipe, given)
    setup = _setup([entry], device, records, given, precision, micro_batch, save_every)
    ((path, record),) = train_and_record(prepare(entry, setup), [seed], out.resolve() if out else None)
    results: list[dict[str, Any]] = [
        {
            "split": result.split,
            "n": result.n,
            "selection": result.selection,
            "metrics": {name: score["value"] for name, score in result.metrics.items()},
        }
        for result in record.results
    ]
    if as_json:
        render.print_json({"entry": entry.name, "seed": seed, "results": results, "record": str(path)})
    else:
        rows = [
            [r["split"], name, render.number(value), r["n"], r["selection"]]
            for r in results
            for name, value in r["metrics"].items()
        ]
        print(tabulate(rows, headers=["split", "metric", "value", "n", "epoch"], disable_numparse=True))
        print(f"record: {path}")


@app.command()
def evaluate(
    path: Annotated[
        Path,
        typer.Argument(
            help="Weights (.safetensors, .pt, a folder of `zoo train`) or predictions (.npz, .csv, .tsv, .jsonl)."
        ),
    ],
    entry: Annotated[str, typer.Option("--as", metavar="ENTRY", help="The entry whose task and model are used.")],
    split: Annotated[
        str | None, typer.Option("--split", help="The split that a predictions file is of.", show_default=False)
    ] = None,
    device: Device = None,
    trust: Trust = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    precision: In = "fp32",
    as_json: Json = False,
) -> None:
    """Score your own weights or predictions on an entry's task; its claims are shown beside, not judged."""
    from harness.runs.experiment import prepare
    from harness.runs.score_file import score_file

    given = Given(trust, lock, mirror, data)
    chosen = _one(entry, given)
    evaluations = score_file(prepare(chosen, _setup([chosen], device, None, given, precision)), path, split)
    claimed = {(c.split, c.metric): c.value for c in reversed(chosen.recipe.claims) if c.of == "weights"}
    results: list[dict[str, Any]] = [
        {
            "split": e.split,
            "metric": name,
            "n": e.n,
            "measured": render.finite(score.value),
            "claimed": claimed.get((e.split, name)),
        }
        for e in evaluations
        for name, score in e.scores.items()
    ]
    if as_json:
        render.print_json({"entry": chosen.name, "path": str(path), "results": results})
    else:
        rows = [
            [r["split"], r["metric"], render.number(r["measured"]), render.number(r["claimed"]), r["n"]]
            for r in results
        ]
        print(tabulate(rows, headers=["split", "metric", "measured", "claimed", "n"], disable_numparse=True))


@app.command()
def fetch(
    patterns: Patterns = None,
    suite: Suites = None,
    everything: All = False,
    train: Annotated[bool, typer.Option("--train", help="What training reads, too: first weights, teachers.")] = False,
    trust: Trust = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Download and verify all that entries read, ahead of time; afterwards HF_HUB_OFFLINE=1 needs no network."""
    from zoo.cli.progress import progress, say
    from zoo.recipes import prefetch

    given = Given(trust, lock, mirror, data)
    chosen = _chosen(patterns, suite, everything, given)
    builder = _builder(chosen, given)
    needs = [need for entry in chosen for need in prefetch.needs(entry, builder, train=train)]
    total, done = 0, 0
    with progress("fetch", unit="bytes") as step:

        def started(size: int) -> None:
            nonlocal total
            total = size
            names = {need.source for need in needs}
            say(f"{len(set(needs))} parts of {len(names)} sources, {size / 1e6:,.1f} MB to download")

        def moved(length: int) -> None:
            nonlocal done
            done += length
            step(done, max(total, done))

        builder.sources.hub.on_bytes = builder.sources.urls.on_bytes = moved
        got = prefetch.prefetch(needs, builder.sources, started)
    errors = [one for _, one in got if isinstance(one, ZooError)]
    rows: list[dict[str, Any]] = [
        {
            "source": need.source,
            "want": need.want,
            "revision": one.revision,
            "files": len(one.files),
            "pinned": builder.sources.pinned_by(need.source),
        }
        for need, one in got
        if not isinstance(one, ZooError)
    ]
    if as_json:
        render.print_json({"fetched": rows, "errors": [str(error) for error in errors]})
    elif rows:
        table = [[r["source"], r["want"], (r["revision"] or "")[:12], r["files"], r["pinned"]] for r in rows]
        print(tabulate(table, headers=["source", "for", "revision", "files", "pinned by"], disable_numparse=True))
    for said in dict.fromkeys(map(str, errors)):
        print(said, file=sys.stderr)
    asked = any(_is_asked(entry, patterns) for entry in chosen)
    _end(_error_code(error, asked) for error in errors)


@app.command("lock")
def lock_sources(
    patterns: Patterns = None,
    suite: Suites = None,
    everything: All = False,
    stale: Annotated[
        bool, typer.Option("--check", help="Compare the lock with the shipped recipes; asks nobody, writes nothing.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Pin what the Hub has now for these entries, and print what changes.")
    ] = False,
    trust: Trust = None,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Show, check or renew which bytes every source is."""
    from zoo.fetch.lock import difference, write_lock
    from zoo.recipes import prefetch

    if stale and (patterns or suite or update):
        raise UsageError("--check is of all entries and writes nothing: a lock may name no other source")
    given = Given(trust, lock, anew=update)
    chosen = _chosen(patterns, suite, everything or stale or not (patterns or suite or update), given)
    builder = _builder(chosen, given)
    if stale:
        problems = prefetch.unlocked(chosen, builder)
        render.print_json({"problems": problems}) if as_json else [
            print(problem, file=sys.stderr) for problem in problems
        ]
        if not problems and not as_json:
            print(f"{builder.sources.lock.path}: ok")
        raise typer.Exit(1 if problems else 0)
    if update:
        before, after = prefetch.relock(chosen, builder)
        changes = difference(before, after)
        write_lock(builder.sources.lock.path, after)
        render.print_json({"changes": changes}) if as_json else [print(change) for change in changes]
        print(f"{len(changes)} changes in {builder.sources.lock.path}", file=sys.stderr)
        return
    sources = builder.sources
    named = sorted({n.source for entry in chosen for n in prefetch.needs(entry, builder, train=True)})
    rows = []
    for source in named:
        pin = sources.known(source)
        rows.append(
            {
                "source": source,
                "revision": pin.revision,
                "files": len(pin.files),
                "pinned": sources.pinned_by(source),
            }
        )
    if as_json:
        render.print_json({"lock": str(sources.lock.path), "sources": rows})
    else:
        table = [[r["source"], r["revision"] or "-", r["files"], r["pinned"]] for r in rows]
        print(tabulate(table, headers=["source", "revision", "files", "pinned by"], disable_numparse=True))


@app.command()
def submit(
    patterns: Patterns = None,
    suite: Suites = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where submission.zip goes.", show_default=False)
    ] = None,
    written: Annotated[
        Path | None,
        typer.Option("--check", metavar="ZIP", help="Only check this zip or folder.", show_default=False),
    ] = None,
    device: Device = None,
    trust: Trust = None,
    lock: Lock = None,
    mirror: Mirror = None,
    data: Data = None,
    precision: In = "fp32",
    as_json: Json = False,
) -> None:
    """Predict the hidden test splits of GLUE, one entry a task, and write and check a submission to its leaderboard."""
    from harness.runs import glue_submission
    from harness.runs.experiment import prepare

    if (written is None) == (out is None):
        raise UsageError("name entries and --out DIR, or --check ZIP alone")
    if written is None:
        assert out is not None
        given = Given(trust, lock, mirror, data)
        chosen = _chosen(patterns, suite, False, given)
        setup = _setup(chosen, device, None, given, precision)
        predictions: dict[str, Any] = {}
        for entry in chosen:
            if entry.recipe.weights is None:
                raise UsageError(f"{entry.name} has no published weights to predict with")
            study = prepare(entry, setup)
            files = glue_submission.of_task(study.task.name.removeprefix("glue/"))
            if not files:
                raise UsageError(f"{entry.name} is of {study.task.name}, which is no task of GLUE")
            if taken := [file.name for file in files if file.name in predictions]:
                raise UsageError(f"{entry.name}: another entry is of the same task; {taken[0]} holds one")
            model, _ = study.published_model()
            predictions |= {file.name: study.predictions(model, file.split) for file in files}
        written = glue_submission.write(predictions, out)
    problems = glue_submission.check(written)
    if as_json:
        render.print_json({"submission": str(written), "problems": problems})
    else:
        print(written)
        print("\n".join(problems) or "nothing wrong", file=sys.stderr)
    raise typer.Exit(1 if problems else 0)


@app.command()
def leaderboard(
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add",
            metavar="RUN",
            help="Promote a run (its folder or record.json), or all runs of an entry.",
            show_default=False,
        ),
    ] = None,
    stale: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if the leaderboard is stale.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="DIR", help="Only write a static site, with CSV, JSON and Markdown.", show_default=False
        ),
    ] = None,
    records: Records = None,
    as_json: Json = False,
) -> None:
    """Write the leaderboard and its page of methods from the committed records; or a site of all entries."""
    from leaderboard import methods, page, table

    if html is not None and stale:
        raise UsageError("--check is of the committed pages; --html writes others")
    root = paths.checkout()
    evidence = paths.evidence()
    for run in add or []:
        for kept in page.promote(run, paths.runs(records), evidence):
            print(f"added {kept}", file=sys.stderr)
    if as_json:
        found: dict[str, list[dict[Any, Any]]] = {
            "rows": table.rows(evidence).to_dict("records"),
            "gains": table.gains(evidence).to_dict("records"),
            "methods": methods.rows(evidence),
        }
        render.print_json({name: render.plain(rows) for name, rows in found.items()})
    if html is not None:
        from leaderboard import site

        print(f"wrote {html / 'index.html'} and {len(site.write(evidence, html)) - 1} other files", file=sys.stderr)
        return
    texts = [page.render(evidence), methods.render(evidence)]
    if root is None:
        print("\n\n".join(texts)) if not as_json else None
        return
    targets = [root / "leaderboard" / name for name in ("README.md", "methods.md")]
    if stale:
        old = [target for target, text in zip(targets, texts, strict=True) if not page.is_current(target, text)]
        for target in old:
            print(f"{target} is stale; `zoo leaderboard` writes it anew", file=sys.stderr)
        raise typer.Exit(1 if old else 0)
    for target, text, introduction in zip(targets, texts, (page.INTRODUCTION, methods.INTRODUCTION), strict=True):
        page.write(target, text, introduction)
        print(f"wrote {target}", file=sys.stderr)


def main() -> None:
    """Run the command line; every error of ours is one or more plain lines on stderr.

    Of the processes of `torchrun` the first prints the results, and the others only what goes wrong.
    """
    _quiet_libraries()
    rank = int(os.environ.get("RANK", "0"))
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    try:
        with translate_errors("zoo"):
            app()
    except ZooError as error:
        if isinstance(error.__cause__, BrokenPipeError):  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        print(f"process {rank}: {error}" if rank else error, file=sys.stderr)
        sys.exit(error.exit_code)


@dataclass(frozen=True)
class Given:
    """What a user says of where bytes come from, and which packages recipes may import."""

    trust: list[str] | None = None
    lock: Path | None = None
    mirror: Path | None = None
    data: list[str] | None = None
    anew: bool = False
    """Whether what is published under a name is asked for, whatever was pinned of it."""

    def folders(self) -> dict[str, Path]:
        """The local data sets by name; raises UsageError for what is not NAME=DIR, or no folder."""
        found = paths.data()
        for pair in self.data or []:
            name, _, folder = pair.partition("=")
            if not name or not folder:
                raise UsageError(f"--data {pair}: write NAME=DIR")
            found[name] = Path(folder).expanduser()
            if not found[name].is_dir():
                raise UsageError(f"--data {pair}: {folder} is no folder")
        return found


def _chosen(
    patterns: list[str] | None, suites: list[str] | None, everything: bool, given: Given
) -> list[catalogue.Entry]:
    """Entries, and recipes that are published on the Hub as OWNER/NAME[@REVISION]."""
    if not (patterns or suites or everything):
        raise UsageError("name entries, suites, globs or recipe files, or say --suite NAME or --all")
    published = [name for name in patterns or [] if _is_published(name)]
    shipped = [name for name in patterns or [] if name not in published]
    chosen = catalogue.select(shipped, suites, everything) if shipped or suites or everything else []
    return chosen + [_published(name, given) for name in dict.fromkeys(published)]


def _one(pattern: str, given: Given) -> catalogue.Entry:
    return _published(pattern, given) if _is_published(pattern) else catalogue.one(pattern)


def _is_published(name: str) -> bool:
    """Whether a name is that of a repository, and of no file or folder here."""
    return PUBLISHED.fullmatch(name) is not None and not Path(name).exists()


def _published(name: str, given: Given) -> catalogue.Entry:
    """The recipe in a repository of the Hub, at the commit that is pinned; what it calls `hub:.` is that repository."""
    from zoo.recipes.prefetch import PUBLISHED

    sources, source = _builder([], replace(given, trust=None), tell=False).sources, f"hub:{name}"
    if given.anew:
        from zoo.fetch.hub import Repository

        source = f"hub:{name.partition('@')[0]}@{sources.hub.commit(Repository.parse(source))}"
    fetched = sources.fetch(source, PUBLISHED)
    return catalogue.local(fetched.path / PUBLISHED, f"hub:{name.partition('@')[0]}@{fetched.revision}", f"hub:{name}")


def _readable(entries: list[catalogue.Entry]) -> tuple[list[catalogue.Entry], list[ZooError]]:
    """The entries whose recipes can be read; the problems of the others go to stderr."""
    readable, broken = [], []
    for entry in entries:
        try:
            _ = entry.recipe
            readable.append(entry)
        except ZooError as error:
            broken.append(error)
            print(error, file=sys.stderr)
    return readable, broken


def _builder(entries: Iterable[catalogue.Entry], given: Given, *, tell: bool = True) -> Any:
    from zoo.cli.progress import say
    from zoo.fetch.lock import read_lock
    from zoo.fetch.mirror import Mirror
    from zoo.fetch.sources import Sources
    from zoo.recipes.build import Builder

    if given.trust:  # a trusted module usually lies beside the user's recipe
        sys.path[:0] = dict.fromkeys([*(str(e.path.parent.resolve()) for e in entries), str(Path.cwd())])
    if tell and given.lock is not None and not given.lock.exists() and not given.anew:
        say(f"{given.lock}: no such lock yet: what is first seen is trusted; `zoo lock --update` writes it")
    mirror = Mirror(given.mirror) if given.mirror else None
    sources = Sources(lock=read_lock(given.lock), mirror=mirror, data=given.folders(), say=say)
    return Builder(frozenset(given.trust or []), sources)


def _setup(
    entries: Iterable[catalogue.Entry],
    device: str | None,
    records: Path | None,
    given: Given,
    precision: Precision = "fp32",
    micro_batch: int | None = None,
    save_every: float = 300.0,
) -> RunContext:
    from harness.models.environment import accelerator_on, check_precision
    from harness.runs.experiment import RunContext
    from harness.training.training_run import ComputeOptions
    from zoo.cli.progress import progress, say

    accelerator = accelerator_on(device)
    check_precision(accelerator.device, precision)
    options = ComputeOptions(precision=precision, micro_batch=micro_batch, save_every=save_every)
    runs = paths.runs(records)
    setup = RunContext(builder=_builder(entries, given), accelerator=accelerator, runs=runs, options=options)
    return replace(setup, show=progress, report=say) if accelerator.is_main_process else setup


def _version(wanted: bool) -> None:
    if wanted:
        print(version("zoo-reproduce"))
        raise typer.Exit


@app.callback()
def _options(
    show: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Tell whether published weights, configurations and scores agree."""


def _quiet_libraries() -> None:
    """Nothing is sent anywhere, and the libraries' own progress bars stay out of ours."""
    for name in (
        "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_EVALUATE_OFFLINE",
        "DISABLE_SAFETENSORS_CONVERSION",
    ):  # fmt: skip
        os.environ.setdefault(name, "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if "RANK" in os.environ:  # torch warns that parameters which may be left out by a stage never were
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


@dataclass(frozen=True)
class Asked:
    """What a user says of the runs to make."""

    train: bool
    seeds: int | None
    first_seed: int
    device: str | None
    precision: Precision
    micro_batch: int | None
    save_every: float
    fresh: bool
    jobs: int
    records: Path | None

    @property
    def mode(self) -> Literal["weights", "retrain"]:
        """Which claims are meant."""
        return "retrain" if self.train else "weights"

    def seeds_of(self, entry: catalogue.Entry) -> list[int]:
        """The seeds to train an entry with; as many as its claims say where the user does not."""
        from harness.judging.judge_runs import default_seeds_of

        number = len(default_seeds_of(entry)) if self.seeds is None else self.seeds
        return list(range(self.first_seed, self.first_seed + number))


def _outcomes(entries: list[catalogue.Entry], asked: Asked, given: Given) -> list[Outcome]:
    """What is known is recalled; torch is only loaded where something must be run."""
    from harness.judging.judge_runs import judge_entries
    from harness.runs.cache import RunConditions, find_cached_runs

    data = {name: str(folder.resolve()) for name, folder in given.folders().items()}
    conditions = RunConditions(
        precision=asked.precision, micro_batch=asked.micro_batch, device=asked.device, data=data,
        lock=str(given.lock.absolute()) if given.lock else None,
    )  # fmt: skip
    runs = paths.runs(asked.records)
    found: list[Any] = [
        None
        if asked.fresh or given.trust
        else find_cached_runs(entry, asked.mode, asked.seeds_of(entry) if asked.train else [None], conditions, runs)
        for entry in entries
    ]
    missing = [place for place, ran in enumerate(found) if ran is None]
    wanted = [(entries[place], asked.seeds_of(entries[place])) for place in missing]
    make = partial(_made, entries, asked, given, conditions)
    for place, ran in zip(missing, _run(wanted, asked, make), strict=True):
        found[place] = ran
        if ran.error:
            print(ran.error, file=sys.stderr)
    judged = judge_entries(found, paths.evidence())
    for ran, outcome in zip(found, judged, strict=True):
        if outcome.error is not ran.error:  # what is wrong with committed predictions shows only now
            print(outcome.error, file=sys.stderr)
    return judged


def _run(
    wanted: list[tuple[catalogue.Entry, list[int]]], asked: Asked, make: Callable[[], RunContext]
) -> Iterator[Any]:
    """The runs of each entry, here one after the other or in as many processes as are asked for."""
    if asked.jobs > 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("--jobs does not go with torchrun: its processes share every run")
    if asked.jobs > 1 and wanted:
        from harness.runs.parallel import make_runs_in_parallel
        from zoo.cli.progress import progress, say

        with progress("runs") as step:
            yield from make_runs_in_parallel(wanted, asked.mode, make, asked.jobs, say, step)
    elif wanted:
        from harness.runs.reproduce import make_runs

        yield from make_runs(wanted, asked.mode, make())


def _made(entries: list[catalogue.Entry], asked: Asked, given: Given, conditions: RunConditions) -> RunContext:
    """With what the runs that are asked for are made."""
    setup = _setup(entries, asked.device, asked.records, given, asked.precision, asked.micro_batch, asked.save_every)
    return replace(setup, fresh=asked.fresh, conditions=conditions)


def _quick(entries: list[catalogue.Entry], setup: RunContext, update: bool) -> Iterator[FingerprintOutcome]:
    """Look at the first rows of each entry; with `update`, write first what they are now, where it can be."""
    from harness.diagnosis import fingerprint

    for entry in entries:
        looked = fingerprint.update_fingerprint(entry, setup) if update else fingerprint.check_fingerprint(entry, setup)
        if looked.error:
            print(looked.error, file=sys.stderr)
        yield looked


def _illustrated(found: Diff, limit: int, records: Path | None, given: Given) -> Diff:
    """The same with what its flipped examples look like, or why that cannot be shown."""
    from harness.diagnosis.diff.example_data import entry_of, with_examples
    from harness.runs.experiment import prepare

    try:
        entry = entry_of(found.path_a, found.a)
        print(f"reading the examples of {entry.name} to show them", file=sys.stderr)
        return with_examples(found, prepare(entry, _setup([entry], "cpu", records, given)), limit=limit)
    except ZooError as error:
        return with_examples(found, None, why=str(error))


def _unclaimed(outcome: Outcome) -> list[str]:
    """The scores of runs of which nothing is claimed."""
    from harness.records.record import read_record

    scores: dict[str, list[float | None]] = {}
    for path in outcome.records:
        for result in read_record(path).results:
            for name, found in result.metrics.items():
                scores.setdefault(f"{name} on {result.split} ({result.selection} epoch)", []).append(found["value"])
    shown = [f"{name}: {', '.join(map(render.number, values))}" for name, values in scores.items()]
    return ["nothing is claimed of it", *shown] if shown else []


def _hint(outcomes: Iterable[Outcome]) -> None:
    """Where to go on from published weights that do not give their score."""
    for outcome in outcomes:
        if outcome.mode == "weights" and outcome.verdict == "not-reproduced":
            named = outcome.entry.path if outcome.entry.suite == catalogue.LOCAL else outcome.entry.name
            print(f"{outcome.entry.name}: why? zoo explain {named}", file=sys.stderr)


def _changed(entries: list[catalogue.Entry], revision: str | None) -> list[catalogue.Entry]:
    """Those that a change since a revision touches, all of them where none is given; says why."""
    if revision is None:
        return entries
    from zoo.recipes.changes import changed_since

    touched = changed_since(revision, entries)
    for why in dict.fromkeys(touched.values()):
        names = [name for name, own in touched.items() if own == why]
        print(f"changed: {why}: {names[0] if len(names) == 1 else f'{len(names)} entries'}", file=sys.stderr)
    if not touched:
        print(f"nothing of {len(entries)} entries has changed since {revision}", file=sys.stderr)
    return [entry for entry in entries if entry.name in touched]


def _report(
    found: dict[str, Any],
    entries: list[catalogue.Entry],
    junit: Path | None,
    seconds: float,
    failing: frozenset[str] | None,
) -> None:
    """What continuous integration reads: a file of JUnit's, and in GitHub's workflows a summary and annotations."""
    actions = os.environ.get("GITHUB_ACTIONS") == "true"
    if junit is None and not actions:
        return
    from zoo.cli import ci_reports

    if junit is not None:
        ci_reports.write_junit(junit, found, seconds, ci_reports.DEFAULT_FAILING if failing is None else failing)
    if actions:
        root = paths.checkout()
        recipes = {e.name: str(e.path.relative_to(root)) for e in entries if root and e.path.is_relative_to(root)}
        for line in ci_reports.annotations(found, recipes):
            print(line, file=sys.stderr)  # stdout may be JSON; the runner reads both
        ci_reports.write_summary(found)


def _code(
    outcome: Outcome | FingerprintOutcome, patterns: list[str] | None, failing: frozenset[str] | None = None
) -> int:
    """The exit code of one outcome: of an error always its own, of a verdict only if it is one that fails."""
    asked = _is_asked(outcome.entry, patterns)
    if outcome.error is not None and (asked or not isinstance(outcome.error, NoDataError)):
        return outcome.error.exit_code
    fails = outcome.counts and (failing is None or outcome.verdict in failing)
    return render.CODES[outcome.verdict] if fails else 0


def _error_code(error: ZooError, asked: bool) -> int:
    """An error's exit code; a data set that everyone must get for themselves is missed only where it was asked for."""
    return render.CODES["not-run"] if isinstance(error, NoDataError) and not asked else error.exit_code


def _is_asked(entry: catalogue.Entry, patterns: list[str] | None) -> bool:
    """Whether an entry was named, and not only its suite."""
    return entry.name in (patterns or []) or entry.suite == catalogue.LOCAL


def _end(codes: Iterable[int]) -> None:
    """End with the gravest code."""
    gravest = min(codes, key=GRAVEST_FIRST.index, default=0)
    if gravest:
        raise typer.Exit(gravest)
