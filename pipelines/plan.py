"""Fixes, before a byte is written, every episode's split, shard and position."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.errors import UserError


@dataclasses.dataclass(frozen=True)
class PlanConfig:
    """How episodes are laid out.

    Attributes:
      seed: Of the order within a split.
      max_shard_bytes: Most raw bytes a shard takes; small enough that two processors
        have work on small data sets, and a shard is soon written again.
      num_shards: Shards for each split; 0 to let the size decide.
    """

    seed: int = 0
    max_shard_bytes: int = 64 << 20
    num_shards: int = 0

    def __post_init__(self) -> None:
        if self.max_shard_bytes < 1 or self.num_shards < 0:
            raise UserError(
                f"shards of {self.max_shard_bytes} bytes, {self.num_shards} of them: "
                "both must be positive"
            )


def make_plan(index: pa.Table, config: PlanConfig) -> pa.Table:
    """Returns the rows to write with 'shard', 'num_shards' and 'position'.

    Within a split the order is that of a seeded hash of the ids, so any leading part
    of a split is a fair sample; shards are as equal in bytes as whole episodes allow.

    Args:
      index: Rows that are to be written, with a 'split' column.
      config: How.

    Returns:
      The rows ordered by split, shard and position.
    """
    splits = sorted(set(index["split"].to_pylist()))
    if not splits:
        raise UserError(
            "no episode is left to write: every one was rejected or filtered; see the "
            "quarantine for the reasons"
        )
    return pa.concat_tables(
        [
            _lay_out(index.filter(pc.equal(index["split"], split)), config)
            for split in splits
        ]
    )


def plan_digest(plan: pa.Table, settings: str) -> str:
    """Returns 32 hexadecimal digits of everything that decides the version's bytes."""
    digest = hashlib.sha256(settings.encode())
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, plan.schema) as writer:
        writer.write_table(plan.combine_chunks())
    digest.update(sink.getvalue())
    return digest.hexdigest()[:32]


def _lay_out(rows: pa.Table, config: PlanConfig) -> pa.Table:
    ids = rows["episode_id"].to_pylist()
    keys = [hashlib.sha256(f"{config.seed}/{name}".encode()).digest() for name in ids]
    rows = rows.take(sorted(range(len(ids)), key=keys.__getitem__))
    sizes = rows["length_bytes"].to_numpy()
    count = config.num_shards or -(-int(sizes.sum()) // config.max_shard_bytes)
    shards = _even_shards(sizes, max(1, min(count, len(sizes))))
    count = int(shards[-1]) + 1
    positions = _positions(shards)
    columns: list[tuple[str, Any]] = [
        ("shard", pa.array(shards, pa.int32())),
        ("num_shards", pa.array(np.full(len(sizes), count), pa.int32())),
        ("position", pa.array(positions, pa.int32())),
    ]
    for name, column in columns:
        rows = rows.append_column(name, column)
    return rows


def _even_shards(sizes: np.ndarray, count: int) -> np.ndarray:
    """Returns each row's shard: contiguous, even in bytes, none empty.

    An episode larger than a whole share leaves fewer shards than were asked for.
    """
    middles = np.cumsum(sizes) - sizes / 2
    by_bytes = (middles * count / max(1, sizes.sum())).astype(int)
    return np.unique(by_bytes, return_inverse=True)[1]


def _positions(shards: np.ndarray) -> np.ndarray:
    first = np.searchsorted(shards, shards, side="left")
    return np.arange(len(shards)) - first
