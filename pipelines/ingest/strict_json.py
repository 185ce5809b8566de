"""Reads JSON that other readers would take for something else: it is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Union


def parsed(data: Union[str, bytes]) -> Any:
    """Returns the value of a JSON text.

    Raises:
      ValueError: It is none, an object has a key twice, or a whole number has so many
        digits that Python does not take it.
      RecursionError: It is nested too deeply.
    """
    try:
        return _DECODER.decode(_text(data))
    except ValueError as error:
        # What Python says of it is advice to programmers.
        if "int_max_str_digits" in str(error):
            raise ValueError(
                "a whole number has thousands of digits; no type holds it"
            ) from error
        raise


def flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object with nested ones as slash paths.

    Raises:
      ValueError: Two values have one path: 'b/c' beside 'c' in 'b'.
    """
    return _once(_paths("", row), "two values have the path {!r} (a slash is a level)")


def _paths(prefix: str, row: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in row.items():
        path = f"{prefix}/{key}" if prefix else str(key)
        if isinstance(value, dict):
            yield from _paths(path, value)
        else:
            yield path, value


def _once(
    pairs: Iterable[tuple[str, Any]], rule: str = "the key {!r} is written twice"
) -> dict[str, Any]:
    several = list(pairs)
    found = dict(several)
    if len(found) < len(several):
        seen: set[str] = set()
        for key, _ in several:
            if key in seen:
                raise ValueError(rule.format(key))
            seen.add(key)
    return found


def _text(data: Union[str, bytes]) -> str:
    if isinstance(data, str):
        return data
    return data.decode(json.detect_encoding(data), "surrogatepass")


_DECODER = json.JSONDecoder(object_pairs_hook=_once)
