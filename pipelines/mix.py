"""Brings the training split to its success ratio and its sources to their shares.

The arithmetic is `pipelines/rebalance.py`'s; here it meets the workbench.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.rebalance import (
    NO,
    UNKNOWN,
    YES,
    RebalanceConfig,
    StratumReport,
    rebalance,
    share_out,
)
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.sources import MERGED_SCHEMA, Source
from thresher.pipelines.workbench import Workbench


def rebalance_training(bench: Workbench, recipe: Recipe) -> list[StratumReport]:
    """Brings each stratum of the split to the recipe's ratio; says what it did.

    Raises:
      UserError: The split, or a class of one of its strata, has no episode.
    """
    config = recipe.rebalance
    if config is None or not bench.kept.size:
        return []
    rows = bench.rows_of(config.split)
    if not rows.size:
        raise _nothing_to_rebalance(bench, config)
    strata, names = _strata(bench, config.strata, rows)
    shares, reports = rebalance(
        bench.outcome[rows], strata, names, bench.ids[rows], config
    )
    bench.copies[rows], bench.weight[rows] = shares.copies, shares.weights
    reason = f"surplus: success ratio {config.target:g} asked for"
    bench.exclude(rows[shares.copies == 0], "rebalance", reason)
    return reports


def _nothing_to_rebalance(bench: Workbench, config: RebalanceConfig) -> UserError:
    counts = {name: bench.rows_of(name).size for name in bench.split_names}
    there = [f"{name} ({count:,})" for name, count in counts.items() if count]
    return UserError(
        f"cannot rebalance split {config.split!r} to a success ratio of "
        f"{config.target:g}: no episode is in it, only in {', '.join(there)}; name "
        "another split, collect more, or build without rebalancing"
    )


def mix_training(
    bench: Workbench, recipe: Recipe, sources: Sequence[Source]
) -> list[dict[str, Any]]:
    """Brings the sources' shares of the training split to their weights.

    Cells are the outcomes in each stratum of each source. Without rebalancing each
    source keeps its own ratio of success; with it, each comes to the target.

    Returns:
      What each source was given: asked for, before, after and achieved.

    Raises:
      UserError: A source has nothing to train on, or lacks a class.
    """
    config = recipe.rebalance
    split = config.split if config else "train"
    rows = bench.rows_of(split)
    cells, shares = _mix_cells(bench, rows, recipe, sources)
    copies, weights = np.ones(len(rows), np.int64), np.ones(len(rows))
    method = config.method if config else recipe.mix
    seed = config.seed if config else recipe.plan.seed
    share_out(cells, shares, bench.ids[rows], method, seed, copies, weights)
    bench.copies[rows], bench.weight[rows] = copies, weights
    bench.exclude(rows[copies == 0], "mix", "surplus: shares of sources asked for")
    return _mixed_report(bench, rows, sources)


def _mix_cells(
    bench: Workbench, rows: np.ndarray, recipe: Recipe, sources: Sequence[Source]
) -> tuple[dict[int, np.ndarray], dict[int, float]]:
    config = recipe.rebalance
    strata, _ = _strata(bench, config.strata if config else (), rows)
    cells: dict[int, np.ndarray] = {}
    shares: dict[int, float] = {}
    for number, source in enumerate(sources):
        mine = np.flatnonzero(bench.source[rows] == number)
        if not mine.size:
            raise UserError(
                f"source {source.name!r} has no episode to train on that no source "
                "before it has, so it cannot have its share of the mix; leave it out, "
                "or give it other episodes"
            )
        for stratum in np.unique(strata[mine]).tolist():
            members = mine[strata[mine] == stratum]
            by_outcome = {
                outcome: members[bench.outcome[rows[members]] == outcome]
                for outcome in (NO, YES, UNKNOWN)
            }
            parts = _outcome_parts(by_outcome, recipe, source.name)
            for outcome, part in parts.items():
                cells[len(cells)] = by_outcome[outcome]
                shares[len(shares)] = source.weight * part * len(members) / len(mine)
    return cells, shares


def _outcome_parts(
    by_outcome: Mapping[int, np.ndarray], recipe: Recipe, source: str
) -> dict[int, float]:
    """Returns what share of a stratum each outcome should have; they sum to 1."""
    counts = {outcome: len(rows) for outcome, rows in by_outcome.items()}
    total = sum(counts.values())
    parts = {outcome: count / total for outcome, count in counts.items() if count}
    known = counts[YES] + counts[NO]
    if recipe.rebalance is None or not known:
        return parts
    for outcome, name in ((YES, "success"), (NO, "failure")):
        if not counts[outcome]:
            raise UserError(
                f"cannot rebalance source {source!r} to a success ratio of "
                f"{recipe.rebalance.target:g}: no {name} among {known} labelled "
                "episodes; collect more, or build without rebalancing"
            )
    target = recipe.rebalance.target
    parts[YES], parts[NO] = target * known / total, (1 - target) * known / total
    return parts


def _mixed_report(
    bench: Workbench, rows: np.ndarray, sources: Sequence[Source]
) -> list[dict[str, Any]]:
    mass = bench.copies[rows] * bench.weight[rows]
    total = sum(source.weight for source in sources)
    return [
        {
            "source": source.name,
            "asked": source.weight / total,
            "before": int((bench.source[rows] == number).sum()),
            "after": int(bench.copies[rows][bench.source[rows] == number].sum()),
            "achieved": float(mass[bench.source[rows] == number].sum() / mass.sum()),
        }
        for number, source in enumerate(sources)
    ]


def _strata(
    bench: Workbench, columns: Sequence[str], rows: np.ndarray
) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Returns each row's stratum, and the strata's values."""
    for column in columns:
        if column not in MERGED_SCHEMA.names:
            raise unknown_name("stratum column", column, MERGED_SCHEMA.names)
    numbers: dict[tuple[str, ...], int] = {}
    found = np.zeros(len(bench.stage), np.int64)
    if columns:
        for first, table in bench.batches(list(dict.fromkeys(columns))):
            values = (map(str, table[name].to_pylist()) for name in columns)
            for offset, key in enumerate(zip(*values)):
                found[first + offset] = numbers.setdefault(key, len(numbers))
    else:
        numbers[()] = 0
    return found[rows], list(numbers)
