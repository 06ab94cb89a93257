"""The recorded facts in `shared/reference` beside a checkout. Tests that need them are skipped if they are missing."""

import json
from typing import Any

import pytest

from tests.helpers.project import ROOT
from zoo.recipes.claim import SHARES, Claim, sampling_sigma

FACTS = ROOT.parent / "shared" / "reference"
METRICS = {
    "top1_accuracy": "accuracy",
    "spearmanr": "spearman",
    "P-S Corr. (header in README; GLUE server combined)": "pearson_spearman",
}
"""Our names of metrics that have another name in the facts."""
SIZES = {"cifar10": 10_000, "cifar100": 10_000, "ilsvrc2012": 50_000, "coco2017": 5_000, "pascal_voc2012": 1_449}
"""The number of rows of the scored split."""

needs_facts = pytest.mark.skipif(not FACTS.is_dir(), reason="shared/reference is not beside the checkout")


def facts(name: str) -> Any:
    """Return a file of facts."""
    return json.loads((FACTS / name).read_text(encoding="utf-8"))


def assert_prior(claim: Claim, points: float) -> None:
    """Assert that a claim's sigma is a recorded prior, in points, or the sampling error if that is larger."""
    is_share = claim.metric in SHARES and claim.value is not None and claim.n is not None
    least = sampling_sigma(claim.value or 0, claim.n or 1) if is_share else 0.0
    assert claim.sigma is not None
    if least > points / 100:
        assert least <= claim.sigma < least + 1e-4  # rounded up
    else:
        assert claim.sigma == pytest.approx(points / 100)
