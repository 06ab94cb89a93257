"""Choose the columns of a data set: by its `train-eval-index`, else by names and types."""

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.claims.mapping.data_card import DataConfig
from zoo.claims.mapping.reasons import Reason, UnmappedError

PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"),
    ("text1", "text2"), ("text_a", "text_b"), ("question", "passage"), ("query", "passage"),
)  # fmt: skip
"""Names of the two columns of pairs of texts, in the order of the model's input."""
TEXTS = ("text", "sentence", "content", "review", "review_body", "comment_text", "comment", "tweet", "headline")
"""Names of the column of single texts."""
IMAGES = ("image", "img")
"""Names of the column of images."""
LABELS = ("label", "labels", "target", "class", "sentiment", "stars", "score", "similarity_score")
"""Names of the column of labels."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a task."""

    inputs: tuple[str, ...]
    """One or two columns of texts, or one of images."""
    label: str
    found_by: str
    """How they were found, for the comments of the recipe."""


def choose_image_columns(data: DataConfig, outputs: int) -> Columns:
    """Return the columns of images and labels.

    Args:
        data: The data set.
        outputs: The number of outputs of the model, which decides between several columns of class labels.

    Raises:
        UnmappedError: No rule finds them.
    """
    roles = {role: column for column, role in data.mapping.items()}
    image = roles.get("image") or _first(IMAGES, data.images) or (data.images[0] if len(data.images) == 1 else None)
    if image is None:
        raise UnmappedError(Reason.NO_IMAGE, f"columns: {', '.join(data.columns) or 'the card lists none'}")
    if "target" in roles:
        return Columns(inputs=(image,), label=roles["target"], found_by="the data set's train-eval-index")
    fitting = [column for column, classes in data.classes.items() if len(classes) == outputs]
    is_by_size = len(data.classes) > 1 and len(fitting) == 1
    label = fitting[0] if is_by_size else _label(data)
    return Columns(inputs=(image,), label=label, found_by="the names and types of the columns in the card")


def choose_columns(data: DataConfig) -> Columns:
    """Return the columns of texts and labels.

    Raises:
        UnmappedError: No rule finds them.
    """
    roles = {role: column for column, role in data.mapping.items()}
    if "target" in roles and (texts := tuple(roles[role] for role in ("text1", "text2", "text") if role in roles)):
        return Columns(inputs=texts, label=roles["target"], found_by="the data set's train-eval-index")
    if not data.columns:
        raise UnmappedError(Reason.NO_TEXT, "the card of the data set does not list its columns")
    return Columns(inputs=_texts(data), label=_label(data), found_by="the names and types of the columns in the card")


def _texts(data: DataConfig) -> tuple[str, ...]:
    texts = data.texts
    pair = next((pair for pair in PAIRS if set(pair) <= set(texts)), None)
    if pair is not None:
        return pair
    single = _first(TEXTS, texts) or (texts[0] if len(texts) == 1 else None)
    if single is None:
        raise UnmappedError(Reason.NO_TEXT, f"columns: {', '.join(data.columns)}")
    return (single,)


def _label(data: DataConfig) -> str:
    if len(data.classes) == 1:
        return next(iter(data.classes))
    label = _first(LABELS, data.classes or data.columns)
    if label is None:
        raise UnmappedError(Reason.NO_LABEL, f"columns: {', '.join(data.columns)}")
    return label


def _first(names: Iterable[str], known: Iterable[str]) -> str | None:
    by_name = {name.lower(): name for name in known}
    return next((by_name[name] for name in names if name in by_name), None)
