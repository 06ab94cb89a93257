"""Other ways to read the texts of a task: case, length, the order of pairs, and the side of the padding."""

import inspect

from tokenizers.normalizers import BertNormalizer

from harness.diagnosis.explain.candidates import Candidates, Untried
from harness.diagnosis.explain.variant import Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from zoo.tasks.splits import TextSplit

LENGTHS = (32, 64, 128, 256, 512)
NO_TEXTS = "the task has no texts"


def lowercase(runner: VariantRunner, name: str) -> Candidates:
    normalizer = getattr(getattr(runner.tokenizer(), "backend_tokenizer", None), "normalizer", None)
    if not isinstance(normalizer, BertNormalizer) or not _tokenizer_has(runner, "lowercase"):
        yield Untried("tokenizer", "the tokenizer has no option for lower case")
        return
    current = bool(normalizer.lowercase)
    yield Variant(
        changes=(Change("tokenizer", "lowercase", _yaml(current), _yaml(not current)),),
        tokenizer={"lowercase": not current},
    )


def lengths(runner: VariantRunner, name: str) -> Candidates:
    """Try other token limits, if they change the tokens of at least one row."""
    split = runner.split(name)
    if not isinstance(split, TextSplit):
        yield Untried("max length", NO_TEXTS)
        return
    uncut = runner.split(name, Variant(max_length=max(*LENGTHS, split.max_length)))
    assert isinstance(uncut, TextSplit)
    longest, current = max(uncut.lengths), split.max_length
    seen = {min(current, longest)}
    for length in LENGTHS:
        if min(length, longest) not in seen:
            seen.add(min(length, longest))
            yield Variant(changes=(Change("max length", "max_length", str(current), str(length)),), max_length=length)
    if seen == {longest}:
        yield Untried("max length", f"no row has more than {longest} tokens")


def pairs(runner: VariantRunner, name: str) -> Candidates:
    """Try pairs in the other order, and as one text."""
    split = runner.split(name)
    if not isinstance(split, TextSplit) or len(split.texts[0]) != 2:
        yield Untried("pair order", NO_TEXTS if not isinstance(split, TextSplit) else "a row has one text")
        return
    if split.texts_per_row == 2:
        yield Untried("pair order", "each text of a pair is encoded by itself")
        return
    yield Variant(changes=(Change("pair order", "", "first, second", "second, first"),), pair="swapped")
    yield Variant(changes=(Change("pair order", "", "a pair of texts", "both as one text"),), pair="joined")


def padding(runner: VariantRunner, name: str) -> Candidates:
    """Try padding on the left, as many programs do. The recipe has no such setting: a row would depend on its batch."""
    if not isinstance(runner.split(name), TextSplit):
        yield Untried("padding", NO_TEXTS)
        return
    yield Variant(changes=(Change("padding", "side of the padding", "right", "left"),), left=True)


def _tokenizer_has(runner: VariantRunner, argument: str) -> bool:
    """Return whether the recipe's tokenizer has an argument of this name."""
    call = runner.experiment.recipe.tokenizer
    return (
        call is not None
        and argument in inspect.signature(runner.experiment.builder.target(call, "tokenizer")).parameters
    )


def _yaml(value: bool) -> str:
    return "true" if value else "false"
