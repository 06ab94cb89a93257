"""One claim as its author published it, before anything is known about its data set or its metric."""

from dataclasses import dataclass, field

from zoo.claims.numbers import WrittenNumber, read_number
from zoo.errors import Mark, Problem

ZOO_SOURCE = "zoo-reproduce"
"""The name of the source of everything that zoo publishes."""


@dataclass(frozen=True, kw_only=True)
class PublishedClaim:
    """A published score, in the author's words. Texts that the author left out are empty."""

    metric: str
    """The name of the metric, such as `accuracy`, `eval_f1` or `F1 (macro)`."""
    text: str
    """The value as it is written."""
    mark: Mark
    """Where the value stands."""
    average: str = ""
    """The average over the classes, if a field of its own names it: `macro`."""
    task: str = ""
    """The kind of task, in the words of the Hub: `text-classification`."""
    dataset: str = ""
    """The id of the data set on the Hub, perhaps an old one without an owner, such as `glue`."""
    dataset_name: str = ""
    """The name of the data set for readers, such as `GLUE MRPC`."""
    config: str = ""
    """The configuration of the data set."""
    split: str = ""
    """The split that the author declares."""
    revision: str = ""
    """The revision of the data set."""
    n: int | None = None
    """The number of examples that the author declares."""
    model: str = ""
    """The model, if the place has claims of several."""
    source: str = ""
    """Who measured it, if that was somebody else than the author of the card: a name or an address."""
    has_badge: bool = False
    """Whether a token says that the Hub verified the score. The key is not public, so nobody can check the token."""

    @property
    def number(self) -> WrittenNumber | None:
        """The value, or None if it is no number."""
        return read_number(self.text)


@dataclass(frozen=True, kw_only=True)
class PublishedClaims:
    """All claims of one place: a model of the Hub, a file, or a recipe."""

    name: str
    """The place, as the user wrote it."""
    claims: tuple[PublishedClaim, ...]
    no_scores: tuple[PublishedClaim, ...] = ()
    """Values that nobody can compare: a loss, a time or a speed."""
    problems: tuple[Problem, ...] = ()
    """The problems of reading the claims, with their positions. The other claims are not affected."""
    settings: dict[str, object] = field(default_factory=dict)
    """The content of the model's `config.json`."""
    revision: str = ""
    """The commit, for a model of the Hub."""
    why_none: str = "no claims about published weights"
    """The message if there are no claims."""
