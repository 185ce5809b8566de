"""Conditions over the episode index, in SQL, as recipes and commands write them.

DuckDB does the work. Two words make conditions read as people think them: `length`
is the number of actions, and `success` alone is true for a success, so that
`success and length > 5 and robot == 'kuka'` means what it says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.episodes.errors import UserError

_ROW = "_row"
# Quoted text stays as it is; a bare `success` that nothing is compared with is a flag.
_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\bsuccess\b", re.IGNORECASE)
_COMPARED = re.compile(
    r"\s*(?:=|!=|<>|<|>|\|\||::|,|\)?\s*(?:IN|NOT\s+IN|LIKE|ILIKE|IS|NOT\s+LIKE)\b)",
    re.IGNORECASE,
)
_OPERATOR_BEFORE = re.compile(r"(?:=|<|>|\|\||\(\s*DISTINCT|,)\s*$", re.IGNORECASE)


def matching_rows(
    table: pa.Table, condition: str, where: str, known: Sequence[str] = ()
) -> np.ndarray:
    """Returns the rows of a table that a condition holds for, int64 [M], in order.

    Args:
      table: Rows of an index.
      condition: SQL; empty for all.
      where: Where the condition stands, for errors: 'where of the recipe'.
      known: Columns that there are, for errors; the table's if not said.

    Raises:
      UserError: DuckDB cannot read it, or names a column that is not there.
    """
    if not condition.strip():
        return np.arange(table.num_rows)
    import duckdb

    numbered = table.append_column(_ROW, pa.array(np.arange(table.num_rows)))
    # Files are out of reach: a condition may come from a recipe of somebody else's.
    connection = duckdb.connect(config={"enable_external_access": "false"})
    try:
        relation = connection.from_arrow(numbered)
        if "length" not in table.column_names and "num_steps" in table.column_names:
            relation = relation.project("*, num_steps - 1 AS length")
        found = relation.filter(plain_sql(condition)).project(_ROW).fetchnumpy()
    except duckdb.Error as error:
        told = str(error).split("\n")[0]
        raise UserError(
            f"{where}: the condition {condition!r} cannot be used: {told}; columns are "
            f"length, {', '.join(known or table.column_names)}"
        ) from error
    finally:
        connection.close()
    return np.sort(np.asarray(found[_ROW], dtype=np.int64))


def plain_sql(condition: str) -> str:
    """Returns a condition with a bare `success` spelled out.

    >>> plain_sql("success and length > 5")
    "(success = 'yes') and length > 5"
    >>> plain_sql("success = 'no'")
    "success = 'no'"
    """

    def spelled(match: re.Match[str]) -> str:
        if match.group().lower() != "success":
            return match.group()
        before, after = condition[: match.start()], condition[match.end() :]
        if _COMPARED.match(after) or _OPERATOR_BEFORE.search(before):
            return match.group()
        return "(success = 'yes')"

    return _TOKENS.sub(spelled, condition)


def columns_of(condition: str, known: Sequence[str]) -> list[str]:
    """Returns which of the known columns a condition may name, in their order."""
    words: set[Any] = set(re.findall(r"\w+", condition))
    wanted = {"num_steps", "success"} | words
    return [name for name in known if name in wanted]
