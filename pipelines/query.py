"""Asks a version's index questions in SQL, with DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from thresher.episodes.errors import UserError, unknown_name


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
    import duckdb

    for column in columns:
        if column not in index.column_names:
            raise unknown_name("column", column, index.column_names)
    numbered = index.append_column("_row", pa.array(range(index.num_rows)))
    # Files are out of reach: a condition may come from a recipe of somebody else's.
    connection = duckdb.connect(config={"enable_external_access": "false"})
    try:
        relation = connection.from_arrow(numbered)
        if condition:
            relation = relation.filter(condition)
        found = relation.order("_row").to_arrow_table()
    except duckdb.Error as error:
        raise UserError(
            f"the condition {condition!r} cannot be used: {error}; columns are "
            f"{', '.join(index.column_names)}"
        ) from error
    finally:
        connection.close()
    wanted = index.select(list(columns) or index.column_names)
    # DuckDB forgets which columns are never empty.
    found = found.select(wanted.column_names).cast(wanted.schema)
    return found.slice(0, limit) if limit else found
