"""Verify some entries, add their records to the leaderboard, and write a report, as `.github/workflows/live.yml` does.

The entries that were never verified come first, then those whose record is the oldest; among these, cheap ones first.
An entry that fails waits 2 days, then 4, 8, 16 and 32. Runs go into a folder outside of the checkout, because records
of a checkout with changes are refused; they are added to `leaderboard/records/` at the end.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from huggingface_hub import constants

from benchmarks.live import storage
from benchmarks.live.attempts import read_attempts, write_attempts
from benchmarks.live.candidates import candidates, evaluable, missing_data
from benchmarks.live.commands import download_sizes, verify, write_pages
from benchmarks.live.night import Night, runs_below
from benchmarks.live.report import report, verdicts
from zoo import paths

MOST_HOURS = 4.5
"""The job of live.yml ends after 320 minutes, and needs some for the installation and the pages."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one night; return 1 if every entry that was tried has failed."""
    options = _parser().parse_args(arguments)
    entries = evaluable(options.entries)
    skipped = {entry.name: why for entry in entries if (why := missing_data(entry))}
    entries = [entry for entry in entries if entry.name not in skipped]
    names = [entry.name for entry in entries]
    night = Night(today=options.date, attempts=read_attempts(options.attempts))
    found = candidates(
        entries,
        evidence=[paths.evidence(), *([options.proposed] if options.proposed else [])],
        attempts=night.attempts,
        sizes=download_sizes(names),
    )
    cache = Path(constants.HF_HUB_CACHE)
    for name in night.run(found, options.runs, verify, seconds=3600 * options.hours, most=options.most):
        print(f"{name}: {night.attempts[name].problem or 'verified'}", flush=True)
        storage.delete_weights(cache)
        write_attempts(options.attempts, night.attempts)
    storage.keep_below(cache, int(options.cache_gb * 1e9))
    proposed = runs_below(options.proposed, names) if options.proposed else []
    _publish(options.report, night, [*proposed, *runs_below(options.runs, names)], skipped)
    return int(bool(night.failed) and not night.verified)


def _publish(path: Path, night: Night, found: Sequence[tuple[str, Path]], skipped: dict[str, str]) -> None:
    """Add the runs to the committed records, write the leaderboard anew, and write the report."""
    evidence = paths.evidence()
    chosen = evaluable(list(dict.fromkeys(name for name, _ in found))) if found else []
    before = verdicts(evidence, chosen)
    added = night.add_records(found, evidence)
    after = {claim: row for claim, row in verdicts(evidence, chosen).items() if claim[0] in added}
    if added:
        write_pages()
    path.write_text(report(night, before=before, after=after, skipped=skipped), encoding="utf-8")


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 < hours <= MOST_HOURS:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MOST_HOURS}; a job of live.yml has 320 minutes")
    return hours


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("entries", nargs="*", help="entries or globs. Default: the 41 entries of Matsubara (2023)")
    parser.add_argument(
        "--runs", type=Path, required=True, help="an empty folder for the runs, outside of the checkout"
    )
    parser.add_argument("--attempts", type=Path, required=True, help="the file with what earlier nights tried")
    parser.add_argument("--report", type=Path, required=True, help="the Markdown file to write")
    parser.add_argument("--proposed", type=Path, help="records of an open pull request, which are added too")
    parser.add_argument(
        "--hours", type=_hours, default=MOST_HOURS, help="the time for the entries, at most 4.5. Default: 4.5"
    )
    parser.add_argument("--most", type=int, default=10, help="the most entries to try. Default: 10")
    parser.add_argument("--cache-gb", type=float, default=5.0, help="what the Hub's cache may keep. Default: 5")
    parser.add_argument(
        "--date", type=date.fromisoformat, default=datetime.now(UTC).date(), help="the day. Default: today"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
