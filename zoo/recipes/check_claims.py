"""Check that a run of the recipe can test its claims, and that the recipe names splits and metrics that exist."""

from collections.abc import Iterator, Sequence

from zoo.errors import Problem, did_you_mean
from zoo.recipes.allowed import SKLEARN_METRICS, is_allowed, namespace_of
from zoo.recipes.claim import Claim
from zoo.recipes.metric_names import metric_name
from zoo.recipes.schema import Holdout, Recipe
from zoo.recipes.stage import Stage
from zoo.recipes.values import short_name
from zoo.recipes.walk import walk_calls
from zoo.tasks.base import Task

ERRORS = tuple(name for name in SKLEARN_METRICS if name.endswith(("error", "loss", "deviance")))
"""The metrics of scikit-learn that are smaller for a better model."""
NOTHING_SCORED = (
    "the task has no split to score; name one beside `train` in the task,"
    " or take rows out of the training: `holdout: {of: train, share: 0.1, seed: 42}`"
)


def claim_problems(recipe: Recipe, task: Task | None) -> Iterator[Problem]:
    """Yield claims that no run of the recipe can test, and splits and metrics in them that it does not have.

    Claims of test servers are never compared, so they may name any split and metric.

    Args:
        recipe: The recipe.
        task: Its task, with or without its hold-out; None if it is not known.
    """
    for number, claim in enumerate(recipe.claims):
        if claim.of == "weights" and recipe.weights is None:
            advice = "add the key 'weights' to the recipe, or claim `of: retrain`"
            yield _problem(recipe, number, claim, "of", f"the recipe has no weights to evaluate; {advice}")
        elif claim.of == "retrain" and not recipe.stages and recipe.weights is None:
            yield _problem(
                recipe, number, claim, "of", "the recipe has neither stages to train nor weights to evaluate"
            )
        elif claim.of == "retrain" and claim.selection == "best" and _ends_with_last_epoch(recipe):
            message = "the last stage ends with its last epoch; write `selection: best` in the stage, or `last` here"
            yield _problem(recipe, number, claim, "selection", message)
        if claim.of != "test-server":
            yield from _other_rows(number, claim, recipe)
            yield from _claim_names(number, claim, recipe, task) if task is not None else ()


def stage_name_problems(recipe: Recipe, task: Task | None, stage_tasks: Sequence[Task | None]) -> Iterator[Problem]:
    """Yield splits and metrics that a hold-out or stages name, and that the tasks do not have, score or measure.

    Args:
        recipe: The recipe.
        task: Its task, with or without its hold-out; None if it is not known.
        stage_tasks: For each stage, the task that it trains on; None if it is not known.
    """
    for stage, own in zip(recipe.stages, stage_tasks, strict=True) if recipe.weights is None else ():
        if own is not None and stage.split not in (splits := [*own.splits, *_held_out(own, recipe.holdout)]):
            message = f"{own.name} has no split {stage.split!r}{_known('splits', stage.split, splits)}"
            yield Problem(stage.marks.get("split", stage.optimizer.mark), message)
    if task is None:
        return
    for split in recipe.rows:
        if split not in task.splits or (recipe.holdout is not None and split == recipe.holdout.name):
            yield Problem(recipe.marks["rows"], f"rows: {_no_split(split, task, recipe.holdout)}")
    if recipe.holdout is not None and (of := recipe.holdout.of) not in task.splits:
        message = f"holdout: the task has no split {of!r}{did_you_mean(of, list(task.splits))}"
        yield Problem(recipe.marks["holdout"], message)
    if task.threshold_from and task.threshold_from not in (splits := [*task.splits, *_held_out(task, recipe.holdout)]):
        message = f"threshold_from cannot be {task.threshold_from!r}{_known('splits', task.threshold_from, splits)}"
        yield Problem(recipe.task.marks.get("threshold_from", recipe.task.mark), message)
    if not _scored(recipe, task):
        yield Problem(recipe.task.mark, NOTHING_SCORED)
        return
    for stage in recipe.stages:
        yield from _selection_problems(stage, _scored(recipe, task), _measured(recipe, task))


def _other_rows(number: int, claim: Claim, recipe: Recipe) -> Iterator[Problem]:
    """Yield a claim about other rows of its split than the recipe reads."""
    claimed, read = claim.rows, recipe.rows.get(claim.split)
    if claimed == read:
        return
    of_claim = f"names the rows {claimed}" if claimed else "names no rows"
    of_recipe = f"only the rows {read}" if read else "all rows"
    message = (
        f"the claim {of_claim} of {claim.split!r}, but the recipe reads {of_recipe}; write the same `rows` in both"
    )
    yield _problem(recipe, number, claim, "rows" if claimed else "split", message)


def _no_split(split: str, task: Task, holdout: Holdout | None) -> str:
    """Return why rows of a split cannot be chosen."""
    if holdout is not None and split == holdout.name:
        return f"{split!r} is the hold-out, which is chosen from the rows of {holdout.of!r}: name rows of that split"
    known = [name for name in task.splits if holdout is None or name != holdout.name]
    return f"the task has no split {split!r}{_known('splits', split, known)}"


def _claim_names(number: int, claim: Claim, recipe: Recipe, task: Task) -> Iterator[Problem]:
    scored, metrics = _scored(recipe, task), _measured(recipe, task)
    if claim.split not in scored:
        is_chosen = claim.split in task.splits and short_name(recipe.task) == "text_classification"
        advice = "; name it in `scored` of the task to score it" if is_chosen else ""
        known = _known("scored", claim.split, scored)
        message = f"the split {claim.split!r} is not scored by {task.name}{known}{advice}"
        yield _problem(recipe, number, claim, "split", message)
    if claim.metric not in metrics:
        is_known = is_allowed(f"{namespace_of(claim.metric, 'metrics')}.{claim.metric}", "metrics")
        advice = "; name it in `metrics` to measure it" if is_known else ""
        message = f"the metric {claim.metric!r} is not measured{_known('measured', claim.metric, metrics)}{advice}"
        yield _problem(recipe, number, claim, "metric", message)


def _selection_problems(stage: Stage, scored: Sequence[str], metrics: Sequence[str]) -> Iterator[Problem]:
    if stage.selected_on is not None and stage.selected_on not in scored:
        message = f"selected_on cannot be {stage.selected_on!r}{_known('scored', stage.selected_on, scored)}"
        yield Problem(stage.marks.get("selected_on", stage.optimizer.mark), message)
    for metric in stage.selected_by:
        if metric not in metrics:
            message = f"selected_by cannot be {metric!r}{_known('measured', metric, metrics)}"
            yield Problem(stage.marks.get("selected_by", stage.optimizer.mark), message)
    for metric in (stage.selected_by or metrics[:1]) if stage.selection == "best" else ():
        if metric in ERRORS:
            key = "selected_by" if stage.selected_by else "selection"
            message = (
                f"the best epoch has the largest score, but {metric} is an error; name another metric: `selected_by`"
            )
            yield Problem(stage.marks.get(key, stage.optimizer.mark), message)


def _scored(recipe: Recipe, task: Task) -> list[str]:
    return [*task.scored, *_held_out(task, recipe.holdout)]


def _measured(recipe: Recipe, task: Task) -> list[str]:
    return [metric_name(call) for call in recipe.metrics] or list(task.metrics)


def metric_problems(recipe: Recipe) -> Iterator[Problem]:
    """Yield metrics with the name of an earlier one: a record has one score of each name."""
    names = [metric_name(call) for call in recipe.metrics]
    for number, call in enumerate(recipe.metrics):
        if names[number] in names[:number]:
            yield Problem(call.mark, f"metrics[{number}]: another metric is called {names[number]!r} already")


def random_part_problems(recipe: Recipe) -> Iterator[Problem]:
    """Yield claims about weights if a part of the model would keep random weights."""
    if not any(claim.of == "weights" for claim in recipe.claims):
        return
    for _, call in walk_calls(recipe.model, "model"):
        source = call.args.get("weights")
        if call.use == "pretrained" and call.args.get("ignore") and recipe.weights in (None, source):
            reason = f"the parts that it ignores in {source} are random, so no claim of these weights can be tested"
            advice = "name the weights of the whole model in the recipe's 'weights', or claim `of: retrain`"
            yield Problem(call.marks.get("ignore", call.mark), f"{call.use}: {reason}; {advice}")


def _ends_with_last_epoch(recipe: Recipe) -> bool:
    return bool(recipe.stages) and recipe.stages[-1].selection == "last"


def _problem(recipe: Recipe, number: int, claim: Claim, key: str, message: str) -> Problem:
    return Problem(claim.marks.get(key, recipe.task.mark), f"claims[{number}]: {message}")


def _held_out(task: Task, holdout: Holdout | None) -> list[str]:
    """Return the split of a hold-out that the task gets, unless it has it already."""
    is_new = holdout is not None and holdout.of in task.splits and holdout.name not in task.splits
    return [holdout.name] if is_new and holdout is not None else []


def _known(what: str, name: str, known: Sequence[str]) -> str:
    """Return the names that exist, and those that are similar to this one or that it abbreviates."""
    longer = [other for other in known if name and other.startswith(name)]
    hint = f"; did you mean {', '.join(longer)}?" if longer else did_you_mean(name, list(known))
    return f"; {what}: {', '.join(known)}{hint if hint.startswith('; did you mean') else ''}"
