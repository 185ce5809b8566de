"""Takes keys out of a YAML file's tables, strictly: what is not known is refused."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from thresher.episodes.errors import UserError
from thresher.pipelines.plain_yaml import read_plain_yaml

# In nanoseconds, no clock counts further.
_MOST = 1e18
_MOST_SHOWN = 200
# Keys that look as if they stood by themselves, by the table that they stand in.
_INSIDE = {
    **dict.fromkeys(("success_values", "failure_values"), "success"),
    **dict.fromkeys(("open_end", "carry", "min_steps", "max_bytes"), "episodes"),
    **dict.fromkeys(("late", "timestamp", "max_gap_seconds"), "clock"),
    "given_with": "reward",
    "terminal_values": "ending",
}
_KINDS: dict[str, tuple[type, ...]] = {
    "a text": (str,),
    "a number": (int, float),
    "a whole number": (int,),
    "true or false": (bool,),
    "a table": (dict,),
    "a list": (list,),
}


def load_yaml(file: Path) -> dict[str, Any]:
    """Returns a YAML file's table.

    Raises:
      UserError: It cannot be read, is no YAML or too much of it, holds what is no
        plain value, or is no table; with the line or the key.
    """
    try:
        loaded = read_plain_yaml(file, "mapping")
    except OSError as error:
        raise UserError(f"cannot read the mapping {file}: {error}") from error
    if not isinstance(loaded, dict):
        raise UserError(
            f"{file} holds {type(loaded).__name__}, not a table of keys; "
            "`thresher ingest --suggest FILE` writes a mapping to start from"
        )
    return loaded


class Keys:
    """A table of a YAML file whose keys are taken one by one.

    Every error names the file, the key, its value, the rule and the remedy.
    """

    def __init__(self, file: Path, where: str, table: dict[str, Any]) -> None:
        self._file = file
        self._where = where
        self._table = table
        self._known: list[str] = []

    def error(self, key: str, rule: str) -> UserError:
        """Returns the error for a key of this table."""
        name = f"{self._where}.{key}" if self._where and key else key or self._where
        value = repr(self._table.get(key))
        value = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…"
        said = f" (now {value})" if key in self._table else ""
        return UserError(f"{self._file}: {name}{said}: {rule}")

    def take(self, key: str, kind: str, default: Any = None) -> Any:
        """Returns a key's value; `default` if it is not there.

        Args:
          key: The key.
          kind: What it must be, a key of `_KINDS`; '' for anything.
          default: For want of the key.
        """
        self._known.append(key)
        value = self._table.get(key)
        if value is None:
            return default
        is_bool = isinstance(value, bool)
        if kind and (
            not isinstance(value, _KINDS[kind])
            or (is_bool and kind in ("a number", "a whole number"))
        ):
            raise self.error(key, f"must be {kind}")
        return value

    def require(self, key: str, kind: str, remedy: str) -> Any:
        """Returns a key's value, which must be there."""
        value = self.take(key, kind)
        if value is None:
            raise self.missing(key, remedy)
        return value

    def missing(self, key: str, remedy: str) -> UserError:
        """Returns the error for a key that is not there, or is there misspelt."""
        near = difflib.get_close_matches(key, self.names(), n=1)
        hint = f"{near[0]!r} is there instead: is it that? " if near else ""
        return self.error(key, f"is missing; {hint}{remedy}")

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        """Returns one of some words."""
        value = self.take(key, "a text", default)
        if value not in known:
            near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise self.error(
                key, f"{hint}must be one of {', '.join(filter(None, known))}"
            )
        return str(value)

    def positive(
        self, key: str, least: float = 0.0, most: float = _MOST
    ) -> Optional[float]:
        """Returns a number above zero, between two others."""
        value = self.take(key, "a number")
        if value is None:
            return None
        if value <= 0:
            raise self.error(key, "must be a number above zero")
        if not least <= value <= most:
            raise self.error(key, f"must be from {least:g} to {most:g}")
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns a text or a list of texts, as several."""
        value = self.take(key, "")
        if value is None:
            return ()
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in several):
            raise self.error(key, "must be a text or a list of texts")
        return tuple(several)

    def table(self, key: str) -> Optional[Keys]:
        """Returns a table within this one; None if it is not there."""
        value = self.take(key, "a table")
        return None if value is None else self.inner(key, value)

    def inner(self, key: str, table: dict[str, Any]) -> Keys:
        """Returns a table as keys, for errors named below this one."""
        return Keys(self._file, f"{self._where}.{key}" if self._where else key, table)

    def names(self) -> list[str]:
        """Returns the keys that are there."""
        return [str(key) for key in self._table]

    def finish(self) -> None:
        """Refuses keys that nobody took, with the near matches."""
        for key in self._table:
            if key not in self._known:
                known = list(dict.fromkeys(self._known))
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                if key in _INSIDE:
                    hint = f"it stands inside {_INSIDE[key]}: {{{key}: …}}; "
                rule = f"is not a key here; {hint}known: {', '.join(known)}"
                raise self.error(str(key), rule)
