"""The known causes of a wrong score with published weights and the right recipe, the cheapest to try first.

Each factor yields the variants worth trying, or the reason why there are none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.diagnosis.explain.candidates import Candidates, Untried, or_reason, until_error
from harness.diagnosis.explain.file_factors import data_revisions, other_files, state_dicts, weights_revisions
from harness.diagnosis.explain.image_factors import images
from harness.diagnosis.explain.model_factors import batch_sizes, encoders, kernels, precisions, train_mode
from harness.diagnosis.explain.score_factors import definitions, orders
from harness.diagnosis.explain.split_factors import splits
from harness.diagnosis.explain.text_factors import lengths, lowercase, padding, pairs
from harness.diagnosis.explain.variant_runs import VariantRunner
from zoo.recipes.claim import Claim

NOT_NEEDED = "not tried: a cheaper change reproduces the claim to its last digit, which is unlikely by chance"
LOCAL = (
    ("tokenizer", lowercase), ("max length", lengths), ("pair order", pairs), ("image preprocessing", images),
    ("pooling", encoders), ("padding", padding), ("padding", batch_sizes), ("attention", kernels),
    ("precision", precisions), ("train mode", train_mode),
)  # fmt: skip
"""Factors that need no other file, and the functions that yield their variants."""


def factors(runner: VariantRunner, claims: tuple[Claim, ...]) -> Candidates:
    """Yield the variants to try for these claims without fetching files: first those that compute no logits again.

    Args:
        runner: The entry.
        claims: The claims that failed.
    """
    split = claims[0].split
    yield from until_error("label order", orders(runner, split))
    yield from until_error("metric definition", definitions(runner, claims))
    yield from until_error("split", splits(runner, claims))
    for name, factor in LOCAL:
        yield from until_error(name, factor(runner, split))
    yield from until_error("state dict", state_dicts(runner))


def file_factors(runner: VariantRunner, folder: Path, enough: Sequence[Any]) -> Candidates:
    """Yield the variants with other files, which may be downloaded.

    Args:
        runner: The entry.
        folder: A folder for files of other versions.
        enough: The attempts so far that reproduce the claims to their last digit, unlikely by chance. If there are any
            when the files of a factor would be fetched, they are not tried.
    """
    for name, candidates in (
        ("weights file", other_files(runner, folder)),
        ("data revision", data_revisions(runner, folder)),
        ("weights revision", weights_revisions(runner, folder)),
    ):
        yield from [Untried(name, NOT_NEEDED)] if enough else or_reason(name, candidates)
