"""Train and evaluate models: `zoo.train`, `zoo.evaluate` and `zoo.submit`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from zoo.api.arguments import DeviceArguments, EvaluationArguments, TrainingArguments, pick, session_of
from zoo.api.train_entry import evaluate_entry, train_entry
from zoo.recipes.options import DeviceOptions, EvaluationOptions, TrainingOptions

if TYPE_CHECKING:
    from zoo.api.results import EvaluationResult, TrainingResult
    from zoo.api.submission import SubmissionResult


def train(
    recipe: str, *, seed: int = 0, out: str | Path | None = None, **options: Unpack[TrainingArguments]
) -> "TrainingResult":
    """Train a recipe once and evaluate the result. An interrupted training resumes from its checkpoint.

    Args:
        recipe: The path of a recipe, or an entry.
        seed: The seed.
        out: A new folder for the weights, the log, the predictions and the record. Default: a folder in `records`.
        **options: See `TrainingOptions` and `SourceOptions` in `zoo.recipes.options`.

    Raises:
        ZooError: The training failed.

    Examples:
        >>> import zoo
        >>> result = zoo.train("digits-resnet8", seed=1)  # doctest: +SKIP
        >>> result.to_frame()  # doctest: +SKIP
          split    metric     value    n epoch
        0  test  accuracy  0.974388  898  last
    """
    session = session_of(options, TrainingOptions)
    folder = None if out is None else Path(out)
    return train_entry(
        session, session.entries.select_to_train(recipe), pick(TrainingOptions, options), seed=seed, out=folder
    )


def evaluate(
    path: str | Path, *, as_entry: str, split: str | None = None, **options: Unpack[EvaluationArguments]
) -> "EvaluationResult":
    """Score weights or predictions of your own on an entry's task. The entry's claims are shown, not judged.

    Args:
        path: Weights (a `.safetensors` or `.pt` file, or a folder of `train`), or predictions (`.npz`, `.csv`, `.tsv`
            or `.jsonl`).
        as_entry: The entry whose task and model are used.
        split: The split of a predictions file. Default: the first scored split of the task.
        **options: See `EvaluationOptions` and `SourceOptions` in `zoo.recipes.options`.

    Raises:
        ZooError: The file cannot be read, or does not fit the entry.

    Examples:
        >>> from zoo.paths import PACKAGE
        >>> import zoo
        >>> result = zoo.evaluate(PACKAGE / "starter/digits-resnet8.safetensors", as_entry="digits-resnet8")
        >>> result.scores[0].metric, round(result.scores[0].value, 3)
        ('accuracy', 0.979)
    """
    session = session_of(options, EvaluationOptions)
    return evaluate_entry(
        session, session.entries.select_one(as_entry), pick(EvaluationOptions, options), Path(path), split
    )


def submit(
    *models: str | Path, out: str | Path, suite: str | Sequence[str] = (), **options: Unpack[DeviceArguments]
) -> "SubmissionResult":
    """Predict GLUE's hidden test labels, and write a submission for its test server.

    Args:
        *models: For each task an entry, whose published weights predict, or the folder of a run of `train`.
        out: The folder for `submission.zip` and the files in it.
        suite: A suite, or several.
        **options: See `DeviceOptions` and `SourceOptions` in `zoo.recipes.options`.

    Raises:
        ZooError: A model has no weights or another task than GLUE's, or the files cannot be written.

    Examples:
        >>> import zoo
        >>> result = zoo.submit(suite="glue", out="submission")  # doctest: +SKIP
        >>> result.path, result.problems  # doctest: +SKIP
        (PosixPath('submission/submission.zip'), ())
    """
    from harness.runs import glue_submission
    from zoo.api.submission import SubmissionResult, predict, select_models

    session, suites = session_of(options, DeviceOptions), [suite] if isinstance(suite, str) else list(suite)
    chosen = select_models(session.entries, [str(model) for model in models], suites)
    path = glue_submission.write(predict(session, chosen, pick(DeviceOptions, options)), Path(out))
    return SubmissionResult(path=path, problems=tuple(glue_submission.check(path)))
