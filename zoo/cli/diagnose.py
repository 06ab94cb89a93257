"""Commands that find out why scores differ: fingerprint, explain, diff."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

from zoo import paths
from zoo.api.session import Session
from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.completion import complete_runs
from zoo.cli.exit_codes import code_of_outcome, end
from zoo.cli.judged_runs import name_of_runs
from zoo.cli.next_steps import without_claims
from zoo.cli.options import OUTPUT, All, CardClaim, Json, OneEntry, Patterns, Records, Suites, Where, argument, option
from zoo.cli.progress import report, report_error, report_unreachable, session_of
from zoo.errors import ZooError
from zoo.recipes.options import DeviceOptions, SourceOptions, TrainingOptions
from zoo.safe_text import one_line

if TYPE_CHECKING:
    from harness.diagnosis.diff import Diff
    from harness.runs.experiment import Experiment

RUN_HELP = (
    "The folder of a run, or a run of an entry or recipe file: ENTRY, ENTRY:SEED or ENTRY:weights, such as"
    " digits-resnet8:0 or mine.yaml:0."
)
CODES_OF_EXPLAIN = {"nothing to explain": 0, "explained": 1, "unexplained": 1, "nothing to compare": 3}


@command
def fingerprint(
    options: DeviceOptions,
    sources: SourceOptions,
    patterns: Patterns = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    update: Annotated[
        bool,
        option(
            "--update",
            "Write the fingerprints as they are now, beside the recipes. Default: only compare.",
            OUTPUT,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check in seconds whether published weights still compute the same.

    Runs 32 examples of each entry and compares data, inputs, logits and predictions with the fingerprint beside its
    recipe. Names the first step that differs.

    Example: zoo fingerprint --suite starter
    """
    from harness.diagnosis.fingerprint import check_fingerprint, update_fingerprint

    session = session_of(sources)
    entries = session.entries.select(patterns or [], suite or [], everything, where=where)
    context = session.context(entries, options)
    outcomes = []
    for entry in entries:
        outcomes.append(update_fingerprint(entry, context) if update else check_fingerprint(entry, context))
        if outcomes[-1].error:
            report_error(str(outcomes[-1].error))
    summary = render.verdict_counts(outcome.verdict for outcome in outcomes)
    text = render.table(["entry", "verdict", "why"], [[o.entry.title, o.verdict, o.why] for o in outcomes])
    data = {"entries": [outcome.data() for outcome in outcomes], "summary": summary}
    render.emit(data, f"{text}\n\n{render.counts_line(summary)}", as_json=as_json)
    report_unreachable([outcome.error for outcome in outcomes], [o.entry for o in outcomes if o.error is not None])
    end(code_of_outcome(outcome, patterns or []) for outcome in outcomes)


@command
def explain(
    entry: OneEntry,
    options: DeviceOptions,
    sources: SourceOptions,
    claim: CardClaim = None,
    as_json: Json = False,
) -> None:
    """Find out why published weights do not reach their claimed score.

    Tries known causes one by one (label order, preprocessing, precision, older weights, ...) and names those that
    restore the score. Exit code 1 means that a claim is not reproduced.

    Example: zoo explain entail-bert-l2h64
    """
    from harness.diagnosis.explain import explain as explain_entry

    session = session_of(sources)
    chosen = session.entries.select_one(entry, claim)
    explanation = explain_entry(chosen, session.context([chosen], options), evidence=paths.evidence())
    advice = without_claims(chosen) if not explanation.claims and chosen.card is None else []
    lines = [explanation.text(render.terminal_width()), *(render.wrapped(one_line(text), "  ") for text in advice)]
    render.emit({**explanation.data(), "advice": advice}, "\n".join(lines), as_json=as_json)
    end([CODES_OF_EXPLAIN[explanation.state]])


@command
def diff(
    a: Annotated[str, argument("A", RUN_HELP, complete_runs)],
    b: Annotated[str, argument("B", "The other run.", complete_runs)],
    sources: SourceOptions,
    records: Records = None,
    limit: Annotated[
        int, option("--limit", "Show N flipped examples of each split. Default: 5.", OUTPUT, "N", min=0)
    ] = 5,
    as_json: Json = False,
) -> None:
    """Compare two runs example by example.

    Shows scores with 95 % intervals, McNemar's test, flipped predictions, and how far the logits moved. Examples that
    share a text count as one group in intervals and tests.

    Example: zoo diff digits-resnet8:1000 digits-resnet8:1001
    """
    from harness.diagnosis.diff import diff as diff_records
    from harness.diagnosis.diff import find_record, text_report

    session, folders = session_of(sources), (paths.runs(records), paths.evidence())

    def name_of(pattern: str) -> str:
        return name_of_runs(pattern, *folders) or session.entries.name_of(pattern)

    record_a, record_b = (find_record(run, *folders, name_of) for run in (a, b))
    difference = diff_records(record_a, record_b)
    difference = _with_data(difference, limit, session, TrainingOptions(device="cpu", records=records))
    colors = render.has_colors()
    text = "\n".join(text_report.lines(difference, limit=limit, colors=colors, columns=render.terminal_width()))
    render.emit(difference.data(), text, as_json=as_json, colors=colors)


def _with_data(difference: "Diff", limit: int, session: Session, options: TrainingOptions) -> "Diff":
    """Return the difference with groups of examples and with flipped examples, or the reasons why they are missing.

    Torch is imported only if the data are needed. Data are downloaded only to show examples.
    """
    shows_examples, may_have_groups = bool(difference.flipped and limit), bool(difference.a.recipe.get("tokenizer"))
    if not (shows_examples or may_have_groups):
        return difference
    from harness.diagnosis.diff.example_data import with_examples, with_groups
    from zoo.fetch.offline import offline

    with nullcontext() if shows_examples else offline():
        experiment, failure = _experiment_of(difference, session, options, may_download=shows_examples)
        if may_have_groups:
            difference = with_groups(difference, experiment, failure=failure)
    if shows_examples:
        difference = with_examples(difference, experiment, limit=limit, why=str(failure or ""))
    return difference


def _experiment_of(
    difference: "Diff", session: Session, options: TrainingOptions, *, may_download: bool
) -> "tuple[Experiment | None, ZooError | None]":
    """Return the experiment of record A's entry, or the error why there is none."""
    from harness.records.recorded_entry import entry_of

    try:
        entry = entry_of(difference.path_a, difference.a)
        context = session.context([entry], options)
        if may_download:
            report(f"reading the examples of {entry.name} to show them")
        else:
            context.builder.sources.hub.refusal = "only files on this machine are used"
        return session.experiment(entry, context), None
    except ZooError as error:
        return None, error
