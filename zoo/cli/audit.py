"""The command that checks claims by arithmetic: audit."""

from typing import TYPE_CHECKING, Annotated

from zoo.cli import render
from zoo.cli.command_function import command
from zoo.cli.exit_codes import code_of_error, end
from zoo.cli.options import All, Json, Suites, Where, argument
from zoo.cli.progress import report_error, report_unreachable, session_of
from zoo.errors import UsageError
from zoo.recipes.options import SourceOptions

if TYPE_CHECKING:
    from harness.auditing.outcome import AuditOutcome

TARGET_HELP = (
    "Entries, suites, globs, recipe files, OWNER/NAME[@REVISION] of models on the Hub, README.md files, or tables of"
    " claims (.csv, .tsv)."
)
CODES = {"consistent": 0, "inconsistent": 1, "impossible": 1, "uninformative": 3}


@command
def audit(
    sources: SourceOptions,
    targets: Annotated[list[str] | None, argument("TARGET", TARGET_HELP)] = None,
    suite: Suites = None,
    where: Where = None,
    everything: All = False,
    as_json: Json = False,
) -> None:
    """Check claims by arithmetic, without downloading weights or data.

    Is the accuracy a share of the rows of its split? Do F1, precision and recall come from one confusion matrix? A
    consistent claim can still be false. Exit code 1 means inconsistent or impossible, 3 uninformative.

    Example: zoo audit bert-base-uncased-mrpc
    """
    from harness.auditing.outcome import counts_of_verdicts, data_of, summary_of, text_of
    from zoo.api.audit_result import audit_claims

    session = session_of(sources)
    outcomes = audit_claims(session, targets or [], suite or [], everything, where)
    for outcome in outcomes:
        problems = outcome.audit.problems if outcome.audit else ()
        for line in [*map(str, problems), *([str(outcome.error)] if outcome.error else [])]:
            report_error(line)
    width = render.terminal_width()
    blocks = [text for outcome in outcomes if (text := text_of(outcome, width)) and _is_shown(outcome)]
    data = {"targets": [data_of(outcome) for outcome in outcomes], "summary": counts_of_verdicts(outcomes)}
    render.emit(data, "\n".join([*blocks, "", summary_of(outcomes, width)]), as_json=as_json)
    report_unreachable(outcome.error for outcome in outcomes)
    end(_code(outcome) for outcome in outcomes)


def _is_shown(outcome: "AuditOutcome") -> bool:
    return outcome.has_claims or outcome.is_named


def _code(outcome: "AuditOutcome") -> int:
    if outcome.error is not None:
        return code_of_error(outcome.error, outcome.is_named)
    if outcome.is_unreadable:
        return UsageError.exit_code
    return CODES[outcome.audit.verdict] if outcome.audit and _is_shown(outcome) else 0
