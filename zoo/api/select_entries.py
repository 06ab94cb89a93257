"""Select entries: by name, suite, path and expression, from the Hub, and by what changed in git."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import paths
from zoo.error_translation import translate_errors
from zoo.errors import MissingError, SourceError, UsageError, ZooError
from zoo.fetch.source_types import HF, HUB, HUB_NAME, HubRepo
from zoo.progress import Report, ShowProgress
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import SweepOptions
from zoo.recipes.other_files import is_other_file
from zoo.recipes.suite_entries import entries_of, filtered
from zoo.suites.known import ORIGINS, TIMM, StoredSuite, load_suite, wanted_suites
from zoo.suites.timm_results import TABLES

if TYPE_CHECKING:
    from zoo.fetch.sources import Sources

SEARCHED = 20
"""The number of models of a search, unless another one is passed."""


def changed_entries(
    entries: list[Entry], revision: str | None, lock: Path | None
) -> tuple[list[Entry], dict[str, str]]:
    """Return the entries that differ from a git revision, and why each does; all of them for None.

    Args:
        entries: The entries.
        revision: A revision of the repository that the working directory is in, or None.
        lock: The lock in use, if it is not the project's.
    """
    if revision is None:
        return entries, {}
    from zoo.recipes.changes import changed_since

    reasons = changed_since(revision, entries, lock)
    return [entry for entry in entries if entry.name in reasons], reasons


@dataclass(frozen=True, kw_only=True)
class EntrySelection:
    """Selects entries.

    Attributes:
        fetcher: Returns the object that fetches and verifies files, see `Session.fetcher`.
        report: Shows a message.
        show_progress: Shows the progress of a named piece of work in a `with` block.
    """

    fetcher: "Callable[..., Sources]"
    report: Report
    show_progress: ShowProgress

    def select(
        self,
        patterns: Sequence[str],
        suites: Sequence[str],
        everything: bool,
        *,
        refresh: bool = False,
        where: str | None = None,
        report_unsupported: bool = True,
    ) -> list[Entry]:
        """Return the entries that names, suites, globs, paths and names on the Hub select.

        Args:
            patterns: Names, suites, globs, paths of recipes, or [hf://]OWNER/NAME[@REVISION] of a model or recipe.
            suites: Names of suites. With patterns, only entries that a pattern selects too.
            everything: Whether to select all shipped entries.
            refresh: Whether to ask the Hub for the newest revision of published recipes, instead of the pinned one.
            where: Only entries that this expression selects, see `zoo.suites.where`. Default: all.
            report_unsupported: Whether to report how many rows of generated suites are no entries.

        Raises:
            UsageError: No pattern and no suite is passed, or a pattern matches nothing.
        """
        if not (patterns or suites or everything):
            raise UsageError(
                "nothing to do: name entries, suites, globs or recipe files, or pass --suite NAME or --all"
            )
        if everything and patterns:  # suites may be defaults of a configuration file, which --all overrules
            raise UsageError(f"--all selects all shipped entries; leave it out to select {', '.join(patterns)}")
        published = list({name.removeprefix(HF): name for name in patterns if _is_hub_name(name)}.values())
        if published and suites:
            raise UsageError(f"{published[0]} is on the Hub and in no suite; leave out --suite")
        shipped = [name for name in patterns if not _is_hub_name(name)]
        stored = [] if everything else self._stored_suites(shipped, suites)
        chosen = self._of_catalogues(shipped, suites, everything, stored) if shipped or suites or everything else []
        found = [entry for name in published for entry in self._published_or_failure(name, refresh)]
        selected = filtered(chosen + found, where)
        for suite in stored if report_unsupported else ():
            if (count := len(suite.suite.unsupported)) and suite.name in (*suites, *shipped):
                self.report(f"{suite.name}: {count} more are not supported; `{self._list_suite(suite.name)}` says why")
        return selected

    def select_and_sweep(
        self,
        patterns: Sequence[str],
        suites: Sequence[str],
        everything: bool,
        sweep: SweepOptions,
        *,
        where: str | None = None,
    ) -> list[Entry]:
        """Return the entries of `select` and those of `sweep`, each once. Raises the errors of both."""
        is_named = bool(patterns or suites or everything) or not sweep.is_used
        named = self.select(patterns, suites, everything, where=where) if is_named else []
        return list(dict.fromkeys([*named, *(self.sweep(sweep) if sweep.is_used else ())]))

    def _list_suite(self, name: str) -> str:
        """Return the command that lists a generated suite, with the folder of tables that only this command names."""
        folder = self.fetcher().folder(TIMM) if name in TABLES else None
        is_named = folder is not None and paths.data().get("timm") != folder
        return shlex.join(["zoo", "suite", name, *(["--data", f"timm={folder}"] if is_named else [])])

    def suite(self, name: str) -> StoredSuite:
        """Return a generated suite. Raise ZooError if its catalogue is not available."""
        return load_suite(name, self.fetcher(selection=name))

    def sweep(self, options: SweepOptions) -> list[Entry]:
        """Return the entries of many models of the Hub, those with the same task side by side.

        A model that cannot be read does not stop the others. Models that exceed a limit are left out and reported.

        Raises:
            UsageError: The file, the query or a limit is malformed.
            SourceError: The file or the Hub cannot be read, there is no model in them, or all are left out.
        """
        from zoo.claims.sweep import grouped, parse_size, within_budget

        budget = parse_size(options.max_bytes) if options.max_bytes else None
        names = self._names_of_sweep(options)
        found: list[Entry] = []
        with self.show_progress("read model cards", "models") as step:
            for number, name in enumerate(names):
                step(number, len(names))
                found += self._published_or_failure(f"{HF}{name}", False)
        entries = grouped(found)
        if budget is None:
            return entries
        affordable = within_budget(entries, budget, self.fetcher(selection=catalogue.selection_of(entries)))
        for entry in affordable.left_out:
            self.report(f"--max-bytes {options.max_bytes}: {entry.title} is left out")
        if not affordable.entries:
            raise SourceError(f"--max-bytes {options.max_bytes}: no model is left to verify; pass a larger size")
        return list(affordable.entries)

    def _names_of_sweep(self, options: SweepOptions) -> list[str]:
        """Return the names of the models in a file and of a search, each once, and report how many are too many."""
        from zoo.claims.sweep import parse_query, read_names

        names = read_names(options.from_file) if options.from_file else []
        if options.search is not None:
            query, most = parse_query(options.search), options.max_models or SEARCHED
            found = self.fetcher().hub.search(query, most)
            if not found:
                raise SourceError(f"--search {options.search!r}: the search found no model; use other words or tags")
            names += found
        elif not names:
            raise SourceError(f"--from {options.from_file}: the file names no model; write one OWNER/NAME a line")
        distinct = list(dict.fromkeys(name.removeprefix(HF) for name in names))
        chosen = distinct[: options.max_models]
        if len(chosen) < len(distinct):
            self.report(f"--max-models {options.max_models}: {len(distinct) - len(chosen)} models are left out")
        return chosen

    def select_one(self, pattern: str, claim: str | None = None) -> Entry:
        """Return the single entry that a name, a path or a name on the Hub selects. Raise UsageError otherwise.

        Args:
            pattern: The name or path.
            claim: For a model card with several recipes, the claim or the data set of one, see `with_claim`.
        """
        from zoo.claims.claim_names import recipes_list, with_claim

        if not _is_hub_name(pattern):
            return catalogue.only_one(pattern, self._of_catalogues([pattern], [], False))
        entries = self._published(pattern, False)
        entries = with_claim(entries, claim, pattern) if claim is not None else entries
        if len(entries) > 1:
            one = f"`zoo recipe {pattern} --claim {entries[0].part_of_card} --out PATH`"
            raise UsageError(
                f"{pattern} has {len(entries)} recipes; `zoo explain` takes one with --claim, other commands its file,"
                f" which {one} writes: {recipes_list(entries)}"
            )
        return entries[0]

    def select_to_train(self, pattern: str, next_training: Callable[[Entry, int], str] | None = None) -> Entry:
        """Return the entry of `select_one`. Raise UsageError for the folder of a run, which is finished.

        Its recipe can be named, so that nobody trains it again by mistake.

        Args:
            pattern: The name or path.
            next_training: Returns the command that trains an entry with the seed after that of a run, for the message.
                Default: `zoo train` without options.
        """
        entry, folder = self.select_one(pattern), Path(pattern)
        recipe = folder / "recipe.yaml"
        if entry.path == recipe and (folder / "record.json").is_file():
            from harness.records.record import read_record

            seed = read_record(folder / "record.json").identity.seed
            last = -1 if seed is None else seed  # None for a run that has trained nothing
            plain = f"zoo train {shlex.quote(str(recipe))} --seed {last + 1}"
            again = next_training(entry, last) if next_training else plain
            raise UsageError(
                f"{pattern} is the folder of a finished run: `zoo plot {shlex.quote(pattern)}` draws it, and `{again}`"
                " trains its recipe again with another seed"
            )
        return entry

    def name_of(self, pattern: str) -> str:
        """Return the name of the entry that `select_one` selects. Raise RecipeError if its recipe cannot be read."""
        return self.select_one(pattern).recipe.name

    def _stored_suites(self, patterns: Sequence[str], suites: Sequence[str]) -> list[StoredSuite]:
        return [self.suite(name) for name in wanted_suites(patterns, suites)]

    def _of_catalogues(
        self,
        patterns: Sequence[str],
        suites: Sequence[str],
        everything: bool,
        stored: Sequence[StoredSuite] | None = None,
    ) -> list[Entry]:
        """Return the selected entries that are shipped, in generated suites, or in files."""
        stored = self._stored_suites(patterns, suites) if stored is None else stored
        generated = [entry for suite in stored for entry in entries_of(suite)]
        unsupported = {row.name: row.reason for suite in stored for row in suite.suite.unsupported}
        for pattern in patterns:
            if pattern in unsupported:
                raise UsageError(f"{pattern} is not supported: {unsupported[pattern]}")
        return catalogue.select(list(patterns), list(suites), everything, generated=generated, suite_names=[*ORIGINS])

    def _published_or_failure(self, name: str, refresh: bool) -> list[Entry]:
        """Return the entries of a model or recipe of the Hub, or one that raises the error where it is used."""
        plain = name.removeprefix(HF)
        try:
            with translate_errors(plain):
                return self._published(name, refresh)
        except ZooError as error:
            return [Entry(plain, catalogue.LOCAL, Path(plain), requested_repo=f"{HUB}{plain}", failure=error)]

    def _published(self, name: str, refresh: bool) -> list[Entry]:
        """Return the recipe in a repository on the Hub, or else those that zoo makes of the claims in its card.

        All files are read at one commit. `hub:.` in a published recipe is its repository.
        """
        repository = HubRepo.parse(f"{HUB}{name.removeprefix(HF)}")
        sources = self.fetcher(selection=shlex.quote(catalogue.hub_argument(name)))
        wanted = replace(repository, revision=sources.hub.commit(repository)) if refresh else repository
        try:
            fetched = sources.fetch(str(wanted), catalogue.PUBLISHED)
        except MissingError:
            from harness.auditing.outcome import contradictions_in
            from zoo.claims.card_entries import entries_of_model

            return entries_of_model(wanted, sources, repository, contradictions_in)
        at_commit = replace(repository, revision=fetched.revision)
        return [catalogue.local(fetched.path / catalogue.PUBLISHED, str(at_commit), str(repository))]


def _is_hub_name(name: str) -> bool:
    plain = name.removeprefix(HF)
    if plain == name and (Path(name).exists() or is_other_file(Path(name))):
        return False
    return HUB_NAME.fullmatch(plain) is not None
