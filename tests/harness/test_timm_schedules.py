"""The schedules of timm in recipes are those of timm's own schedulers, epoch by epoch and step by step."""

import types

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import schedules
from tests.helpers.timm_options import OPTIONS
from zoo.errors import Mark
from zoo.importers.settings import Notes, Setting, Settings
from zoo.importers.timm.optimization import convert_stage

scheduler = pytest.importorskip("timm.scheduler")
UPDATES = 3
"""Optimizer steps in an epoch."""


def rates_of_timm(options: dict[str, object], epochs: int, *, on_updates: bool) -> list[float]:
    """Return the learning rate of every epoch, or of every step, as timm's training sets it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=float(str(options["lr"])))
    made, total = scheduler.create_scheduler(types.SimpleNamespace(**options), optimizer, updates_per_epoch=UPDATES)
    assert total == epochs
    rates = []
    for tick in range(epochs * (UPDATES if on_updates else 1)):
        if tick:
            made.step_update(tick) if on_updates else made.step(tick)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@given(
    kind=st.sampled_from(["cosine", "step", "multistep", "poly", "constant"]),
    epochs=st.integers(3, 12), warmup=st.integers(0, 2), cooldown=st.integers(0, 2), prefix=st.booleans(),
    on_updates=st.booleans(), rate=st.sampled_from([0.05, 1.0]), least=st.sampled_from([0.0, 0.001]),
    milestones=st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True).map(sorted),
    k=st.sampled_from([1.0, 0.5]),
)  # fmt: skip
def test_each_epoch_and_step_has_the_learning_rate_that_timm_gives_it(
    kind: str, epochs: int, warmup: int, cooldown: int, prefix: bool, on_updates: bool, rate: float, least: float,
    milestones: list[int], k: float,
) -> None:  # fmt: skip
    changed = {
        "sched": kind, "epochs": epochs, "warmup_epochs": warmup, "cooldown_epochs": cooldown, "warmup_prefix": prefix,
        "sched_on_updates": on_updates, "lr": rate, "min_lr": least, "decay_milestones": milestones,
        "decay_epochs": 2.0, "decay_rate": 0.5, "warmup_lr": 0.001, "lr_k_decay": k,
    }  # fmt: skip
    options = {**OPTIONS, **changed}
    start = Mark(path="args.yaml", line=1, column=1)
    values = {name: Setting(value=value, mark=start) for name, value in options.items()}
    stage = convert_stage(Settings(values=values, start=start, notes=Notes()), (), "val", 1, Notes())
    call = dict(stage["schedule"])
    factor = getattr(schedules, call.pop("use"))
    ticks = stage["epochs"] * (UPDATES if on_updates else 1)
    assert ("schedule_per" in stage) is not on_updates
    ours = [rate * factor(tick / ticks, ticks, **call) for tick in range(ticks)]
    assert ours == pytest.approx(rates_of_timm(options, stage["epochs"], on_updates=on_updates), rel=1e-9, abs=1e-12)
