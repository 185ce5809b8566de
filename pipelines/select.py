"""From the index of all logs to a version's rows, every exclusion with a reason."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.pipelines.index_logs import is_sound
from thresher.pipelines.rebalance import StratumReport, downsample
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.split import require_no_leak, split_column


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which episodes make a version.

    Attributes:
      kept: Their rows, with 'split'.
      excluded: All other rows, with 'stage' and 'reason': the quarantine.
      ratios: (name, successes, failures) of the training split before and after
        rebalancing and of the other splits.
      strata: What rebalancing did.
    """

    kept: pa.Table
    excluded: pa.Table
    ratios: list[tuple[str, int, int]]
    strata: list[StratumReport]

    def reasons(self) -> dict[str, dict[str, int]]:
        """Returns how many episodes each stage excluded, by reason's rule."""
        counts: dict[str, Counter[str]] = {}
        for stage, reason in zip(
            self.excluded["stage"].to_pylist(), self.excluded["reason"].to_pylist()
        ):
            counts.setdefault(stage, Counter())[reason.split(":")[0]] += 1
        return {stage: dict(sorted(c.items())) for stage, c in sorted(counts.items())}


def select(index: pa.Table, recipe: Recipe) -> Selection:
    """Checks, removes duplicates, splits and rebalances, on the index alone.

    Raises:
      UserError: A class is missing for rebalancing, or groups straddle splits.
    """
    sound = is_sound(index)
    excluded = [_excluded(index.filter(pc.invert(sound)), "contract")]
    rows = index.filter(sound)
    first = _first_of_each(rows)
    copies = rows.filter(pa.array(~first))
    excluded.append(
        _excluded(copies, "duplicate", "duplicate: same content as another")
    )
    rows = rows.filter(pa.array(first))
    rows = rows.append_column("split", split_column(rows, recipe.split))
    require_no_leak(rows, recipe.split)
    before = rows
    strata: list[StratumReport] = []
    if recipe.rebalance is not None:
        stays, strata = downsample(rows, recipe.rebalance)
        surplus = rows.filter(pa.array(~stays)).drop_columns(["split"])
        reason = f"surplus: success ratio {recipe.rebalance.target:g} asked for"
        excluded.append(_excluded(surplus, "rebalance", reason))
        rows = rows.filter(pa.array(stays))
    return Selection(rows, pa.concat_tables(excluded), _ratios(before, rows), strata)


def _excluded(rows: pa.Table, stage: str, reason: str = "") -> pa.Table:
    reasons = [
        reason or "; ".join(violations) for violations in rows["violations"].to_pylist()
    ]
    stages = pa.array([stage] * rows.num_rows, pa.string())
    rows = rows.append_column("stage", stages)
    return rows.append_column("reason", pa.array(reasons, pa.string()))


def _first_of_each(rows: pa.Table) -> np.ndarray:
    """Returns which rows are the first with their content, in index order."""
    seen: set[Any] = set()
    first = np.ones(rows.num_rows, dtype=bool)
    for row, episode_id in enumerate(rows["episode_id"].to_pylist()):
        first[row] = episode_id not in seen
        seen.add(episode_id)
    return first


def _ratios(before: pa.Table, after: pa.Table) -> list[tuple[str, int, int]]:
    ratios = []
    for split in sorted(set(before["split"].to_pylist())):
        ours, theirs = _outcomes(before, split), _outcomes(after, split)
        if ours == theirs:
            ratios.append((split, *ours))
        else:
            ratios.append((f"{split}, collected", *ours))
            ratios.append((f"{split}, rebalanced", *theirs))
    return ratios


def _outcomes(rows: pa.Table, split: str) -> tuple[int, int]:
    outcomes = Counter(
        rows.filter(pc.equal(rows["split"], split))["success"].to_pylist()
    )
    return outcomes["yes"], outcomes["no"]
