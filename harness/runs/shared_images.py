"""Decoded images that several entries of one command share. They are decoded once, by the first of these entries."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from harness.runs.pixel_groups import Pixels, pixels_of
from zoo.progress import Report
from zoo.recipes.catalogue import Entry
from zoo.tasks.base import Task
from zoo.tasks.decoded_images import DecodedImages
from zoo.tasks.image_split import ImageSplit


class SharedImages:
    """The decoded images of the entry that is evaluated, and of the entries after it that read the same pixels.

    Args:
        entries: The entries of the command. Those that read the same pixels are evaluated one after another.
        report: Called with the reason if images cannot be shared.
    """

    def __init__(self, entries: Sequence[Entry], report: Report) -> None:
        self.report, self._users = report, Counter(map(pixels_of, entries))
        self._stores: dict[tuple[Pixels, str, str], DecodedImages] = {}
        self._reported: set[str] = set()

    @contextmanager
    def used_by(self, entry: Entry, task: Task) -> Iterator[None]:
        """Let the scored splits of an entry read and store decoded images, if another entry reads the same pixels."""
        pixels = pixels_of(entry)
        self.close(all_but=pixels)
        with ExitStack() as stack:
            for name in task.scored if pixels is not None and self._users[pixels] > 1 else ():
                split = task.load(name)
                if isinstance(split, ImageSplit) and split.fixed and pixels is not None:
                    split.decoded = self._store((pixels, name, split.preparation.variant), len(split))
                    stack.callback(setattr, split, "decoded", None)
            yield
        for store in self._stores.values():
            self._report_once(store.problem)

    def close(self, all_but: Pixels | None = None) -> None:
        """Delete the decoded images, but for those of an entry."""
        for key in [key for key in self._stores if key[0] != all_but]:
            self._stores.pop(key).close()

    def _store(self, key: tuple[Pixels, str, str], count: int) -> DecodedImages | None:
        try:
            if key not in self._stores:
                self._stores[key] = DecodedImages(count)
            return self._stores[key]
        except OSError as error:
            self._report_once(f"decoded images are not shared: {error}")
            return None

    def _report_once(self, problem: str) -> None:
        if problem and problem not in self._reported:
            self._reported.add(problem)
            self.report(problem)
