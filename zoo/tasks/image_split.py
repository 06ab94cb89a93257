"""A split of images in one folder per class."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from zoo.errors import SourceError
from zoo.fetch.remembered_digests import remembered_digests
from zoo.files import files_below
from zoo.tasks.base import CPU, Batch
from zoo.tasks.decoded_images import DecodedImages
from zoo.tasks.images import Preparation, read_rgb


class ImageSplit:
    """Images in one folder per class, decoded when a batch needs them.

    Args:
        folder: The folder of the split.
        labelled: The folder of each class that the split has, with the label of the class.
        preparation: Turns a decoded RGB image into a tensor `(3, H, W)`.
        classes: The names of all classes, in the order of their labels.
        fixed: True if no transform is random.
        notes: What a user should know about how the folders were matched with the classes.
    """

    def __init__(
        self,
        folder: Path,
        labelled: Sequence[tuple[Path, int]],
        preparation: Preparation,
        *,
        classes: Sequence[str],
        fixed: bool,
        notes: Sequence[str] = (),
    ) -> None:
        self.folder, self.preparation, self.fixed = folder, preparation, fixed
        self.classes, self.class_notes = tuple(classes), tuple(notes)
        self.decoded: DecodedImages | None = None  # set while several models of a command read the same images
        self.samples = [(path, label) for class_folder, label in labelled for path in image_files(class_folder)]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> Tensor:
        return torch.tensor([label for _, label in self.samples], dtype=torch.int64)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        ids = list(indices)
        inputs = torch.stack([torch.as_tensor(self.preparation.normalize(image)) for image in self._pixels(ids)])
        labels = torch.tensor([self.samples[i][1] for i in ids], dtype=torch.int64)
        return Batch(inputs=inputs, labels=labels, ids=torch.tensor(ids, dtype=torch.int64)).to(device)

    def _pixels(self, ids: Sequence[int]) -> list[Tensor]:
        """Return the images before their normalization; those that another model has read are not decoded again."""
        known = {i: pixels for i in ids if (pixels := self.decoded.get(i)) is not None} if self.decoded else {}
        missing = [i for i in ids if i not in known]
        with ThreadPoolExecutor() as pool:  # only decoding is parallel: transforms must draw random numbers in order
            images = list(pool.map(read_rgb, [self.samples[i][0] for i in missing]))
        read = {i: torch.as_tensor(self.preparation.pixels(image)) for i, image in zip(missing, images, strict=True)}
        if self.decoded is not None:
            for i, pixels in read.items():
                self.decoded.put(i, pixels)
        return [known[i] if i in known else read[i] for i in ids]

    def rows(self) -> Iterator[bytes]:
        """Yield path, SHA-256 and label of every image. Files are read once and again when they change."""
        return self.rows_of(range(len(self)))

    def rows_of(self, positions: Sequence[int]) -> Iterator[bytes]:
        """Yield what `rows` yields for the images at some positions; the files of the others are not read."""
        samples = [self.samples[position] for position in positions]
        digests = remembered_digests([path for path, _ in samples], self.folder)
        for (path, label), digest in zip(samples, digests, strict=True):
            yield f"{path.relative_to(self.folder).as_posix()}\t{digest}\t{label}".encode(errors="surrogateescape")


def image_files(folder: Path) -> list[Path]:
    """List the images of a class, also in linked and other subfolders, in torchvision's order.

    Hidden files and folders are left out, such as `._0.png` of macOS and `.ipynb_checkpoints` of notebooks.

    Raises:
        SourceError: There are no images, or a folder cannot be listed.
    """
    try:
        paths = [path for path in files_below(folder, hidden=False) if path.suffix.lower() in IMG_EXTENSIONS]
    except OSError as error:
        raise SourceError(f"{error.filename or folder}: {error.strerror or error}") from None
    images = sorted(paths, key=lambda path: (str(path.parent), path.name))
    if not images:
        raise SourceError(f"{folder}: there are no images")
    return images
