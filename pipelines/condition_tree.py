"""What a condition is made of, as DuckDB's own parser sees it.

A recipe decides every byte of a version, so a condition may say nothing but what an
episode's own columns decide: columns, constants, operators and functions that give the
same answer to the same question, today and on every machine.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Optional

_QUERY = "SELECT ("
_SUCCESS = re.compile(r'"success"|success', re.IGNORECASE)
_ALLOWED = frozenset(
    [
        *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON"),
        *("CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA", "LAMBDA_REF"),
        *("OPERATOR", "TYPE"),
    ]
)
# They ask the clock or the installation, whatever DuckDB says of them.
_UNSTEADY = re.compile("age|version|current_.*")

# A macro's parameters and what it stands for.
_Macros = tuple[tuple[Sequence[str], str], ...]


@functools.lru_cache(maxsize=64)
def condition_tree(condition: str) -> dict[str, Any]:
    """Returns the tree of a condition, as DuckDB writes it in JSON.

    Raises:
      ValueError: It is no single expression; says what DuckDB says.
    """
    statement = _parsed(condition)
    plain = _parsed("true")
    del plain["node"]["select_list"]
    expressions = statement["node"].pop("select_list", [])
    if len(expressions) != 1 or statement != plain:
        raise ValueError("it is more than one expression")
    tree: dict[str, Any] = expressions[0]
    return tree


def _parsed(condition: str) -> dict[str, Any]:
    import duckdb

    # A comment at the end may not take the bracket with it.
    query = f"{_QUERY}{condition}\n)"
    with duckdb.connect() as connection:
        asked = connection.execute("SELECT json_serialize_sql(?)", [query])
        (told,) = asked.fetchone() or ("",)
    try:
        answer = json.loads(told)
    except RecursionError as error:
        raise ValueError("it is nested too deeply; write it flatter") from error
    if answer["error"]:
        raise ValueError(answer["error_message"].split("\n")[0])
    if len(answer["statements"]) != 1:
        raise ValueError("it is more than one expression")
    statement: dict[str, Any] = answer["statements"][0]
    return statement


def lone_successes(condition: str) -> list[tuple[int, int]]:
    """Returns where the word `success` stands as a condition by itself.

    Returns:
      (first, end) in the bytes of the condition, in order.

    Raises:
      ValueError: As `condition_tree`.
    """
    tree, text = condition_tree(condition), condition.encode()
    places = []
    for node in (tree, *(each for part in _nodes(tree) for each in _yes_or_no(part))):
        if [name.lower() for name in node.get("column_names", ())] == ["success"]:
            first = node["query_location"] - len(_QUERY)
            word = _SUCCESS.match(text[first:].decode(errors="replace"))
            if word:
                places.append((first, first + len(word.group())))
    return sorted(set(places))


def _yes_or_no(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the parts of a node that are conditions themselves."""
    if node["class"] == "CASE":
        return [check["when_expr"] for check in node["case_checks"]]
    if node["class"] == "CONJUNCTION" or node["type"] == "OPERATOR_NOT":
        return list(node["children"])
    return []


def why_undecided(condition: str, columns: Collection[str]) -> str:
    """Returns what in a condition the columns do not decide; '' if they decide all.

    Args:
      condition: One that DuckDB can read over these columns.
      columns: That it may name.
    """
    return _why_undecided(condition_tree(condition), columns)


def _why_undecided(tree: dict[str, Any], columns: Collection[str]) -> str:
    nodes = list(_nodes(tree))
    known = {name.lower() for name in columns}
    for node in nodes:
        if node["class"] == "LAMBDA":
            left = _nodes(node["lhs"])
            known |= {n.lower() for part in left for n in part.get("column_names", ())}
    for node in nodes:
        if node["class"] == "SUBQUERY":
            return "a subquery"
        if node["class"] not in _ALLOWED:
            return f"a {node['class'].lower().replace('_', ' ')}"
        if (
            node["class"] == "COLUMN_REF"
            and node["column_names"][0].lower() not in known
        ):
            # DuckDB takes such a word for a function: current_date.
            return ".".join(node["column_names"])
        if node["class"] == "FUNCTION" and not _is_steady(node["function_name"]):
            return f"{node['function_name']}()"
    return ""


def _is_steady(function: str) -> bool:
    """Whether a function of an episode's values gives one answer for all time."""
    is_consistent, macros = _functions().get(function.lower(), (False, ()))
    if _UNSTEADY.fullmatch(function.lower()):
        return False
    return is_consistent or (
        bool(macros)
        and not any(_why_undecided(condition_tree(text), of) for of, text in macros)
    )


@functools.lru_cache(maxsize=1)
def _functions() -> dict[str, tuple[bool, _Macros]]:
    """Returns of each scalar function whether it is consistent, and its macros."""
    import duckdb

    query = """
        SELECT function_name, function_type, stability, parameters, macro_definition
        FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro')
    """
    found: dict[str, tuple[bool, _Macros]] = {}
    with duckdb.connect() as connection:
        rows = connection.execute(query).fetchall()
    for name, kind, stability, parameters, definition in rows:
        is_consistent, macros = found.get(name, (False, ()))
        if kind == "macro":
            macros = (*macros, (parameters, definition))
        found[name] = (is_consistent or stability == "CONSISTENT", macros)
    return found


def _nodes(tree: Optional[Any]) -> Iterator[dict[str, Any]]:
    """Yields every expression in a tree."""
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            if "class" in part and "type" in part:
                yield part
            pending += part.values()
