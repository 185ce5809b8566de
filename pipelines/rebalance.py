"""Rebalances successes and failures of a split to a target ratio.

Only episodes of known outcome count. Downsampling keeps every episode of the class
that is too rare and drops the surplus of the other, by the rank of a seeded hash of
the episode's id: which ones are dropped does not depend on order or workers.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.episodes.errors import UserError, unknown_name
from thresher.episodes.metadata import Success

YES, NO, UNKNOWN = (outcome.value for outcome in Success)


@dataclasses.dataclass(frozen=True)
class RebalanceConfig:
    """What mix a split is brought to.

    Attributes:
      target: Share of successes among episodes of known outcome, in (0, 1). Near a
        half a Q-function sees enough of both to rank them.
      strata: Index columns; each combination of their values is balanced by itself.
      split: The only split that is touched.
      seed: Chooses which surplus episodes go.
    """

    target: float = 0.5
    strata: tuple[str, ...] = ("task",)
    split: str = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise UserError(
                f"a success ratio of {self.target} cannot be rebalanced to; give one "
                "between 0 and 1, such as 0.5"
            )


@dataclasses.dataclass(frozen=True)
class StratumReport:
    """What rebalancing did to one stratum.

    Attributes:
      stratum: The values of the strata columns.
      before: (successes, failures) before.
      after: (successes, failures) after.
      unknown: Episodes of unknown outcome, all kept.
    """

    stratum: tuple[str, ...]
    before: tuple[int, int]
    after: tuple[int, int]
    unknown: int


def downsample(
    index: pa.Table, config: RebalanceConfig
) -> tuple[np.ndarray, list[StratumReport]]:
    """Returns which rows stay, and what was done.

    Args:
      index: With columns 'episode_id', 'success', 'split' and the strata.
      config: What to bring it to.

    Returns:
      bool [num_rows], True for rows that stay (all rows of other splits do), and a
      report for each stratum.

    Raises:
      UserError: A stratum has no success or no failure, so no ratio can be reached.
    """
    for column in config.strata:
        if column not in index.column_names:
            raise unknown_name("stratum column", column, index.column_names)
    stays = np.ones(index.num_rows, dtype=bool)
    reports = []
    for stratum, rows in sorted(_strata(index, config).items()):
        by_outcome = _by_outcome(index, rows)
        successes, failures = by_outcome[YES], by_outcome[NO]
        _require_both(stratum, len(successes), len(failures), config)
        keep_yes, keep_no = kept_counts(len(successes), len(failures), config.target)
        for members, count in ((successes, keep_yes), (failures, keep_no)):
            for row in _surplus(index, members, count, config.seed):
                stays[row] = False
        before = (len(successes), len(failures))
        unknown = len(by_outcome[UNKNOWN])
        reports.append(StratumReport(stratum, before, (keep_yes, keep_no), unknown))
    return stays, reports


def kept_counts(successes: int, failures: int, target: float) -> tuple[int, int]:
    """Returns how many of each class stay: one class whole, the other cut to fit.

    Rounding is to the nearest episode, at least one of each.
    """
    wanted_failures = successes * (1 - target) / target
    if wanted_failures <= failures:
        return successes, max(1, round(wanted_failures))
    return max(1, round(failures * target / (1 - target))), failures


def _strata(
    index: pa.Table, config: RebalanceConfig
) -> dict[tuple[str, ...], list[int]]:
    columns = [index[name].to_pylist() for name in config.strata]
    members: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, split in enumerate(index["split"].to_pylist()):
        if split == config.split:
            members[tuple(str(column[row]) for column in columns)].append(row)
    return members


def _by_outcome(index: pa.Table, rows: Iterable[int]) -> dict[str, list[int]]:
    outcomes = index["success"].to_pylist()
    found: dict[str, list[int]] = {YES: [], NO: [], UNKNOWN: []}
    for row in rows:
        found[outcomes[row]].append(row)
    return found


def _surplus(
    index: pa.Table, rows: Sequence[int], count: int, seed: int
) -> Sequence[int]:
    def rank(row: int) -> Any:
        name = f"{seed}/{index['episode_id'][row].as_py()}"
        return hashlib.sha256(name.encode()).digest(), row

    return sorted(rows, key=rank)[count:]


def _require_both(
    stratum: tuple[str, ...], successes: int, failures: int, config: RebalanceConfig
) -> None:
    for count, name in ((successes, "success"), (failures, "failure")):
        if count == 0:
            where = ", ".join(
                f"{column} {value!r}" for column, value in zip(config.strata, stratum)
            )
            raise UserError(
                f"cannot rebalance {config.split} to a success ratio of "
                f"{config.target:g}: no {name} among {successes + failures} labelled "
                f"episodes of {where or 'the split'}; collect more, or build without "
                "rebalancing"
            )
