"""The facts in `shared/reference` beside a checkout; tests that need them are skipped where they are missing."""

import json
from typing import Any

from tests.helpers.project import ROOT

FACTS = ROOT.parent / "shared" / "reference"
METRICS = {"top1_accuracy": "accuracy"}
"""Names of metrics in the facts that differ from ours."""
SIZES = {"cifar10": 10_000, "cifar100": 10_000, "ilsvrc2012": 50_000, "coco2017": 5_000, "pascal_voc2012": 1_449}


def facts(name: str) -> Any:
    return json.loads((FACTS / name).read_text(encoding="utf-8"))
