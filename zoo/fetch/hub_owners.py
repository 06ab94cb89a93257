"""Names of models that the Hub once had without an owner, such as `bert-base-uncased`, and who owns them now."""

from zoo.fetch.source_types import HF, HUB

OWNERS = {
    "albert": "albert", "bert": "google-bert", "camembert": "almanach", "distilbert": "distilbert",
    "distilgpt2": "distilbert", "distilroberta": "distilbert", "gpt2": "openai-community",
    "roberta": "FacebookAI", "t5": "google-t5", "xlm": "FacebookAI", "xlnet": "xlnet",
}  # fmt: skip
"""The first word of such a name -> the owner to whom the Hub redirects it."""
SIZES = frozenset({"base", "large", "xlarge", "xxlarge", "small", "medium", "xl", "3b", "11b", "mlm", "roberta"})
"""The second words of such names: `bert-base-uncased` is one, `bert-tiny` is not."""


def owned_name(name: str) -> str | None:
    """Return OWNER/NAME of a model that is often written without its owner; None for any other name."""
    plain = name.removeprefix(HF).removeprefix(HUB)
    first, _, rest = plain.partition("-")
    is_one = plain in ("gpt2", "distilgpt2") or rest.partition("-")[0] in SIZES
    return f"{OWNERS[first]}/{plain}" if first in OWNERS and is_one and "/" not in plain else None
