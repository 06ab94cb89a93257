"""Make the runs that the claims of entries need."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

from torch import nn

from harness.judging.judge_runs import NO_WEIGHTS, EntryRuns
from harness.models.quantized import is_quantized_call
from harness.records.record import FILE, Mode
from harness.runs.experiment import Experiment, RunContext, checked_builder, prepare
from harness.runs.identity import weights_identity
from harness.runs.job_progress import job_progress
from harness.runs.record_runs import evaluate_and_record, train_and_record
from harness.runs.shared_images import SharedImages
from zoo.error_translation import translate_errors
from zoo.errors import NotComparableError, ZooError
from zoo.fetch.source_types import Embedded, LocalFile, parse_source
from zoo.recipes.catalogue import Entry
from zoo.recipes.positions import located_in
from zoo.recipes.prefetch import give_up_downloads


@dataclass(frozen=True)
class PreparedEvaluation:
    """An entry whose published weights can be evaluated, and its model if that was loaded ahead of time."""

    experiment: Experiment
    published: tuple[nn.Module, str] | None = None


def make_runs(wanted: Iterable[tuple[Entry, list[int]]], mode: Mode, context: RunContext) -> Iterator[EntryRuns]:
    """Make the missing runs of entries for their claims of a mode, one at a time.

    An error becomes part of the result of its entry.

    Args:
        wanted: The entries, each with the seeds to train it with.
        mode: `weights` to evaluate published weights, `retrain` to train.
        context: Where and how runs are made.
    """
    listed = list(wanted)
    evaluated = [entry for entry, _ in listed] if mode == "weights" else []
    with closing(SharedImages(evaluated, context.report)) as images, job_progress(listed, mode, context) as job:
        context = replace(context, run_over=job.run_over)
        for number, (entry, seeds, prepared) in enumerate(_prepared_ahead(listed, mode, context)):
            try:
                with translate_errors(entry.name), located_in(entry.recipe):
                    if mode == "weights":
                        ready = prepared.result() if prepared else _prepare(entry, context)
                        runs = _evaluate(entry, ready, images)
                    else:
                        experiment = prepare(entry, context)
                        trained, published = train_and_record(experiment, seeds), experiment.published_scores()
                        runs = EntryRuns(entry=entry, mode=mode, runs=trained, published=published)
            except NotComparableError as error:
                runs = EntryRuns(entry=entry, mode=mode, not_comparable=str(error))
            except ZooError as error:
                runs = EntryRuns(entry=entry, mode=mode, error=error)
            del prepared  # and with it the model
            job.entry_over(number)
            yield runs


def _prepared_ahead(
    wanted: list[tuple[Entry, list[int]]], mode: Mode, context: RunContext
) -> Iterator[tuple[Entry, list[int], "Future[PreparedEvaluation | None] | None"]]:
    """Yield entries and seeds, and if several entries are evaluated, the preparation of each in another thread.

    While the published weights of an entry are evaluated, those of the next one are downloaded, verified and loaded,
    and its texts are tokenized. So at most two models are in memory.
    """
    if mode == "retrain" or context.accelerator.num_processes > 1 or len(wanted) < 2:
        yield from ((entry, seeds, None) for entry, seeds in wanted)
        return
    with ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(prepare_evaluation, wanted[0][0], context)]
        try:
            for index, (entry, seeds) in enumerate(wanted, 1):
                pending += [pool.submit(prepare_evaluation, wanted[index][0], context)] if index < len(wanted) else []
                yield entry, seeds, pending.pop(0)
        except (KeyboardInterrupt, GeneratorExit):
            give_up_downloads(context.builder.sources)
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def prepare_evaluation(entry: Entry, context: RunContext) -> PreparedEvaluation | None:
    """Prepare an entry, and if its record is missing, load its model and tokenize its rows; None without weights.

    If nothing has to be downloaded or tokenized, loading takes little time, and reading files would only slow down the
    evaluation that runs meanwhile. The model is then loaded later.
    """
    prepared = _prepare(entry, context)
    if prepared is None:
        return None
    experiment, weights = prepared.experiment, str(entry.recipe.weights)
    if is_quantized_call(entry.recipe.model):  # building it sets the kernels of quantized models for the whole process
        return prepared
    if experiment.tokenizer is None and isinstance(parse_source(weights), Embedded | LocalFile):
        return prepared
    folder = context.runs / entry.name / weights_identity(experiment).folder
    if not context.fresh and (folder / FILE).exists():
        return prepared
    for split in experiment.task.scored:
        getattr(experiment.task.load(split), "tokens", None)
    return PreparedEvaluation(experiment, experiment.published_model())


def _prepare(entry: Entry, context: RunContext) -> PreparedEvaluation | None:
    if entry.recipe.weights is None:
        checked_builder(entry, context)
        return None
    return PreparedEvaluation(prepare(entry, context))


def _evaluate(entry: Entry, prepared: PreparedEvaluation | None, images: SharedImages) -> EntryRuns:
    if prepared is None:
        return EntryRuns(entry=entry, mode="weights", skipped=NO_WEIGHTS)
    with images.used_by(entry, prepared.experiment.task):
        run = evaluate_and_record(prepared.experiment, prepared.published)
    return EntryRuns(entry=entry, mode="weights", runs=(run,), published=run[1].published)
