"""Keeps the first examples of each split, and tells what that left of a rebalancing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.rebalance import (
    NO,
    OUTCOMES,
    YES,
    RebalanceConfig,
    StratumReport,
)
from thresher.pipelines.stable_hash import ranks
from thresher.pipelines.workbench import Workbench


def limit_splits(bench: Workbench, plan: PlanConfig) -> None:
    """Keeps the first examples of each split, in the order of the plan.

    An episode that is repeated is as many examples; it may keep some of them.
    """
    most = plan.max_examples_per_split
    for split in bench.split_names if most else ():
        rows = bench.rows_of(split)
        counts = bench.copies[rows]
        places = np.repeat(np.arange(len(rows)), counts)
        copy = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        rank = ranks(bench.ids[rows[places]], plan.seed, copy.astype(np.uint64))
        first = places[np.argsort(rank, kind="stable")[:most]]
        bench.copies[rows] = np.bincount(first, minlength=len(rows))
        out = rows[bench.copies[rows] == 0]
        bench.exclude(out, "limit", f"limit: {most} examples a split asked for")


def strata_left(
    bench: Workbench, config: RebalanceConfig, reports: Sequence[StratumReport]
) -> list[StratumReport]:
    """Returns what rebalancing did, as it is now that examples were taken out."""
    counts = {report.stratum: np.zeros(len(OUTCOMES), np.int64) for report in reports}
    masses = {report.stratum: np.zeros(len(OUTCOMES)) for report in reports}
    rows = bench.rows_of(config.split)
    columns = list(dict.fromkeys(config.strata))
    # Without strata all rows are one; some column must be read to have their number.
    for first, table in bench.batches(columns or ["row"]):
        mine = rows[(rows >= first) & (rows < first + table.num_rows)]
        few = table.take(mine - first)
        values = [map(str, few[name].to_pylist()) for name in config.strata]
        for row, key in zip(mine, zip(*values) if values else [()] * len(mine)):
            counts[key][bench.outcome[row]] += bench.copies[row]
            masses[key][bench.outcome[row]] += bench.copies[row] * bench.weight[row]
    return [_left(r, counts[r.stratum], masses[r.stratum]) for r in reports]


def _left(report: StratumReport, count: np.ndarray, mass: np.ndarray) -> StratumReport:
    known = float(mass[YES] + mass[NO])
    unknown = count.sum() - count[YES] - count[NO]
    return dataclasses.replace(
        report,
        after=(int(count[YES]), int(count[NO])),
        achieved=float(mass[YES]) / known if known else 0.0,
        unknown=int(unknown),
    )


def sources_left(
    bench: Workbench, split: str, reports: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Returns what mixing gave each source, likewise; reports are in their order."""
    rows = bench.rows_of(split)
    source, copies = bench.source[rows], bench.copies[rows]
    mass = copies * bench.weight[rows]
    return [
        {
            **report,
            "after": int(copies[source == number].sum()),
            "achieved": float(mass[source == number].sum() / mass.sum()),
        }
        for number, report in enumerate(reports)
    ]
