"""Checkpoints to resume a training run from. The last two are stored, so a kill at any moment leaves a complete one.

A checkpoint is written to a temporary file, synced to the disk, and renamed over the older of the two. It holds the
SHA-256 of its content, and that of the training log when it was saved. A damaged checkpoint, and one whose log is
damaged, is left out and the older one is used. If both are damaged, the training starts again from its first step.
"""

import hashlib
import os
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.records.training_log import LOG
from zoo.errors import SourceError, first_line
from zoo.files import errors_name, replacing
from zoo.progress import Report, ignore_message

READ_BYTES = 2**24
READ_AGAIN = (
    "run the same command again when the file system answers and memory is free, or delete the folder to start again"
)
SHORT_OF_MEMORY = re.compile(r"(can't|cannot) allocate memory|out of memory|bad_alloc", re.IGNORECASE)
"""What torch says if memory is short, in errors of no class of their own."""
DIGEST = "sha256"
"""The key of a checkpoint's digest in its file."""

Checkpoint = dict[str, Any]
"""Tensors, numbers, strings, and lists, tuples and dicts of them: loading one runs no code."""


class CheckpointStore:
    """The checkpoints of one run: `checkpoint-0.pt` and `checkpoint-1.pt` in its folder, written in turn."""

    def __init__(self, folder: Path, report: Report = ignore_message) -> None:
        self.folder, self.report, self.generation = folder, report, 0

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is undamaged, or None if the folder has none.

        A damaged one is reported; if no other is left, it is renamed to `*.damaged`. Temporary files that a killed
        process left are deleted.

        Raises:
            SourceError: No checkpoint can be read, because the file system does not answer, or memory is short.
        """
        for partial in self.folder.glob(".*.partial"):
            partial.unlink(missing_ok=True)
        found = [file for slot in range(2) if (file := self._file(slot)).exists()]
        readable: list[Checkpoint] = []
        unread: list[SourceError] = []
        for file in found:
            try:
                readable.append(self._read(file))
            except SourceError as error:
                unread.append(error)
            except Exception as error:  # a changed byte can raise anything in torch's reader
                if _is_short_of_memory(error):
                    unread.append(SourceError(f"{file}: cannot be loaded: out of memory"))
                    continue
                self.report(f"{file}: this checkpoint is damaged and left out: {first_line(error)}")
        if unread and not readable:
            raise SourceError(f"{unread[0]}; {READ_AGAIN}")
        for problem in unread:
            self.report(f"{problem}; the other checkpoint is used")
        if found and not readable:
            self._set_aside(found)
        newest = max(readable, key=lambda checkpoint: int(checkpoint["generation"]), default=None)
        self.generation = int(newest["generation"]) if newest else 0
        return newest

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a new checkpoint over the older of the two."""
        self.generation += 1
        path = self._file(self.generation % 2)
        with errors_name(path), replacing(path) as partial, partial.open("wb") as file:
            content = {**checkpoint, "generation": self.generation, "run": self.folder.name}
            torch.save({**content, DIGEST: content_digest(content)}, file)
            file.flush()
            os.fsync(file.fileno())

    def _file(self, slot: int) -> Path:
        return self.folder / f"checkpoint-{slot}.pt"

    def _read(self, file: Path) -> Checkpoint:
        """Return a checkpoint.

        Raises:
            SourceError: The file system does not answer.
            Exception: The checkpoint is damaged, or does not belong to this run and its log.
        """
        try:
            with file.open("rb") as opened:
                while opened.read(READ_BYTES):  # torch hides whether the disk or the content is to blame
                    pass
        except OSError as error:
            raise SourceError(f"{file}: cannot be read: {error.strerror or error}") from None
        checkpoint: Checkpoint = dict(torch.load(file, map_location="cpu", weights_only=True))
        digest = checkpoint.pop(DIGEST)
        if digest != content_digest(checkpoint):
            raise ValueError("its content differs from its digest")
        if (run := checkpoint.get("run", self.folder.name)) != self.folder.name:
            raise ValueError(f"it belongs to another run, {run}")
        if not self._has_log(checkpoint):
            raise ValueError(f"{LOG} has not the lines that were written before it")
        return checkpoint

    def _has_log(self, checkpoint: Checkpoint) -> bool:
        """Return whether the training log begins with the lines that it had when the checkpoint was saved."""
        digest = checkpoint.get("log_sha256")
        if digest is None:
            return True
        log = self.folder / LOG
        lines = log.read_bytes()[: checkpoint["log"]] if log.exists() else b""
        return bool(hashlib.sha256(lines).hexdigest() == digest)

    def _set_aside(self, files: list[Path]) -> None:
        """Rename damaged checkpoints, so that they are not read again, and report that the training starts again."""
        for file in files:
            file.replace(file.with_suffix(".damaged"))
        names = " and ".join(file.with_suffix(".damaged").name for file in files)
        self.report(f"{self.folder}: no checkpoint is left, so the training starts again from step 0; see {names}")


def _is_short_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or bool(SHORT_OF_MEMORY.search(str(error)))


def content_digest(value: Any) -> str:
    """Return the SHA-256 of a checkpoint's content: of all tensors, numbers and texts in it, and of their structure."""
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes | memoryview]:
    """Yield the bytes that identify a value, each container and scalar after its type and size."""
    if isinstance(value, Tensor):
        data = value.detach().cpu().contiguous()
        yield f"{data.dtype} {tuple(data.shape)}\n".encode()
        if data.numel():
            yield data.reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(value, Mapping):
        yield f"dict {len(value)}\n".encode()
        for item in value.items():
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__} {len(value)}\n".encode()
        for item in value:
            yield from _parts(item)
    else:
        yield f"{type(value).__name__} {value!r}\n".encode()


def rng_state(device: torch.device | None = None) -> Checkpoint:
    """Return the state of the global generators of Python, numpy and torch, and of the device if it has its own."""
    name, keys, *rest = np.random.get_state(legacy=True)
    state: Checkpoint = {
        "python": random.getstate(),
        "numpy": (name, torch.tensor(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device is not None and device.type in ("cuda", "mps"):
        state["device"] = getattr(torch, device.type).get_rng_state()
    return state


def set_rng_state(state: Checkpoint, device: torch.device | None = None) -> None:
    """Set the global generators to a state that `rng_state` returned."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device is not None and "device" in state:
        getattr(torch, device.type).set_rng_state(state["device"])


@contextmanager
def unchanged_generators(device: torch.device | None = None) -> Iterator[None]:
    """Set the global generators back at the end of the block to where they were at its start."""
    before = rng_state(device)
    try:
        yield
    finally:
        set_rng_state(before, device)
