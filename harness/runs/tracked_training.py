"""A training that is shown in the trackers that the user names."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.records.record import Record
from harness.runs.run_location import RunLocation
from harness.tracking.log_to import LogToTrackers
from harness.tracking.tracker import TrackedTraining


@contextmanager
def tracked(location: RunLocation) -> Iterator[LogToTrackers]:
    """Yield the trackers of a training, and end their runs with the block; after an error, as not complete."""
    context, identity = location.context, location.identity
    training = TrackedTraining(
        name=f"{location.entry.name}/{identity.folder}",
        config={
            "entry": location.entry.name,
            "seed": identity.seed,
            "precision": context.options.precision,
            "key": identity.key,
            "recipe": location.entry.recipe.data(),
        },
        folder=context.runs,
        work=location.work,
    )
    names = context.options.log_to if context.accelerator.is_main_process else ()
    trackers = LogToTrackers(names, training, context.report)
    try:
        yield trackers
    except BaseException:
        trackers.results = {}
        trackers.close(is_complete=False)
        raise
    trackers.close(is_complete=True)


def scores_by_name(record: Record) -> dict[str, float]:
    """Return the scores of a record by name, such as `results/test/accuracy`; of two epochs, those of the best one."""
    return {
        f"results/{result.split}/{metric}": score["value"]
        for result in record.results
        for metric, score in result.metrics.items()
        if score["value"] is not None
    }
