"""A copy of everything that the steps of a stage change, in the memory of the device, to return to."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from harness.training.checkpointing import content_digest, rng_state, set_rng_state
from harness.training.stage import ActiveStage


class Snapshot:
    """The state of a stage at one moment: parameters, buffers, optimizer, schedule, scaler and random generators.

    Unlike a checkpoint it never leaves the device. Tensors are restored in place, so they keep their addresses.
    """

    def __init__(self, stage: ActiveStage, device: torch.device) -> None:
        self.stage, self.device, self._generators = stage, device, rng_state(device)
        self._tensors = _copies([*stage.objective.parameters(), *stage.objective.buffers()])
        self._buffers = [(module, dict(module._buffers)) for module in stage.objective.modules() if module._buffers]
        self._state = {parameter: dict(state) for parameter, state in stage.optimizer.state.items()}
        self._state_tensors = _copies(_tensors(self._state.values()))
        self._groups = [dict(group) for group in stage.optimizer.param_groups]
        self._schedule, self._micro_batch = deepcopy(stage.schedule.state_dict()), stage.micro_batch
        self.scaler: dict[str, Any] = stage.scaler.state_dict()

    def restore(self) -> None:
        """Set everything back to the moment of the copy; gradients are dropped."""
        stage = self.stage
        for module, buffers in self._buffers:
            module._buffers.update(buffers)  # a forward pass may have replaced one: `self.mean = ...`
        with torch.no_grad():
            for tensor, copy in (*self._tensors, *self._state_tensors):
                tensor.copy_(copy)
        stage.optimizer.state.clear()
        stage.optimizer.state.update({parameter: dict(state) for parameter, state in self._state.items()})
        for group, before in zip(stage.optimizer.param_groups, self._groups, strict=True):
            group.update(before)
        _drop_gradients(stage)
        stage.schedule.load_state_dict(deepcopy(self._schedule))
        stage.scaler.load_state_dict(self.scaler)
        stage.micro_batch = self._micro_batch
        set_rng_state(self._generators, self.device)

    def is_current(self) -> bool:
        """Return whether everything has the same bits as at the moment of the copy, in the same memory."""
        stage = self.stage
        before = [self._schedule, self.scaler, self._generators, *map(_plain, self._state.values())]
        now = [stage.schedule.state_dict(), stage.scaler.state_dict(), rng_state(self.device)]
        now += map(_plain, stage.optimizer.state.values())
        state_tensors = [tensor for tensor, _ in self._state_tensors]
        is_same_memory = list(map(id, _tensors(stage.optimizer.state.values()))) == list(map(id, state_tensors))
        return (
            is_same_memory
            and all(
                module._buffers[name] is old for module, old_ones in self._buffers for name, old in old_ones.items()
            )
            and content_digest(before) == content_digest(now)
            and all(torch.equal(tensor, copy) for tensor, copy in (*self._tensors, *self._state_tensors))
        )


def _drop_gradients(stage: ActiveStage) -> None:
    """Drop all gradients, and what a step that raised an error left in the gradient scaler and in the optimizer."""
    stage.optimizer.zero_grad()
    if stage.graph is not None:
        stage.graph.is_pending = False
    if stage.scaler.is_enabled():
        stage.scaler._per_optimizer_states.clear()
    for name in ("grad_scale", "found_inf"):
        vars(stage.optimizer).pop(name, None)


def snapshot_bytes(stage: ActiveStage) -> int:
    """Return the memory that a snapshot of a stage needs."""
    tensors = [*stage.objective.parameters(), *stage.objective.buffers(), *_tensors(stage.optimizer.state.values())]
    return sum(tensor.nbytes for tensor in tensors)


def _tensors(states: Iterable[dict[str, Any]]) -> list[Tensor]:
    return [value for state in states for value in state.values() if isinstance(value, Tensor)]


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if not isinstance(value, Tensor)}


def _copies(tensors: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(tensor, tensor.detach().clone()) for tensor in tensors]
