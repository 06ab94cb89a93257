"""Read the structure that all annotations in COCO's format share: a JSON file with images and their objects."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import SourceError


class CocoError(ValueError):
    """A part of the annotations has an unknown form."""


@contextmanager
def coco_file(path: Path) -> Iterator[Any]:
    """Yield the content of a file of annotations.

    Raises:
        SourceError: The file is not readable, or the block has found that a part of it has an unknown form.
    """
    try:
        yield json.loads(path.read_text(encoding="utf-8"))
    except CocoError as error:
        raise SourceError(f"{path}: {error}") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(f"{path}: these are not COCO's annotations: {type(error).__name__}: {error}") from None


def by_image(images: Sequence[Any], items: Sequence[Any]) -> list[tuple[Any, list[Any]]]:
    """Return every image with its objects, in the order of the images' ids. Raise CocoError."""
    by_id: dict[Any, tuple[Any, list[Any]]] = {image["id"]: (image, []) for image in images}
    if len(by_id) < len(images):
        raise CocoError("two images have the same id")
    for item in items:
        if item["image_id"] not in by_id:
            raise CocoError(f"object {item.get('id')} is of image {item['image_id']!r}, which is not listed")
        by_id[item["image_id"]][1].append(item)
    return [by_id[number] for number in sorted(by_id)]
