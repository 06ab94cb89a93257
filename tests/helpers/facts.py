"""The recorded facts in `shared/reference` beside a checkout. Tests that need them are skipped if they are missing."""

import json
from typing import Any

import pytest

from tests.helpers.project import ROOT

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
