"""What rebalancing did to a version, as its report tells it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.version import EXCLUDED, Version

# A page of a million ids is read by nobody; the files hold them all.
_MOST_IDS = 500
_STAGES = ("rebalance", "mix")


@dataclasses.dataclass(frozen=True)
class Ids:
    """Episodes that one thing happened to.

    Attributes:
      title: What happened to them.
      count: How many there are.
      shown: Ids of the first of them.
      where: Where all of them are found.
    """

    title: str
    count: int
    shown: Sequence[str]
    where: str


@dataclasses.dataclass(frozen=True)
class Rebalancing:
    """Ratios before, asked for and achieved, and the episodes it took.

    Attributes:
      strata: As in lineage.json: stratum, method, before, after, asked, achieved.
      mixed: As in lineage.json: source, before, after, asked, achieved.
      excluded: (stage, reason, episodes) of everything that was left out.
      ids: Dropped and repeated episodes.
    """

    strata: Sequence[Mapping[str, Any]]
    mixed: Sequence[Mapping[str, Any]]
    excluded: Sequence[tuple[str, str, int]]
    ids: Sequence[Ids]


def rebalancing(version: Version) -> Rebalancing:
    """Reads what a version says of its own rebalancing; versions of others say less."""
    lineage = version.lineage
    excluded = [
        (stage, reason, count)
        for stage, reasons in lineage.get("excluded", {}).items()
        for reason, count in reasons.items()
    ]
    return Rebalancing(
        lineage.get("rebalanced", ()),
        lineage.get("mixed", ()),
        excluded,
        [ids for ids in (_dropped(version), _repeated(version)) if ids.count],
    )


def _dropped(version: Version) -> Ids:
    ids: list[str] = []
    if (version.path / EXCLUDED).exists():
        rows = version.excluded
        out = rows.filter(pc.is_in(rows["stage"], pa.array(_STAGES)))
        ids = out["episode_id"].to_pylist()
    where = "excluded.parquet, stage 'rebalance' or 'mix'"
    return Ids("dropped", len(ids), ids[:_MOST_IDS], where)


def _repeated(version: Version) -> Ids:
    ids: list[str] = []
    if "copy" in version.index.column_names:
        rows = version.index
        ids = rows.filter(pc.greater(rows["copy"], 0))["episode_id"].to_pylist()
    return Ids("repeated", len(ids), ids[:_MOST_IDS], "episodes.parquet, copy above 0")
