"""Check a recipe before anything is downloaded: names, arguments, sources, teachers, stages, tasks and claims."""

from collections.abc import Iterable, Iterator, Sequence

from zoo.errors import Problem, RecipeError, UsageError, first_line
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.check_calls import argument_problems, build_problems, refused_arguments
from zoo.recipes.check_claims import claim_problems, metric_problems, random_part_problems
from zoo.recipes.check_stages import stage_problems
from zoo.recipes.check_tasks import known_task, task_problems
from zoo.recipes.reader import UnreadableRecipeError
from zoo.recipes.schema import Recipe
from zoo.recipes.stage import Teacher
from zoo.recipes.values import Call
from zoo.recipes.walk import recipe_sources, walk_calls, walk_sources


def check_entry(entry: Entry, builder: Builder, *, with_claims: bool = True) -> None:
    """Read and check the recipe of an entry.

    Args:
        entry: The entry.
        builder: Its builder: the result of `Builder.at` for this entry.
        with_claims: As in `check_recipe`.

    Raises:
        RecipeError: With all problems. If the recipe cannot be read, its names and arguments are checked all the same.
    """
    try:
        recipe = entry.recipe
    except UnreadableRecipeError as error:
        calls = [pair for field, call in error.calls for pair in walk_calls(call, field)]
        raise RecipeError([*error.problems, *_call_problems(calls, builder)]) from None
    check_recipe(recipe, builder, with_claims=with_claims)


def check_recipe(recipe: Recipe, builder: Builder, *, with_claims: bool = True) -> None:
    """Look up every name and argument of a recipe, and build what is cheap: models without memory, losses, schedules.

    Nothing is downloaded.

    Args:
        recipe: The recipe.
        builder: Its builder.
        with_claims: Whether to look for claims that no run can test. An evaluation reports them as not compared, beside
            the verdicts on the other claims.

    Raises:
        RecipeError: With all problems. Wrong names and arguments hide others, which may follow from them.
    """
    without_tokenizer = [task for task, tokenizer in recipe.readings if tokenizer is None]
    problems = list(_call_problems(walk_calls(recipe), builder, without_tokenizer))
    if not problems:
        problems += stage_problems(recipe.stages, builder)
        problems += build_problems(recipe, builder)
        problems += task_problems(recipe, builder)
    problems += _teacher_problems(recipe, builder)
    problems += _source_problems(recipe, builder)
    problems += random_part_problems(recipe)
    problems += metric_problems(recipe)
    if with_claims:
        problems += claim_problems(recipe, known_task(recipe, builder))
    if problems:
        raise RecipeError(problems)


def missing_files(recipe: Recipe, builder: Builder) -> list[Problem]:
    """Return the local files and folders that a recipe names and that do not exist.

    A training may work without one, such as weights that nobody has published yet, so `check_recipe` does not ask.
    """
    found = [(named.mark, builder.sources.missing_file(named.text)) for named in recipe_sources(recipe)]
    return [Problem(mark, str(error)) for mark, error in found if error]


def reads_data(recipe: Recipe) -> bool:
    """Return whether a task of the recipe reads data files, which no check reads."""
    return any(True for task, _ in recipe.readings for _ in walk_sources(task, "task"))


def _call_problems(
    calls: Iterable[tuple[str, Call]], builder: Builder, without_tokenizer: Sequence[Call] = ()
) -> Iterator[Problem]:
    """Yield the problems of the names and arguments of calls.

    Args:
        calls: Each call with the field that it stands in.
        builder: Looks names up.
        without_tokenizer: The tasks that get no tokenizer.
    """
    for field, call in calls:
        yield from refused_arguments(call)
        try:
            target = builder.target(call, field)
        except RecipeError as error:
            yield from error.problems
        else:
            supplies_tokenizer = field == "task" and not any(call is task for task in without_tokenizer)
            is_trusted = call.use.split(".", maxsplit=1)[0] in builder.trust
            yield from argument_problems(
                call, field, target, supplies_tokenizer=supplies_tokenizer, is_trusted=is_trusted
            )


def _source_problems(recipe: Recipe, builder: Builder) -> Iterator[Problem]:
    """Yield sources that are malformed, and files of the starter suite that do not exist; no file is read."""
    for named in recipe_sources(recipe):
        if problem := builder.sources.problem(named.text):
            yield Problem(named.mark, problem)


def _teacher_problems(recipe: Recipe, builder: Builder) -> Iterator[Problem]:
    """Yield teachers that are no entry, that lack weights or stages, or that depend on this very entry."""
    folder, repo = builder.sources.recipe_folder, builder.sources.recipe_repo
    for stage in recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.model is None:
                try:
                    _check_teacher(teacher, catalogue.teacher_entry(teacher, folder, repo, (recipe.name,)))
                except UsageError as error:
                    key = "run" if teacher.run else "entry"
                    yield Problem(teacher.marks.get(key, stage.optimizer.mark), first_line(error))


def _check_teacher(teacher: Teacher, entry: Entry) -> None:
    """Raise UsageError if the teacher cannot be loaded or trained.

    Args:
        teacher: A teacher that is another entry.
        entry: That entry.
    """
    recipe = entry.recipe
    if teacher.entry is not None and recipe.weights is None:
        raise UsageError(f"{recipe.name} has no published weights; `run: {teacher.entry}` trains it")
    if teacher.run is None:
        return
    if not recipe.stages:
        raise UsageError(f"{recipe.name} has no stages, so it cannot be trained")
    for stage in recipe.stages:
        for other in stage.all_teachers.values():
            if other.model is None:
                _check_teacher(other, entry.teacher_entry(other))
