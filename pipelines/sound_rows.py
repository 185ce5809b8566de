"""Rows of somebody else's index, checked before a build believes them.

A sealed version may come from anywhere. What its index says decides which bytes are
read, how much, and what files are called; so each value must be of the kind that a seal
writes, whoever wrote it. Whether it is true, the records' digests tell later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.errors import UserError
from thresher.episodes.index import INDEX_SCHEMA

_DIGEST = "^[0-9a-f]{32}$"
_MOST_LETTERS = 255
_PATTERNS = {
    "episode_id": _DIGEST,
    "record_digest": _DIGEST,
    "shard_file": f"^[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{_MOST_LETTERS - 1}}}$",
    "split": f"^[A-Za-z_][A-Za-z0-9_]{{0,{_MOST_LETTERS - 1}}}$",
    "near_digest": "^([0-9a-f]{32})?$",
    "success": "^(yes|no|unknown)$",
}
# No record, episode or time is larger; sums of these stay far from 2**63.
_RANGES: dict[str, tuple[float, float]] = {
    "record_offset": (0, 2**50),
    "record_length": (0, 2**40),
    "length_bytes": (0, 2**50),
    "num_steps": (1, 2**31),
    "sampling_weight": (0, 1e9),
    "copy": (0, 2**31),
}
_MAY_BE_EMPTY = ("near_digest",)
# What is sealed breaks no rule, so a seal leaves that column out.
_REQUIRED = tuple(
    field.name
    for field in INDEX_SCHEMA
    if not field.nullable and field.name != "violations"
)


def require_sound(table: pa.Table, where: str) -> None:
    """Refuses rows of a sealed version's index that no seal writes.

    Args:
      table: Rows of its episodes.parquet.
      where: The version, for the message.

    Raises:
      UserError: Names the column and the first wrong value.
      ValueError: A column is missing.
    """
    for name, wrong in _wrong(table):
        # Arrow's answer for an empty value is an empty one; that is wrong, too.
        place = pc.index(pc.fill_null(wrong, True), True).as_py()
        if place >= 0:
            value = repr(table[name][place].as_py())
            raise UserError(
                f"the index of {where} is damaged: {name} of an episode is "
                f"{value[:80]}; restore the version from a good copy"
            )


def _wrong(table: pa.Table) -> Iterator[tuple[str, Any]]:
    """Yields column by column which rows are wrong."""
    for name in (*_REQUIRED, *_PATTERNS, *_RANGES):
        if name not in table.column_names:
            raise ValueError(f"the index lacks the column {name!r}")
        if name not in _MAY_BE_EMPTY:
            yield name, pc.is_null(table[name])
    for name, pattern in _PATTERNS.items():
        column = table[name].cast(pa.string())
        if name in _MAY_BE_EMPTY:
            column = pc.fill_null(column, "")
        yield name, pc.invert(pc.match_substring_regex(column, pattern))
    for name, (least, most) in _RANGES.items():
        column = table[name].cast(pa.float64())
        inside = pc.and_(pc.greater_equal(column, least), pc.less(column, most))
        yield name, pc.invert(inside)
