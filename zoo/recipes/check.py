"""Check a recipe before anything is downloaded: names, arguments, sources, teachers and stages."""

from collections.abc import Iterator

from zoo.errors import Problem, RecipeError, UsageError, first_line
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.check_calls import argument_problems, build_problems, refused_arguments
from zoo.recipes.check_stages import stage_problems
from zoo.recipes.schema import Recipe, Teacher
from zoo.recipes.walk import recipe_sources, walk_calls


def check_recipe(recipe: Recipe, builder: Builder) -> None:
    """Look up every name and argument of a recipe, and build what is cheap: models without memory, losses, schedules.

    Nothing is downloaded.

    Raises:
        RecipeError: With all problems. Wrong names and arguments hide others, which may follow from them.
    """
    problems = list(_call_problems(recipe, builder))
    if not problems:
        problems += stage_problems(recipe.stages, builder)
        problems += _teacher_problems(recipe, builder.sources.recipe_repo)
        problems += _source_problems(recipe, builder)
        problems += build_problems(recipe, builder)
    if problems:
        raise RecipeError(problems)


def _call_problems(recipe: Recipe, builder: Builder) -> Iterator[Problem]:
    without_tokenizer = [task for task, tokenizer in recipe.readings if tokenizer is None]
    for field, call in walk_calls(recipe):
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


def _teacher_problems(recipe: Recipe, recipe_repo: str | None) -> Iterator[Problem]:
    """Yield teachers that are no entry, that lack weights or stages, or that depend on this very entry."""
    for stage in recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.model is None:
                try:
                    _check_teacher(teacher, (recipe.name,), recipe_repo)
                except UsageError as error:
                    key = "run" if teacher.run else "entry"
                    yield Problem(teacher.marks.get(key, stage.optimizer.mark), first_line(error))


def _check_teacher(teacher: Teacher, students: tuple[str, ...], recipe_repo: str | None) -> None:
    """Raise UsageError if the teacher cannot be loaded or trained.

    Args:
        teacher: A teacher that is another entry.
        students: The entries that learn from it, directly or through other teachers.
        recipe_repo: The repository that the recipe of the first student is published in, or None.
    """
    recipe = catalogue.select_teacher(str(teacher.entry or teacher.run), recipe_repo).recipe
    if teacher.entry is not None and recipe.weights is None:
        raise UsageError(f"{recipe.name} has no published weights; `run: {recipe.name}` trains it")
    if teacher.run is None:
        return
    if not recipe.stages:
        raise UsageError(f"{recipe.name} has no stages, so it cannot be trained")
    if recipe.name in students:
        chain = " <- ".join((*students, recipe.name))
        raise UsageError(f"{chain}: an entry cannot be its own teacher's teacher")
    for stage in recipe.stages:
        for other in stage.all_teachers.values():
            if other.model is None:
                _check_teacher(other, (*students, recipe.name), recipe_repo)
