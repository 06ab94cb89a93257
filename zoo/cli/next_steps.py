"""The command that settles or explains a verdict."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UnreachableError
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.devices import parse_devices
from zoo.recipes.options import DeviceOptions, RunOptions, SourceOptions, TrainingOptions

if TYPE_CHECKING:
    from harness.judging.judge_runs import Outcome


NOT_EXPLAINED = ("token_classification", "question_answering")
"""Tasks whose predictions `zoo explain` cannot compare."""


def next_step(outcome: "Outcome", options: RunOptions, sources: SourceOptions) -> str | None:
    """Return the command to run next for an entry; None if its verdict is settled or no command can settle it.

    Args:
        outcome: The entry's verdict.
        options: The options of the command that led to it. The next command repeats those that still matter.
        sources: The same.
    """
    words = _words(outcome, options)
    if words is None:
        return None
    kind = DeviceOptions if words[0] == "explain" else TrainingOptions
    compute = [] if words[0] in ("doctor", "fetch") else _compute_arguments(options, kind)
    if words[0] == "fetch" and sources.cache is not None:
        words, sources = [*words, "--to", str(sources.cache)], sources.without_cache()
    return shlex.join(["zoo", *words, *compute, *([] if words[0] == "doctor" else _source_arguments(sources))])


def next_training(
    entry: Entry, options: TrainingOptions, sources: SourceOptions, *, seed: int, out: Path | None
) -> str:
    """Return the command that trains an entry with the next seed, after a training with these options."""
    folder = ["--out", f"{out}-seed{seed + 1}"] if out else []
    arguments = [*_compute_arguments(options, TrainingOptions), *_source_arguments(sources)]
    return shlex.join(["zoo", "train", entry.argument, "--seed", str(seed + 1), *folder, *arguments])


def after_training(entry: Entry, folder: Path, options: TrainingOptions, sources: SourceOptions) -> list[str]:
    """Return the commands for a run that was just made: one draws it, and one judges its claims or shows what
    an upload would send.

    Args:
        entry: The entry that was trained.
        folder: The folder of the run.
        options: The options of the training.
        sources: The same.
    """
    run = str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)
    beside = ["--recipe", entry.argument] if entry.suite == LOCAL and entry.recipe_repo is None else []
    words = ["upload", run, "OWNER/NAME", "--with-data", *beside, "--dry-run"]
    if any(claim.of == "retrain" for claim in entry.recipe.claims):
        compute, where = _compute_arguments(options, TrainingOptions), _source_arguments(sources)
        words = ["reproduce", entry.argument, "--train", *compute, *where]
    return [shlex.join(["zoo", "plot", run]), shlex.join(["zoo", *words])]


def of_training_folder(entry: Entry) -> str:
    """Return what can be done with the weights of a training whose folder is named where published weights are meant.

    Empty if the recipe does not lie in such a folder, or names published weights itself.
    """
    recipe = entry.path
    is_in_run = recipe.name == "recipe.yaml" and recipe.with_name("record.json").is_file()
    if entry.suite != LOCAL or not is_in_run or entry.recipe.weights is not None:
        return ""
    folder, file = shlex.quote(str(recipe.parent)), shlex.quote(str(recipe))
    return (
        f"{recipe.parent} is the folder of a training: `zoo evaluate {folder} --as {file}` scores its weights again,"
        f" and `zoo upload {folder} OWNER/NAME` publishes them with claims that `zoo verify` judges"
    )


def without_claims(entry: Entry) -> list[str]:
    """Return what to do about an entry that has no claims about published weights, for `zoo explain`."""
    if (training := of_training_folder(entry)) or entry.recipe.weights is None:
        again = [f"next: {shlex.join(['zoo', 'reproduce', entry.argument, '--train'])}"] if entry.recipe.stages else []
        return [
            training or "the recipe names no published weights; `zoo explain` compares their score with a claim",
            *again,
        ]
    verify = shlex.join(["zoo", "verify", entry.argument])
    return [f"the recipe has no claims about its published weights: add one to `claims`; then `{verify}` judges it"]


def _words(outcome: "Outcome", options: RunOptions) -> list[str] | None:
    """Return the command and its own arguments."""
    from harness.records.record import FIRST_REFERENCE_SEED, read_record

    name, verdict = outcome.entry.argument, outcome.verdict
    if isinstance(outcome.error, UnreachableError):
        return ["fetch", name, *(["--train"] if outcome.mode == "retrain" else [])]
    if outcome.error is not None:
        return None
    kinds = {judgement.claim.of for judgement in outcome.judgements}
    is_untested = outcome.mode not in kinds
    if outcome.mode == "weights":
        if (verdict == "not-run" or (is_untested and "retrain" in kinds)) and outcome.entry.recipe.stages:
            return ["reproduce", name, "--train"]
        if verdict != "not-reproduced":
            return None
        if outcome.entry.recipe.task.use in NOT_EXPLAINED:
            return ["doctor", name]
        part = outcome.entry.part_of_card
        return ["explain", name, *(["--claim", part] if part else [])]
    further = [judgement.further_seeds for judgement in outcome.judgements if judgement.claim.of == "retrain"]
    if verdict == "inconclusive" and (more := max(filter(None, further), default=0)):
        first = ["--first-seed", str(options.first_seed)] if options.first_seed else []
        return ["reproduce", name, "--train", "--seeds", str(len(outcome.records) + more), *first]
    if is_untested and "weights" in kinds:
        return ["reproduce", name]
    leads_to_claims = not kinds and outcome.entry.suite == LOCAL and options.first_seed < FIRST_REFERENCE_SEED
    if leads_to_claims and not any(read_record(path).failure for path in outcome.records):
        return ["reproduce", name, "--train", "--seeds", "5", "--first-seed", str(FIRST_REFERENCE_SEED)]
    return ["doctor", name] if verdict == "not-reproduced" else None


def _compute_arguments(options: TrainingOptions, kind: type[DeviceOptions]) -> list[str]:
    """Return the options that change what is computed, or where the runs are stored."""
    arguments = ["--device", parse_devices(options.device)[0]] if options.device else []
    arguments += ["--precision", options.precision] if options.precision != "fp32" else []
    if issubclass(kind, TrainingOptions):
        arguments += ["--strict"] if options.strict else []
        arguments += ["--micro-batch", str(options.micro_batch)] if options.micro_batch else []
        arguments += ["--records", str(options.records)] if options.records else []
    return arguments


def _source_arguments(sources: SourceOptions) -> list[str]:
    """Return the options that the environment does not give."""
    default = SourceOptions()
    arguments = [word for package in sources.trust for word in ("--trust", package)]
    arguments += ["--lock", str(sources.lock)] if sources.lock != default.lock else []
    arguments += ["--mirror", str(sources.mirror)] if sources.mirror != default.mirror else []
    arguments += ["--cache", str(sources.cache)] if sources.cache not in (None, default.cache) else []
    named = {name: folder for name, folder in sources.data.items() if default.data.get(name) != folder}
    return [*arguments, *(word for name, folder in named.items() for word in ("--data", f"{name}={folder}"))]
