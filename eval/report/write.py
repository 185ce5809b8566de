"""Writes a report: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from thresher.episodes.files import atomic_write
from thresher.episodes.version import Version
from thresher.eval.report.contents import Contents, Evaluation, read_contents
from thresher.eval.report.plots import (
    success_intervals,
    success_ratios,
    training_curves,
)
from thresher.eval.report.rebalancing import rebalancing

_TEMPLATE = "page.html.j2"


def write_report(folders: Sequence[Path], out: Path, title: str) -> Contents:
    """Writes the report of some folders and returns what it tells.

    Args:
      folders: Run folders and dataset versions, in any order.
      out: The HTML file; an old one is replaced.
      title: Its heading.

    Raises:
      UserError: A folder that is no such thing, or a run that has not finished.
    """
    contents = read_contents(folders)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent, interval=_interval, mebibytes=_mebibytes, duration=_duration
    )
    page = environment.get_template(_TEMPLATE).render(
        title=title,
        contents=contents,
        headline=headline(contents.evaluations),
        plots=_plots(contents),
        ratios=[ratio_stages(version) for version in contents.versions],
        rebalanced=[rebalancing(version) for version in contents.versions],
    )
    atomic_write(out, page)
    return contents


def headline(evaluations: Sequence[Evaluation]) -> str:
    """Returns the one sentence that a reader takes away; empty without a comparison.

    It compares the learned policies with what was not learned, and says 'above' only
    where intervals are apart.
    """
    unseen = [e for e in evaluations if e.on_unseen_objects]
    learned = [e for e in unseen if e.is_learned]
    others = [e for e in unseen if not e.is_learned]
    if not learned or not others:
        return ""
    best_other = max(others, key=lambda e: e.rate.rate)
    sentences = []
    for policy in learned:
        if policy.rate.is_above(best_other.rate):
            verdict = "above"
        elif best_other.rate.is_above(policy.rate):
            verdict = "below"
        else:
            verdict = "not told apart from"
        sentences.append(
            f"{policy.label} succeeds on {policy.rate.rate:.1%} of unseen scenes, "
            f"{verdict} {best_other.label} at {best_other.rate.rate:.1%}."
        )
    return " ".join(sentences)


def ratio_stages(version: Version) -> list[tuple[str, int, int]]:
    """Returns (stage, successes, failures) before and after rebalancing, by split."""
    return [
        (stage["name"], stage["successes"], stage["failures"])
        for stage in version.lineage["success_ratio"]
    ]


def _plots(contents: Contents) -> dict[str, Any]:
    rates = [(e.label, e.rate) for e in contents.evaluations]
    return {
        "success": success_intervals(rates) if rates else "",
        "ratios": [success_ratios(ratio_stages(v)) for v in contents.versions],
        "training": [
            training_curves(t.metrics) if t.metrics else "" for t in contents.trainings
        ],
    }


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _interval(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.1f} – {100 * ends[1]:.1f} %"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
