"""Why a published claim cannot be compared: a closed list, which docs/any-model.md prints as a table."""

from enum import Enum

from zoo.errors import NotComparableError


class Reason(Enum):
    """A reason. Its value is the text for readers; `code` is short and never changes."""

    NO_CLAIMS = "the repository publishes no score: no model-index in its card, and no .eval_results"
    UNREADABLE = "the claims cannot be read"
    NO_NUMBER = "the value is no number"
    OUT_OF_RANGE = "the value is no score from 0 to 1, nor from 0 to 100"
    UNCLEAR_SCALE = "another claim of this metric on the same rows is in per cent, and this value may be too"
    MEAN_OF_RUNS = "the value has a spread, so it may be a mean of several runs, which no single model has"
    OTHER_MODEL = "the claim is about another model of the same card"
    UNSUPPORTED_TASK = (
        "zoo verifies claims on classification of texts, words and images, on similarity and on question answering,"
        " and has no task of this kind"
    )
    UNSUPPORTED_MODEL = (
        "the model is no classifier, sentence encoder or question answering model that zoo can load, or not one for"
        " this task"
    )
    CUSTOM_CODE = "the model needs code of its repository, which zoo never runs"
    NO_WEIGHTS = "the repository has no model.safetensors, whole or in shards, and no pytorch_model.bin of one file"
    NO_TOKENIZER = "the repository has no tokenizer"
    NO_PREPROCESSING = "the repository does not say how images are prepared"
    NO_SCORE = "a loss, a time or a speed is no score: it depends on the program that measured it"
    UNKNOWN_METRIC = "zoo does not compute this metric"
    NO_METRIC = "the claim names no metric, and zoo knows no metric that alone belongs to the data set"
    UNDEFINED_METRIC = "the metric has several definitions, and the claim does not say which"
    NO_DATA_SET = "the claim names no data set"
    UNKNOWN_DATA_SET = "the Hub has no data set of this name, or it is private"
    GATED = "the repository is gated, and no token with access is set"
    NO_CONFIGURATION = "the data set has no such configuration, or several and the claim names none"
    NO_SPLIT = "the data set has no such split, or none to evaluate on"
    HIDDEN_LABELS = "the labels of this split are not public"
    NO_TEXT = "no rule finds the columns of the texts"
    NO_IMAGE = "no rule finds the column of the images"
    NO_LABEL = "no rule finds the column of the labels"
    LABELS_DIFFER = "the classes of the model are not those of the data set"
    NO_FIT = "the data or the model do not fit the recipe that zoo made of the claim"

    @property
    def code(self) -> str:
        """The name of the reason in reports, such as `no-claims`."""
        return self.name.lower().replace("_", "-")


class UnmappedError(NotComparableError):
    """A claim, or all claims of a model, cannot be compared.

    Attributes:
        reason: The reason.
        detail: What it is about, such as the name of the metric; may be empty.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason.code}: {reason.value}{f' ({detail})' if detail else ''}")
