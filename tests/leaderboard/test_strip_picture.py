"""The strip plot of `zoo plot`: labels of rows stand beside the ranges."""

from matplotlib.backends.backend_agg import FigureCanvasAgg

from harness.pictures.picture import compose
from leaderboard.strip_picture import strip_panel
from leaderboard.strip_plot import PlottedRun, strip_plot

RUNS = [PlottedRun(seed=seed, value=0.9 + seed / 1e5, kind="reference") for seed in range(1000, 1004)]
RUNS += [PlottedRun(seed=seed, value=0.91, kind="judged") for seed in range(3)]


def test_labels_of_rows_stand_in_the_margin_and_cross_nothing() -> None:
    plot = strip_plot("accuracy", "test", RUNS, 0.91, (0.89, 0.93), (0.90, 0.92))
    figure = {"drawn": plot, "metric": "accuracy", "split": "test", "verdict": "reproduced"}
    picture = compose([strip_panel("tiny", figure)])
    FigureCanvasAgg(picture).draw()
    (axes,) = picture.axes
    labels = axes.get_yticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert [label.get_text() for label in labels] == ["reference\nruns", "judged\nruns"]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= axes.get_window_extent().x0
    assert boxes[0].y0 > boxes[1].y1
