"""YAML that people write, read as plain values, however absurd they are.

YAML can say more than a file of settings should: numbers that are none, dates, bytes,
lists that hold themselves a billion times. What is not a text, a number, yes or no, a
list or keys with values is refused by its key, before anybody has to expect it.
"""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import yaml

from thresher.episodes.errors import UserError

# Written by hand; a larger file is something else.
_MOST_BYTES = 1 << 20
# Aliases make a thousand letters into any number of values.
_MOST_VALUES = 20_000
_MOST_SHOWN = 80
_MOST_NUMBER = 2**63
# What the library's constructors raise beside its own error, for values that contradict
# their tags.
_CONSTRUCTION = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def read_plain_yaml(path: Path, what: str) -> Any:
    """Returns the values of a YAML file; dates become texts.

    Args:
      path: The file.
      what: What it is, for errors: 'recipe'.

    Raises:
      OSError: It cannot be opened.
      UserError: It is no file, too large, no YAML, or holds a key twice or what is no
        plain value; the message names the file, the key and the value.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no file; name the YAML file of the {what}")
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path} is too large for a {what}; name the YAML file")
    try:
        raw = _loaded(path)
        return _Reader(path, what).plain(raw, "")
    except UserError:
        raise
    except _CONSTRUCTION as error:
        told = " ".join(str(error).split())[:400] or type(error).__name__
        raise UserError(f"{path} is no YAML: {told}") from error


def _loaded(path: Path) -> Any:
    # It makes plain values only.
    loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _require_single_keys(path, node, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _require_single_keys(path: Path, node: yaml.Node, seen: set[int]) -> None:
    """Refuses keys that are written twice, of which YAML would forget the first."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    lines: dict[tuple[str, str], int] = {}
    for item in node.value:
        key, value = item if isinstance(node, yaml.MappingNode) else (None, item)
        if isinstance(key, yaml.ScalarNode):
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in lines:
                raise UserError(
                    f"{path}: the key {shown(key.value)} is written twice, in lines "
                    f"{lines[name]} and {line}; keep one of them"
                )
            lines[name] = line
        _require_single_keys(path, value, seen)


def shown(value: Any) -> str:
    """Returns a value as a message can show it: some letters, however large it is."""
    if isinstance(value, (dict, list)):
        inside = len(value)
        return f"{'keys' if isinstance(value, dict) else 'a list'} ({inside} inside)"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


class _Reader:
    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what, self._values = path, what, 0

    def plain(self, value: Any, where: str) -> Any:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise UserError(
                f"{self._path} holds more than {_MOST_VALUES:,} values, at {where!r}; "
                f"a {self._what} needs a few dozen"
            )
        if isinstance(value, dict):
            return {
                self._key(key, where): self.plain(each, f"{where}.{key}".lstrip("."))
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.plain(each, f"{where}[{n}]") for n, each in enumerate(value)]
        if isinstance(value, (datetime.date, datetime.datetime)):
            return str(value)
        self._require_plain(value, where)
        return value

    def _key(self, key: Any, where: str) -> Any:
        self._require_plain(key, f"a key of {where or 'the file'}")
        return key

    def _require_plain(self, value: Any, where: str) -> None:
        why = _why_not(value)
        if why:
            raise UserError(f"{self._path}: {where} {why}")


def _why_not(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if abs(value) < _MOST_NUMBER else "is a number of over 18 digits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"must be a number, not {value}"
    if not isinstance(value, str):
        return f"must be a text or a number, not {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"holds half of a character: {shown(value)}"
    return f"holds a zero byte: {shown(value)}" if "\0" in value else ""
