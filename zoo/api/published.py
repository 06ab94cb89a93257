"""Check published models: `zoo.audit`, `zoo.reproduce`, `zoo.verify` and `zoo.list`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from zoo.api.arguments import RunArguments, SourceArguments, pick, session_of
from zoo.api.select_entries import changed_entries
from zoo.api.verify_entries import verify_entries
from zoo.recipes.options import RunOptions, SourceOptions

if TYPE_CHECKING:
    from zoo.api.audit_result import AuditResult
    from zoo.api.results import EntryList, VerificationResult


def audit(
    *targets: str,
    suite: str | Sequence[str] = (),
    all: bool = False,  # noqa: A002 - mirrors --all
    where: str | None = None,
    **options: Unpack[SourceArguments],
) -> "AuditResult":
    """Check published claims by arithmetic, without downloading weights or data.

    Args:
        *targets: Entries, suites, globs, recipe files, OWNER/NAME[@REVISION] of models on the Hub, README.md files, or
            tables of claims.
        suite: A suite, or several.
        all: Whether to audit all shipped entries.
        where: Audit only entries that this expression selects; see `zoo.suites.where`.
        **options: See `SourceOptions` in `zoo.recipes.options`.

    Raises:
        UsageError: No target is named, or a name selects nothing.

    Examples:
        >>> import zoo
        >>> result = zoo.audit("bert-base-uncased-mrpc")
        >>> [claim.text for claim in result.claims]
        ['356 of 408: consistent', 'F1 implies 253 true positives: consistent']
    """
    from zoo.api.audit_result import AuditResult, audit_claims

    suites = [suite] if isinstance(suite, str) else list(suite)
    return AuditResult(tuple(audit_claims(session_of(options, SourceOptions), targets, suites, all, where)))


def reproduce(*entries: str, **options: Unpack[RunArguments]) -> "VerificationResult":
    """Evaluate the published weights of entries, or train them again, and judge their claims.

    Args:
        *entries: Names, suites, globs, paths of recipes, or OWNER/NAME[@REVISION] of a recipe on the Hub.
        **options: `train=True` trains again instead of evaluating the published weights, `seeds` times. See
            `RunOptions` and `SourceOptions` in `zoo.recipes.options` for all options.

    Raises:
        ZooError: An entry failed. Other entries have run by then, and their runs are in the cache.

    Examples:
        >>> import zoo
        >>> result = zoo.reproduce("digits-resnet8")
        >>> result.verdict
        'reproduced'
        >>> [(judgement.claim.metric, judgement.verdict) for judgement in result.claims]
        [('accuracy', 'reproduced')]
    """
    result = verify(*entries, **options)
    result.raise_error()
    return result


def verify(
    *patterns: str,
    suite: str | Sequence[str] = (),
    all: bool = False,  # noqa: A002 - mirrors --all
    where: str | None = None,
    changed_since: str | None = None,
    **options: Unpack[RunArguments],
) -> "VerificationResult":
    """Judge the claims of many entries. An entry that fails does not stop the others; its outcome has the error.

    Args:
        *patterns: Names, suites, globs, paths of recipes, or OWNER/NAME[@REVISION] of a recipe on the Hub, or of a
            model whose card has claims.
        suite: A suite, or several.
        all: Whether to judge all shipped entries.
        where: Judge only entries that this expression selects, such as `"params<30"`; see `zoo.suites.where`.
        changed_since: Judge only entries that differ from this revision of the repository that you are in.
        **options: See `reproduce`.

    Raises:
        UsageError: No entry matches, or an option cannot be used.

    Examples:
        >>> import zoo
        >>> zoo.verify(suite="starter").to_frame()["verdict"].unique().tolist()
        ['reproduced']
    """
    from zoo.api.results import VerificationResult

    session = session_of(options, RunOptions)
    suites = [suite] if isinstance(suite, str) else list(suite)
    everything = all or (changed_since is not None and not (patterns or suites))
    chosen, _ = changed_entries(
        session.entries.select(patterns, suites, everything, where=where), changed_since, session.sources.lock
    )
    return VerificationResult(tuple(verify_entries(session, chosen, pick(RunOptions, options))))


def list_entries(
    *patterns: str, suite: str | Sequence[str] = (), where: str | None = None, **options: Unpack[SourceArguments]
) -> "EntryList":
    """Return entries with their recorded claims. The package exports this function as `zoo.list`.

    Args:
        *patterns: Names, suites, globs, paths of recipes, or OWNER/NAME[@REVISION]. Default: all shipped entries.
        suite: A suite, or several.
        where: Only entries that this expression selects; see `zoo.suites.where`.
        **options: See `SourceOptions` in `zoo.recipes.options`.

    Examples:
        >>> import zoo
        >>> [entry.name for entry in zoo.list("digits*")]
        ['digits-resnet14', 'digits-resnet8', 'digits-resnet8_from_digits-resnet14']
    """
    from zoo.api.results import EntryList

    suites = [suite] if isinstance(suite, str) else list(suite)
    session, everything = session_of(options, SourceOptions), not patterns and not suites
    return EntryList(tuple(session.entries.select(patterns, suites, everything, where=where)))
