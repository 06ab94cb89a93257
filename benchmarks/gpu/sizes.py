"""The sizes of the published models of GLUE and of its validation splits, and the lengths of their texts."""

from collections.abc import Mapping, Sequence

from benchmarks.speed.prepare_data import QUANTILES

SHAPES = {"base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096)}
TINY = {"base": (32, 2, 2, 64), "large": (48, 3, 2, 96)}
"""Hidden size, layers, heads, intermediate size."""
ROWS: Mapping[str, Mapping[str, int]] = {
    "cola": {"validation": 1043}, "sst2": {"validation": 872}, "mrpc": {"validation": 408},
    "stsb": {"validation": 1500}, "qqp": {"validation": 40_430}, "qnli": {"validation": 5463},
    "rte": {"validation": 277}, "wnli": {"validation": 71},
    "mnli": {"validation_matched": 9815, "validation_mismatched": 9832},
}  # fmt: skip
"""The sizes of GLUE's validation splits."""
STSB = (3, 6, 7, 9, 11, 13, 15, 18, 20, 25, 44)
QUESTION = (3, 8, 9, 10, 11, 12, 13, 15, 17, 21, 60)
DECILES: Mapping[str, Sequence[Sequence[int]]] = {
    **{task: QUANTILES[task][1] for task in ("sst2", "mrpc", "rte", "mnli")},
    "cola": ((2, 5, 6, 7, 8, 9, 10, 11, 13, 17, 35),),
    "stsb": (STSB, STSB),
    "qnli": ((3, 8, 9, 10, 11, 12, 13, 14, 15, 18, 36), (2, 16, 21, 25, 28, 32, 35, 40, 46, 57, 120)),
    "wnli": ((10, 14, 16, 19, 20, 22, 25, 28, 36, 47, 71), (4, 5, 6, 7, 9, 9, 10, 10, 11, 14, 22)),
    "qqp": (QUESTION, QUESTION),
}
"""Deciles of the lengths in tokens: measured, or measured in words times 1.07; those of QQP are an estimate."""
QUICK_TASKS, QUICK_ROWS = ("rte", "stsb"), 12
