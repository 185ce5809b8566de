"""Asks a version's index questions in SQL, with DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from thresher.episodes.errors import unknown_name
from thresher.episodes.version import Version
from thresher.pipelines.conditions import columns_of, matching_rows


def episodes_where(
    index: pa.Table, condition: str = "", columns: Sequence[str] = (), limit: int = 0
) -> pa.Table:
    """Returns the rows of an index that a condition holds for, in the index's order.

    Args:
      index: One row an episode.
      condition: SQL over the columns, as in "success = 'yes' AND num_steps > 5";
        empty for all.
      columns: Which to return; empty for all.
      limit: At most so many; 0 for all.

    Raises:
      UserError: A column that is not there, or a condition that DuckDB cannot read.
    """
    _require_columns(columns, index.column_names)
    return _found(index, condition, columns or index.column_names, limit, ())


def episodes_of(
    version: Version, condition: str, columns: Sequence[str], limit: int = 0
) -> pa.Table:
    """Returns the same of a sealed version, of whose index only what it takes is read.

    Raises:
      UserError: As above; or the index cannot be read.
    """
    known = version.column_names
    _require_columns(columns, known)
    needed = {*columns_of(condition, known), *columns}
    index = version.columns([name for name in known if name in needed])
    return _found(index, condition, columns, limit, known)


def _require_columns(columns: Sequence[str], known: Sequence[str]) -> None:
    for column in columns:
        if column not in known:
            raise unknown_name("column", column, known)


def _found(
    index: pa.Table,
    condition: str,
    columns: Sequence[str],
    limit: int,
    known: Sequence[str],
) -> pa.Table:
    rows = matching_rows(index, condition, "where", known)
    return index.select(list(columns)).take(rows[:limit] if limit else rows)
