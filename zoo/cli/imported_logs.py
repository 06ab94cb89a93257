"""The part of `zoo evaluate` that imports the logs of other evaluation tools."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo.cli import render
from zoo.cli.exit_codes import OF_VERDICT, end
from zoo.cli.options import OUTPUT, WHAT, option
from zoo.errors import UsageError
from zoo.text_tables import number

if TYPE_CHECKING:
    from harness.imported_logs.types import ImportedLog
    from harness.runs.judged_runs import JudgedRuns
    from zoo.recipes.claim import Claim


class Tool(StrEnum):
    """The tools whose logs can be imported."""

    LM_EVAL = "lm-eval"
    LIGHTEVAL = "lighteval"
    INSPECT = "inspect"


LogTool = Annotated[
    Tool | None,
    option(
        "--from",
        "Import the log PATH of this tool, with a score of each sample: lm-eval, lighteval or inspect. Default: none.",
        WHAT,
        "TOOL",
    ),
]
GroupBy = Annotated[
    str | None,
    option(
        "--group-by",
        "With --from, samples that share this form a group in tests and intervals: 'document', 'task', or a field of"
        " the documents, such as passage. Default: document.",
        WHAT,
        "FIELD",
    ),
]
LogClaims = Annotated[
    list[str] | None,
    option(
        "--claim",
        "With --from, judge that a score was published, such as hellaswag/acc=0.571. Can be repeated. Default: none.",
        WHAT,
        "SCORE=VALUE",
    ),
]
LogFolder = Annotated[
    Path | None,
    option(
        "--out",
        "With --from, write the run to this folder. Default: a folder in the folder of your runs.",
        OUTPUT,
        "DIR",
    ),
]


def import_log(
    path: Path, tool: Tool, group_by: str | None, claims: Sequence[str], out: Path | None, runs: Path, *, as_json: bool
) -> None:
    """Make a run of a log, print its scores, and judge the claims about it."""
    from harness.imported_logs import inspect_ai, lighteval, lm_eval
    from harness.imported_logs.types import DOCUMENT
    from harness.imported_logs.write import precision_of, write_run
    from harness.runs.judged_runs import judged_runs
    from zoo import paths

    read_log = {Tool.LM_EVAL: lm_eval.read_log, Tool.LIGHTEVAL: lighteval.read_log, Tool.INSPECT: inspect_ai.read_log}
    by = group_by or DOCUMENT
    log = read_log[tool](path, by)
    published = [_claim(text, log, precision_of(log)) for text in claims]
    record = write_run(log, by, out, runs, published)
    judged = judged_runs([record], None, folder=runs, evidence=paths.evidence())
    data = _data(log, judged, record)
    render.emit(data, _text(data, judged), as_json=as_json)
    end([OF_VERDICT[judged.verdict] if judged.verdict else 0])


def _claim(text: str, log: "ImportedLog", precision: Any) -> "Claim":
    """Return the claim of `SCORE=VALUE`. Raise UsageError for other texts and scores."""
    from harness.imported_logs.types import CLAIM_OPTION
    from zoo.recipes.claim import Claim

    name, equals, value = text.rpartition("=")
    named = [scores for scores in log.scores if name in (scores.split, scores.metric)]
    if not equals or len(named) != 1:
        known = ", ".join(scores.split for scores in log.scores[:20])
        raise UsageError(f"--claim {text}: write SCORE=VALUE with one of these scores: {known}")
    is_binary = all(sample.score in (0.0, 1.0) for sample in named[0].samples)
    share = _number(text, value)
    try:
        return Claim(
            of="weights", split=named[0].split, metric="accuracy" if is_binary else "mean_score",
            source=CLAIM_OPTION, value=share, precision=precision, written={"value": value},
        )  # fmt: skip
    except (ValueError, UsageError) as error:
        raise UsageError(f"--claim {text}: {error}") from None


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"--claim {text}: {value!r} is no number; write a fraction such as 0.54") from None


def _data(log: "ImportedLog", judged: "JudgedRuns", path: Path) -> dict[str, Any]:
    reported = {scores.split: scores.reported for scores in log.scores}
    results = [
        {"split": result.split, "metric": name, "n": result.n, "measured": score["value"],
         "reported": reported[result.split]}
        for result in judged.record.results
        for name, score in result.metrics.items()
    ]  # fmt: skip
    return {
        "entry": judged.record.entry, "tool": log.tool, "model": log.model, "record": str(path), "results": results,
        "claims": [render.judgement_data(judgement, "weights") for judgement in judged.judgements],
        "findings": list(judged.record.findings),
    }  # fmt: skip


def _text(data: dict[str, Any], judged: "JudgedRuns") -> str:
    headers = ["split", "metric", "measured", "in the log", "n"]
    rows = [
        [result["split"], result["metric"], number(result["measured"], 4), number(result["reported"], 4), result["n"]]
        for result in data["results"]
    ]
    lines = [render.table(headers, rows)]
    lines += [f"{render.claim_line(judgement)}. {judgement.why}" for judgement in judged.judgements]
    lines += [f"note: {finding}" for finding in data["findings"]]
    return "\n".join([*lines, f"wrote {data['record']}"])
