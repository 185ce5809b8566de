"""Brings a split to a chosen success ratio, stratum by stratum; mixes its sources.

Both are one problem: *cells* (success and failure of a stratum; the outcomes of each
source) hold some episodes and should have given shares of the whole.

- `downsample` keeps every episode of the cell that is scarcest and drops the surplus
  of the others;
- `duplicate` repeats the episodes of scarce cells until the richest one is matched;
- `weights` drops and repeats nothing and gives each episode a sampling weight.

Only episodes of known outcome count in a ratio. Which episodes are dropped or repeated
follows from a seeded hash of their ids, not from order or workers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.stable_hash import ranks

DOWNSAMPLE, DUPLICATE, WEIGHTS = "downsample", "duplicate", "weights"
METHODS = (DOWNSAMPLE, DUPLICATE, WEIGHTS)
# Codes of outcomes in arrays.
NO, YES, UNKNOWN = 0, 1, 2
OUTCOMES = {"no": NO, "yes": YES, "unknown": UNKNOWN}
# A smaller share of all episodes that there could be is none.
_LEAST_TARGET = 1e-12
# Repeating one episode more often than this teaches it by heart.
MOST_COPIES = 1000


@dataclasses.dataclass(frozen=True)
class RebalanceConfig:
    """What mix a split is brought to.

    Attributes:
      target: Share of successes among episodes of known outcome, in (0, 1). Near a
        half a Q-function sees enough of both to rank them.
      strata: Index columns; each combination of their values is balanced by itself.
      method: 'downsample', 'duplicate' or 'weights'.
      split: The only split that is touched.
      seed: Chooses which episodes are dropped or repeated.
    """

    target: float = 0.5
    strata: tuple[str, ...] = ("task",)
    method: str = DOWNSAMPLE
    split: str = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        if not _LEAST_TARGET <= self.target < 1:
            raise UserError(
                f"a success ratio of {self.target} cannot be rebalanced to; give one "
                "between 0 and 1, such as 0.5"
            )
        if self.method not in METHODS:
            raise unknown_name("rebalancing method", self.method, METHODS)


@dataclasses.dataclass(frozen=True)
class StratumReport:
    """What rebalancing did to one stratum.

    Attributes:
      stratum: The values of the strata columns.
      method: How.
      asked: The success ratio that was asked for.
      before: (successes, failures) before.
      after: (successes, failures) after, each copy counted.
      achieved: The success ratio that sampling by weight sees.
      unknown: Episodes of unknown outcome, all kept.
    """

    stratum: tuple[str, ...]
    method: str
    asked: float
    before: tuple[int, int]
    after: tuple[int, int]
    achieved: float
    unknown: int


@dataclasses.dataclass(frozen=True)
class Shares:
    """How often each episode is there.

    Attributes:
      copies: 0 for a dropped one, 1, or more, int64 [N].
      weights: Sampling weight, mean 1 over the episodes that are weighted, [N].
    """

    copies: np.ndarray
    weights: np.ndarray


def rebalance(
    outcomes: np.ndarray,
    strata: np.ndarray,
    names: Sequence[tuple[str, ...]],
    ids: np.ndarray,
    config: RebalanceConfig,
) -> tuple[Shares, list[StratumReport]]:
    """Balances each stratum of the episodes of one split.

    Args:
      outcomes: `YES`, `NO` or `UNKNOWN`, [N].
      strata: Number of each episode's stratum, [N].
      names: Values of the strata columns by that number.
      ids: uint64 [N, 2].
      config: What to bring it to.

    Raises:
      UserError: A stratum has no success or no failure, so no ratio can be reached;
        or an episode would have to be repeated absurdly often.
    """
    copies, weights = np.ones(len(ids), np.int64), np.ones(len(ids))
    reports = []
    for stratum in sorted(set(strata.tolist()), key=lambda number: names[number]):
        rows = np.flatnonzero(strata == stratum)
        cells = {code: rows[outcomes[rows] == code] for code in (YES, NO)}
        _require_both(names[stratum], cells, config)
        shares = {YES: config.target, NO: 1 - config.target}
        share_out(cells, shares, ids, config.method, config.seed, copies, weights)
        reports.append(_report(names[stratum], rows, cells, copies, weights, config))
    return Shares(copies, weights), reports


def share_out(
    cells: Mapping[int, np.ndarray],
    shares: Mapping[int, float],
    ids: np.ndarray,
    method: str,
    seed: int,
    copies: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Brings cells to their shares by changing `copies` and `weights` in place.

    Args:
      cells: Rows of each cell, none empty.
      shares: Share of each cell, of any sum.
      ids: uint64 [N, 2], of all rows.
      method: One of `METHODS`.
      seed: Chooses episodes.
      copies: int64 [N].
      weights: float64 [N].
    """
    counts = {cell: len(rows) for cell, rows in cells.items()}
    if method == WEIGHTS:
        total, whole = sum(counts.values()), sum(shares.values())
        for cell, rows in cells.items():
            weights[rows] *= shares[cell] / whole * total / counts[cell]
        return
    for cell, count in cell_counts(counts, shares, method).items():
        rows = cells[cell]
        order = rows[np.lexsort((ids[rows, 1], ids[rows, 0], ranks(ids[rows], seed)))]
        each, extra = divmod(count, len(rows))
        if each >= MOST_COPIES:
            raise UserError(
                f"rebalancing would repeat each of {len(rows)} episodes {each} times; "
                "collect more of them, or use 'weights' or a nearer target"
            )
        copies[order] = each
        copies[order[:extra]] += 1


def cell_counts(
    available: Mapping[int, int], shares: Mapping[int, float], method: str
) -> dict[int, int]:
    """Returns how many episodes of each cell there should be.

    With 'downsample' the scarcest cell stays whole, with 'duplicate' the richest;
    others are rounded to the nearest episode, at least one.
    """
    scales = {cell: available[cell] / shares[cell] for cell in available}
    choose = min if method == DOWNSAMPLE else max
    whole = choose(scales, key=lambda cell: scales[cell])
    return {
        cell: available[cell]
        if cell == whole
        else max(1, round(scales[whole] * shares[cell]))
        for cell in available
    }


def _report(
    name: tuple[str, ...],
    rows: np.ndarray,
    cells: Mapping[int, np.ndarray],
    copies: np.ndarray,
    weights: np.ndarray,
    config: RebalanceConfig,
) -> StratumReport:
    mass = {code: float((copies * weights)[cell].sum()) for code, cell in cells.items()}
    return StratumReport(
        stratum=name,
        method=config.method,
        asked=config.target,
        before=(len(cells[YES]), len(cells[NO])),
        after=(int(copies[cells[YES]].sum()), int(copies[cells[NO]].sum())),
        achieved=mass[YES] / (mass[YES] + mass[NO]),
        unknown=len(rows) - len(cells[YES]) - len(cells[NO]),
    )


def _require_both(
    stratum: tuple[str, ...], cells: Mapping[int, np.ndarray], config: RebalanceConfig
) -> None:
    for code, name in ((YES, "success"), (NO, "failure")):
        if len(cells[code]) == 0:
            where = ", ".join(
                f"{column} {value!r}" for column, value in zip(config.strata, stratum)
            )
            raise UserError(
                f"cannot rebalance {config.split} to a success ratio of "
                f"{config.target:g}: no {name} among {len(cells[YES]) + len(cells[NO])}"
                f" labelled episodes of {where or 'the split'}; collect more, or build "
                "without rebalancing"
            )
