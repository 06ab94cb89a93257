"""Decoded images in a nameless file, so that several models of a command need not decode them again."""

import math
import os
import shutil
import tempfile
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from zoo import paths
from zoo.fetch.limits import max_decoded

FREE_SHARE = 0.5
"""The largest part of the free disk that decoded images may take."""


class DecodedImages:
    """The images of a split as uint8 pixels of one shape, by the positions of their rows.

    The first image decides the shape. If all images of this shape would take too much of the disk, none is stored;
    images of another shape or type are not stored either. The file has no name, so it is gone when the process ends.

    Args:
        count: The number of images.
        folder: The folder of the file. Default: ZOO_HOME.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, count: int, folder: Path | None = None) -> None:
        self.count, self.folder = count, folder or paths.home()
        self.shape, self.problem = torch.Size(), ""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - closed by `close`
        self._stored, self._lock = bytearray(count), Lock()

    def get(self, row: int) -> Tensor | None:
        """Return the pixels of an image, or None if they are not stored."""
        if not self._stored[row]:
            return None
        size = math.prod(self.shape)
        content = bytearray(self._read(size, row * size))
        return torch.frombuffer(content, dtype=torch.uint8).view(self.shape)

    def put(self, row: int, pixels: Tensor) -> None:
        """Store the pixels of an image if that is possible; `problem` is why nothing is stored any more."""
        with self._lock:
            if not self.shape and not self.problem:
                self.shape, self.problem = pixels.shape, self._too_large(self.count * pixels.numel())
        if self.problem or pixels.dtype != torch.uint8 or pixels.shape != self.shape:
            return
        content = pixels.contiguous().numpy().tobytes()
        try:
            self._stored[row] = self._write(content, row * len(content)) == len(content)
        except OSError as error:
            self.problem = f"{self.folder}: {error.strerror}; further images are decoded again by each model"

    def close(self) -> None:
        """Delete all images."""
        self._stored, self.problem = bytearray(self.count), self.problem or "closed"
        self._file.close()

    def _read(self, size: int, position: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), size, position)
        with self._lock:  # Windows can only read where the file is positioned
            os.lseek(self._file.fileno(), position, os.SEEK_SET)
            return os.read(self._file.fileno(), size)

    def _write(self, content: bytes, position: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._file.fileno(), content, position)
        with self._lock:
            os.lseek(self._file.fileno(), position, os.SEEK_SET)
            return os.write(self._file.fileno(), content)

    def _too_large(self, size: int) -> str:
        """Return why a file of this size is not made, or an empty text."""
        limit, free = max_decoded(), shutil.disk_usage(self.folder).free
        if size <= min(limit, FREE_SHARE * free):
            return ""
        reason = f"ZOO_MAX_DECODED allows {limit / 1e9:g}" if size > limit else "half of the free disk is less"
        return f"all decoded images would take {size / 1e9:.2g} GB, and {reason}; each model decodes them again"
