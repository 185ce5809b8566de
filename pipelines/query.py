"""Asks a version's index questions in SQL, with DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from thresher.episodes.errors import unknown_name
from thresher.pipelines.conditions import matching_rows


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
    for column in columns:
        if column not in index.column_names:
            raise unknown_name("column", column, index.column_names)
    rows = matching_rows(index, condition, "where")
    found = index.select(list(columns) or index.column_names).take(rows)
    return found.slice(0, limit) if limit else found
