"""Read runs: `zoo.plot` and `zoo.read_record`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from zoo.api.arguments import SourceArguments, session_of
from zoo.errors import UsageError
from zoo.recipes.options import SourceOptions

if TYPE_CHECKING:
    from harness.pictures.picture import Picture
    from zoo.api.recorded_run import RunTables


def plot(
    *runs: str | Path,
    only: str | Sequence[str] = (),
    out: str | Path | None = None,
    records: str | Path | None = None,
    **options: Unpack[SourceArguments],
) -> "Picture":
    """Draw training curves of one or more runs, and the seeds of an entry against its claimed score.

    Args:
        *runs: Folders of runs, also of trainings that were stopped, records, ENTRY:SEED, or entries with all their
            trainings.
        only: What to draw: `loss`, a loss term, `lr`, a metric, a split, or `seeds`. Default: everything.
        out: Also write the picture to this `.svg`, `.png` or `.pdf` file.
        records: The folder of your runs. Default: that of the other functions.
        **options: See `SourceOptions` in `zoo.recipes.options`.

    Returns:
        A figure of matplotlib, which notebooks show.

    Raises:
        UsageError: No run is named, a name is not known, or there is nothing to draw.

    Examples:
        >>> import zoo
        >>> figure = zoo.plot("digits-resnet8_from_digits-resnet14", only="seeds")
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['accuracy on test']
    """
    from zoo.api.plots import folders_of, plot_runs

    names = [only] if isinstance(only, str) else list(only)
    session = session_of(options, SourceOptions)
    if not runs:
        raise UsageError("name a run, such as the folder that a training has written")
    folders = folders_of(session, None if records is None else Path(records))
    picture = plot_runs([str(run) for run in runs], names, folders).picture
    if out is not None:
        picture.write(Path(out))
    return picture


def read_record(run: str | Path, *, records: str | Path | None = None) -> "RunTables":
    """Return a recorded run as tables: its scores, its predictions and its training log.

    Args:
        run: The folder of a run, its record file, or ENTRY, `ENTRY:SEED` or `ENTRY:weights`.
        records: The folder of runs to search first. Default: that of your runs. The committed records come after it.

    Raises:
        UsageError: There is no such run, or there are several.
        IntegrityError: The record, or a file beside it, was changed.

    Examples:
        >>> import zoo
        >>> run = zoo.read_record(zoo.reproduce("digits-resnet8").records[0])
        >>> run.predictions_frame()["right"].sum()
        np.int64(879)
    """
    from harness.diagnosis.diff.find_record import find_record
    from zoo import paths
    from zoo.api.recorded_run import tables_of

    folder = paths.runs(None if records is None else Path(records))
    name_of = session_of({}, SourceOptions).entries.name_of
    return tables_of(find_record(str(run), folder, paths.evidence(), name_of))
