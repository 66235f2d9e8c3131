"""Charts of what was measured, as small SVG files that can be read on white and on dark pages.

``draw(path, title, panel, ...)`` writes one picture with its panels below each other. A panel is ``Lines`` (values over
something that is counted or timed) or ``Bars`` (groups beside each other); both take their values by name, and the
names become the legend. NaN is left out. An example::

    draw(
        Path("docs/pictures/speed.svg"),
        "How fast replies are written",
        Bars("tokens a second", ["1 person", "16 people"], {"rapport": [90, 410], "plain transformers": [80, 85]}),
        Lines("seconds", "people", {"first word": ([1, 4, 16], [0.1, 0.2, 0.4])}, log=True, marks={12: "full"}),
    )

matplotlib is in the test extra and imported when something is drawn: measuring needs none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, PANEL_HEIGHT = 7.2, 2.9  # inches
# Okabe and Ito's colours, which colour-blind people can tell apart.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C"]
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small, and it can be searched
    "svg.hashsalt": "rapport",  # the same figures give the same file
}


@dataclass(frozen=True)
class Lines:
    """Each line is a name and its (x values, y values). ``marks``: x values with a dashed line and a word."""

    y_label: str
    x_label: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    log: bool = False  # the y axis
    dots: bool = True
    marks: Mapping[float, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bars:
    """For each group one bar of each series, which has as many values as there are groups."""

    y_label: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float]]
    log: bool = False


def draw(path: Path, title: str, *panels: Lines | Bars) -> None:
    """Write the picture; raises ModuleNotFoundError where matplotlib is not installed."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    with mpl.rc_context(STYLE):
        mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=COLOURS)
        size = (WIDTH, PANEL_HEIGHT * len(panels))
        figure, found = pyplot.subplots(len(panels), 1, figsize=size, squeeze=False, layout="constrained")
        figure.suptitle(title, fontsize=12)
        for axes, panel in zip(found[:, 0], panels, strict=True):
            _lines(axes, panel) if isinstance(panel, Lines) else _bars(axes, panel)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _lines(axes: "Axes", panel: Lines) -> None:
    for name, (xs, ys) in panel.lines.items():
        axes.plot(xs, ys, label=name, marker="o" if panel.dots else None, markersize=4, linewidth=1.6)
    axes.set_xlabel(panel.x_label)
    _finish(axes, panel)
    for x, word in panel.marks.items():
        axes.axvline(x, color="#666666", linestyle="--", linewidth=1)
        axes.annotate(word, (x, 1), (0, 2), ("data", "axes fraction"), "offset points", ha="center", fontsize=9)


def _bars(axes: "Axes", panel: Bars) -> None:
    width = 0.8 / len(panel.series)
    for number, (name, values) in enumerate(panel.series.items()):
        places = [at + (number - (len(panel.series) - 1) / 2) * width for at in range(len(panel.groups))]
        axes.bar_label(axes.bar(places, values, width, label=name), fmt="{:.3g}", fontsize=8, padding=1)
    axes.set_xticks(range(len(panel.groups)), panel.groups)
    axes.grid(False, axis="x")
    _finish(axes, panel)


def _finish(axes: "Axes", panel: Lines | Bars) -> None:
    axes.set_ylabel(panel.y_label)
    if panel.log:
        axes.set_yscale("log", subs=[2, 5])
        for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            formatted(lambda value, _: f"{value:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
