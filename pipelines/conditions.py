"""Conditions over the episode index, in SQL, as recipes and commands write them.

DuckDB does the work. Some words make conditions read as people think them: `length`
is the number of actions, and `success` alone is true for a success, so that
`success and length > 5 and robot == 'kuka'` means what it says. `split` is that of the
sealed version an episode comes from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.episodes.errors import UserError
from thresher.pipelines.condition_tree import lone_successes, why_undecided

_ROW = "_row"
# A column of findings, and a reserved word.
_CHECK = "check"
_CHECK_WORD = re.compile(rf"\b{_CHECK}\b", re.IGNORECASE)
_QUOTED = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")""")
_YES = b"(success = 'yes')"
# Word → the column that must be there for it, and what it stands for.
_WORDS = {
    "length": ("num_steps", "num_steps - 1"),
    "split": ("parent_split", "parent_split"),
}


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
      UserError: DuckDB cannot read it, it names a column that is not there, is no
        question of yes or no, or says what an episode's columns do not decide.
    """
    if not condition.strip():
        return np.arange(table.num_rows)
    import duckdb

    told = f"{where}: the condition {condition!r} cannot be used:"
    if _CHECK in table.column_names:
        condition = _quoted_check(condition)
    # Files are out of reach: a condition may come from a recipe of somebody else's.
    connection = duckdb.connect(config={"enable_external_access": "false"})
    try:
        found = _holding(connection, table, condition, told)
    except (duckdb.Error, ValueError) as error:
        why = str(error).split("\n")[0]
        raise UserError(
            f"{told} {why}; columns are "
            f"{', '.join(_with_words(known or table.column_names))}"
        ) from error
    except RuntimeError as error:
        # So DuckDB tells of an interruption that it saw before Python did.
        raise KeyboardInterrupt from error
    finally:
        connection.close()
    return np.sort(found.astype(np.int64))


def _holding(connection: Any, table: pa.Table, condition: str, told: str) -> np.ndarray:
    sql = plain_sql(condition)
    numbered = table.append_column(_ROW, pa.array(np.arange(table.num_rows)))
    relation = connection.from_arrow(numbered)
    columns = _with_words(table.column_names)
    for word in columns[: -len(table.column_names)]:
        relation = relation.project(f"*, {_WORDS[word][1]} AS {word}")
    answers = relation.filter(sql)
    undecided = why_undecided(condition, set(columns))
    if undecided:
        raise UserError(
            f"{told} an episode's columns do not decide {undecided}; use columns, "
            "constants, operators and functions that give the same answer every time"
        )
    (kind,) = relation.project(f"({sql}\n)").types
    if str(kind) != "BOOLEAN":
        raise UserError(
            f"{told} it is a value of type {kind}, no yes or no; compare it with "
            "something, as in 'length > 5'"
        )
    rows: np.ndarray = answers.project(_ROW).fetchnumpy()[_ROW]
    return np.asarray(rows)


def plain_sql(condition: str) -> str:
    """Returns a condition with each `success` spelled out that is one by itself.

    Raises:
      ValueError: It is no SQL expression.

    >>> plain_sql("success and length > 5")
    "(success = 'yes') and length > 5"
    >>> plain_sql("success = 'no'")
    "success = 'no'"
    """
    text = condition.encode()
    for first, end in reversed(lone_successes(condition)):
        text = text[:first] + _YES + text[end:]
    return text.decode()


def _quoted_check(condition: str) -> str:
    """Returns a condition in which the column `check` is no keyword of SQL.

    >>> _quoted_check("check in (1, 2)")
    '"check" in (1, 2)'
    >>> _quoted_check("message like '%check%'")
    "message like '%check%'"
    """
    parts = _QUOTED.split(condition)
    parts[::2] = [_CHECK_WORD.sub(f'"{_CHECK}"', part) for part in parts[::2]]
    return "".join(parts)


def columns_of(condition: str, known: Sequence[str]) -> list[str]:
    """Returns which of the known columns a condition may name, in their order."""
    words: set[Any] = set(re.findall(r"\w+", condition.lower()))
    wanted = {"num_steps", "success"} | words
    wanted |= {column for word, (column, _) in _WORDS.items() if word in words}
    return [name for name in known if name in wanted]


def _with_words(columns: Sequence[str]) -> list[str]:
    """Returns what a condition over columns may name: words for some, then they."""
    words = [
        word
        for word, (column, _) in _WORDS.items()
        if word not in columns and column in columns
    ]
    return [*words, *columns]
