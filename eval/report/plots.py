"""The report's plots, as SVG text that goes straight into the page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from thresher.eval.intervals import Proportion

# Readable on white and on black alike, and told apart by the colour-blind (Okabe-Ito).
_INK = "#7a7f87"
_BLUE = "#0072b2"
_ORANGE = "#e69f00"
_GREEN = "#009e73"
_SMOOTHING = 0.9


def success_intervals(rates: Sequence[tuple[str, Proportion]]) -> str:
    """Returns a dot with its interval for each policy, first on top."""
    figure, (axes,) = _figure(1, height=0.5 + 0.42 * len(rates))
    for row, (_, rate) in enumerate(rates):
        low, high = rate.interval
        axes.plot([100 * low, 100 * high], [row, row], color=_BLUE, lw=2)
        axes.plot([100 * rate.rate], [row], "o", color=_BLUE, ms=7)
    axes.set_yticks(range(len(rates)), [name for name, _ in rates])
    axes.set_ylim(len(rates) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("success on unseen objects, % with 95 % interval")
    axes.grid(axis="x", alpha=0.25)
    return _svg(figure)


def success_ratios(stages: Sequence[tuple[str, int, int]]) -> str:
    """Returns a bar of failures and successes for each stage.

    Args:
      stages: (name, successes, failures), first on top.
    """
    figure, (axes,) = _figure(1, height=0.5 + 0.42 * len(stages))
    for row, (_, successes, failures) in enumerate(stages):
        axes.barh(row, successes, color=_GREEN, height=0.6)
        axes.barh(row, failures, left=successes, color=_ORANGE, height=0.6)
        total = successes + failures
        axes.annotate(
            f" {100 * successes / max(total, 1):.1f} % of {total:,}",
            (total, row),
            va="center",
            color=_INK,
        )
    axes.set_yticks(range(len(stages)), [name for name, *_ in stages])
    axes.set_ylim(len(stages) - 0.5, -0.5)
    axes.margins(x=0.25)
    axes.set_xlabel("episodes: successes (green) and failures (orange)")
    return _svg(figure)


def training_curves(metrics: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Returns a panel for each metric over steps, smoothed, the raw values behind."""
    names = sorted(metrics)
    figure, panels = _figure(len(names), height=2.2 * ((len(names) + 2) // 3))
    for axes, name in zip(panels, names):
        steps, values = zip(*metrics[name])
        axes.plot(steps, values, color=_BLUE, alpha=0.25, lw=0.8)
        axes.plot(steps, _smoothed(values), color=_BLUE, lw=1.4)
        axes.set_title(name, fontsize=9, color=_INK)
        axes.set_xlabel("gradient step")
    return _svg(figure)


def _smoothed(values: Sequence[float]) -> list[float]:
    smoothed, weight = [], 0.0
    mean = 0.0
    for value in values:
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        smoothed.append(mean / weight)
    return smoothed


def _figure(panels: int, *, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, height), layout="constrained")
    columns = min(panels, 3)
    rows = -(-panels // columns)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = [panel for row in grid for panel in row]
    for unused in axes[panels:]:
        unused.set_visible(False)
    for panel in axes:
        panel.patch.set_alpha(0)
        panel.tick_params(colors=_INK, labelsize=9)
        panel.xaxis.label.set_color(_INK)
        for side, spine in panel.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_INK)
    return figure, axes[:panels]


def _svg(figure: Figure) -> str:
    import matplotlib

    buffer = io.StringIO()
    # A fixed salt and no date: the same results make the same page.
    with matplotlib.rc_context({"svg.hashsalt": "thresher", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
