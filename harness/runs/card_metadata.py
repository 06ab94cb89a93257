"""The metadata of a model card, as the Hub reads it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard import metadata_load

from harness.judging.chosen_rows import subset_text
from harness.records.record import Record, Result
from harness.runs.hub_names import (
    HUB_METRICS,
    OTHER,
    data_set_slug,
    hub_repos,
    metric_arguments,
    metric_title,
    source_name,
)
from harness.runs.needed_files import NeededFiles
from zoo.fetch.source_types import HubRepo, is_source, parse_or_none
from zoo.recipes.claim import Claim
from zoo.recipes.schema import Holdout
from zoo.recipes.values import texts
from zoo.safe_text import one_line
from zoo.tasks.base import Task

CONFIG = "config.json"
TOP5 = "top5_accuracy"
ENGLISH_TASKS = ("glue", "entailment")
RECIPE = "recipe.yaml"
"""The copy of the recipe in the folder of a training run."""


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """The facts of a training run that its model card states."""

    record: Record
    task: Task
    claims: tuple[Claim, ...]
    folder: Path
    """The run's folder, with the exported files."""
    base_folders: Mapping[str, Path]
    """The folders of the repositories that the training starts from, by source."""
    recipe_argument: str = RECIPE
    """The argument of `zoo train` in the run's folder: its recipe, or OWNER/NAME@COMMIT of a published recipe."""
    needed: NeededFiles = field(default_factory=NeededFiles)
    """The files that the recipe needs, and that are not in the folder."""

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe as data."""
        return self.record.recipe

    @property
    def bases(self) -> tuple[str, ...]:
        """The repositories, addresses and files of weights that the training starts from."""
        named = dict.fromkeys(filter(is_source, texts(self.recipe["model"])))
        return tuple(str(repo.name) if isinstance(repo := parse_or_none(text), HubRepo) else text for text in named)

    @property
    def holdout(self) -> Mapping[str, Any]:
        """The hold-out of the recipe; empty without one."""
        held: Mapping[str, Any] = self.recipe.get("holdout") or {}
        return {"name": Holdout.name, **held} if held else {}

    @property
    def reads_texts(self) -> bool:
        """Whether the model has a tokenizer."""
        return "tokenizer" in self.recipe

    @property
    def is_transformers(self) -> bool:
        """Whether the folder has a configuration of transformers."""
        return (self.folder / CONFIG).exists()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in the order of the outputs; empty for a regression, or if they have no names."""
        return () if self.task.kind == "regression" else self.task.class_names

    @property
    def task_type(self) -> str:
        """The Hub's name for the type of the task; that of a user's task without texts is not known."""
        if self.task.hub_type:
            return self.task.hub_type
        if self.reads_texts:
            return "text-classification"
        if self.task.kind == "segmentation":
            return "image-segmentation"
        is_shipped = "." not in str(self.recipe["task"]["use"])
        return "image-classification" if is_shipped and self.task.kind == "classification" else OTHER

    def scores(self) -> Iterator[tuple[Result, str, float]]:
        """Yield the defined scores: result, metric, value. The top-5 accuracy of at most five classes says nothing."""
        for result in self.record.results:
            for metric, score in result.metrics.items():
                is_trivial = metric == TOP5 and 0 < len(self.class_names) <= 5
                if score["value"] is not None and not is_trivial:
                    yield result, metric, score["value"]


def metadata(facts: CardFacts) -> ModelCardData:
    """Return the metadata of a run's model card. What is not known, such as the license, is left out."""
    bases = [str(repo.name) for _, repo in hub_repos(facts.recipe["model"], "model")]
    read = [facts.recipe["task"], facts.recipe["stages"]]
    data_sets = list(dict.fromkeys(str(repo.name) for _, repo in hub_repos(read, "dataset")))
    results = [
        _eval_result(facts, result, metric, value)
        for result, metric, value in facts.scores()
        if result.selection == facts.record.kept_epoch
    ]
    name = str(facts.recipe["task"]["use"])
    return ModelCardData(
        language="en" if name in ENGLISH_TASKS else None,
        license=_license(facts),
        library_name="transformers" if facts.is_transformers else None,
        pipeline_tag=facts.task_type if facts.task_type != OTHER else None,
        base_model=bases[0] if len(bases) == 1 else bases or None,
        base_model_relation="finetune" if bases else None,
        datasets=data_sets or None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        tags=["zoo-reproduce", *([] if facts.is_transformers else ["pytorch"])],
        model_name=one_line(facts.recipe["name"]) if results else None,
        eval_results=results or None,
    )


def _eval_result(facts: CardFacts, result: Result, metric: str, value: float) -> EvalResult:
    arguments = metric_arguments(facts.recipe, metric)
    return EvalResult(
        task_type=facts.task_type,
        **_data_set(facts, result),
        metric_type=HUB_METRICS.get(metric, metric),
        metric_name=metric_title(metric, arguments),
        metric_args=arguments or None,
        metric_value=value,
    )


def _data_set(facts: CardFacts, result: Result) -> dict[str, Any]:
    """Return the fields of an `EvalResult` that say which rows were scored: of a hold-out, the split that lost them."""
    split = result.split
    arguments = dict(facts.holdout) if facts.holdout.get("name") == split else None
    split = str(arguments.pop("of")) if arguments else split
    others: dict[str, Any] = {"holdout": arguments} if arguments else {}
    others |= {"rows": text, "num_examples": result.n} if (text := subset_text(result.scoring, result.n)) else {}
    fields = {"dataset_split": split, "dataset_args": others or None}
    found = next(iter(hub_repos(facts.recipe["task"], "dataset")), None)
    if found is None:
        name = one_line(source_name(facts.recipe["task"].get("data"), split) or facts.task.name)
        return {**fields, "dataset_name": name, "dataset_type": data_set_slug(name)}
    source, repo = found
    wanted = [want for _, want in facts.task.sources if want.startswith("data/")]
    return {
        **fields, "dataset_name": repo.name, "dataset_type": repo.name,
        "dataset_config": wanted[0].removeprefix("data/") if wanted else None,
        "dataset_revision": facts.record.provenance.get(source, {}).get("revision"),
    }  # fmt: skip


def _license(facts: CardFacts) -> str | None:
    """Return the license of the only base model, if its card is beside its weights; a license is never guessed."""
    folders = list(facts.base_folders.values())
    card = folders[0] / "README.md" if len(folders) == 1 else None
    if card is None or not card.is_file():
        return None
    try:
        found = (metadata_load(card) or {}).get("license")
    except Exception:  # a stranger's file can raise anything in the YAML reader
        return None
    return found if isinstance(found, str) else None
