"""Put panels below each other in one picture, and save it. Equal panels give equal bytes.

A picture has a white ground, so that it can be read on dark pages too. In SVG its texts stay texts.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from zoo.errors import SourceError, UsageError
from zoo.files import write_atomically
from zoo.safe_text import one_line

WIDTH, LEFT, RIGHT = 5.4, 0.62, 0.22
"""The width of a picture and the margins of its panels, in inches: a phone shows it almost at its full size."""
TITLE, LEGEND_ROW, AXIS, XLABEL, EDGE = 0.34, 0.18, 0.3, 0.2, 0.1
"""Heights in inches: the title of a panel, a row of its legend, its axis, the label of that axis, the outer edge."""
CHARACTERS = 62
"""About how many characters fit a row of a legend."""
LONGEST_NAME = 44
INK, MUTED, GRID = "#1b1d21", "#5a6068", "#e1e1db"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""The palette of Okabe and Ito (2008), which color-blind readers can tell apart, without its yellow."""
DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1.2, 1, 1.2, 1, 1.2)))
MOST_STYLES = len(COLORS) * len(DASHES)
"""How many lines can be told apart."""
FORMATS = ("svg", "png", "pdf")
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None}, "png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None},
}  # fmt: skip
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "zoo", "pdf.fonttype": 42, "text.parse_math": False,
    "font.family": ["sans-serif"], "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": 10.0, "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.labelsize": 9.5,
    "xtick.labelsize": 9.5, "ytick.labelsize": 9.5, "legend.fontsize": 9.5,
    "text.color": INK, "axes.titlecolor": INK, "legend.labelcolor": INK, "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED, "axes.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.6, "lines.markersize": 4.0,
    "figure.facecolor": "white", "savefig.facecolor": "white", "axes.facecolor": "white", "savefig.dpi": 160,
}  # fmt: skip
Handle = Line2D | Patch


class Picture(Figure):
    """A figure of matplotlib that notebooks show without further code, and that is saved in the same bytes again."""

    def write(self, path: Path) -> None:
        """Save the picture; the end of the name decides the format: svg, png or pdf.

        Raises:
            UsageError: The name ends otherwise.
            SourceError: The file cannot be written; a file that was there is unchanged.
        """
        try:
            write_atomically(path, self.data(format_of(path)))
        except OSError as error:
            raise SourceError(f"{path}: cannot write the picture: {error.strerror or error}") from None

    def data(self, kind: str) -> bytes:
        """Return the bytes of the picture in one of `FORMATS`."""
        buffer = io.BytesIO()
        with _style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a browser has other fonts
            self.savefig(buffer, format=kind, metadata=_METADATA[kind])
        return buffer.getvalue()

    def _repr_svg_(self) -> str:
        return self.data("svg").decode()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart of a picture.

    Attributes:
        title: What it shows, with the unit if there is one.
        draw: Draws into the axes, and returns what the title must add, such as a power of ten.
        keys: The names by which a user selects it.
        legend: Label and look of what is drawn, in a legend above the axes that never covers data.
        xlabel: The label of the horizontal axis; empty where the next panel has the same axis.
        height: The height of the axes in inches.
    """

    title: str
    draw: Callable[[Axes], str]
    keys: frozenset[str]
    legend: Sequence[tuple[str, Handle]] = field(default=())
    xlabel: str = ""
    height: float = 1.45

    @property
    def top(self) -> float:
        """The height above the axes in inches: title and legend."""
        return TITLE + LEGEND_ROW * _rows(self.legend)

    @property
    def bottom(self) -> float:
        """The height below the axes in inches."""
        return AXIS + (XLABEL if self.xlabel else 0)


def format_of(path: Path) -> str:
    """Return the format of a picture from the end of its name. Raise UsageError if there is no such format."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(f"{path}: the name of a picture ends in .svg, .png or .pdf")
    return kind


def compose(panels: Sequence[Panel], legend: Sequence[tuple[str, Handle]] = ()) -> Picture:
    """Return a picture of panels below each other, with a legend for all of them at its top."""
    head = EDGE + LEGEND_ROW * _rows(legend)
    height = head + sum(panel.top + panel.height + panel.bottom for panel in panels) + EDGE
    with _style():
        picture = Picture(figsize=(WIDTH, height))
        if legend:
            _add_legend(picture, legend, LEFT / WIDTH, 1 - EDGE / height)
        y = height - head
        for panel in panels:
            y -= panel.top + panel.height
            axes = picture.add_axes((LEFT / WIDTH, y / height, (WIDTH - LEFT - RIGHT) / WIDTH, panel.height / height))
            title = f"{panel.title} {panel.draw(axes)}".strip()
            axes.set_title(
                title, loc="left", pad=6 + (72 * LEGEND_ROW * _rows(panel.legend) + 3 if panel.legend else 0)
            )
            axes.set_xlabel(panel.xlabel)
            if panel.legend:
                top = (y + panel.height + 0.04 + LEGEND_ROW * _rows(panel.legend)) / height
                _add_legend(picture, panel.legend, LEFT / WIDTH, top)
            y -= panel.bottom
    return picture


def short_name(name: str) -> str:
    """Return a name on one line; the middle of a long one is left out."""
    plain = one_line(name)
    half = LONGEST_NAME // 2
    return plain if len(plain) <= LONGEST_NAME else f"{plain[: half - 1]}…{plain[-half:]}"


def line_style(number: int) -> dict[str, Any]:
    """Return color and dashes of a line; those of the first `MOST_STYLES` lines differ."""
    return {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number // len(COLORS) % len(DASHES)]}


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def _columns(legend: Sequence[tuple[str, Handle]]) -> int:
    longest = max(len(label) for label, _ in legend)
    return max(1, min(len(legend), CHARACTERS // (longest + 6)))


def _rows(legend: Sequence[tuple[str, Handle]]) -> int:
    return -(-len(legend) // _columns(legend)) if legend else 0


def _add_legend(picture: Figure, legend: Sequence[tuple[str, Handle]], left: float, top: float) -> None:
    picture.legend(
        [handle for _, handle in legend], [label for label, _ in legend], loc="upper left", bbox_to_anchor=(left, top),
        ncols=_columns(legend), frameon=False, borderpad=0, borderaxespad=0, handlelength=1.8, handletextpad=0.5,
        columnspacing=1.2, labelspacing=0.35,
    )  # fmt: skip
