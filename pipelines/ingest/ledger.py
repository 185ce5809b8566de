"""Accounts for every message: what was read was used, or dropped for a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

# Details of the first problems are enough to go and look.
_MAX_NOTES = 20
BETWEEN = "between steps: no step's alignment picked it"
REFUSED = "in an episode that was refused"


class Ledger:
    """Counts of one log's messages.

    Attributes:
      read: Messages of the topics asked for.
      used: Those of which a value, or a mark, is in an episode that was written.
      dropped: The others, by reason.
      notes: What was found damaged, the first ones with their place.
    """

    def __init__(self) -> None:
        self.read = 0
        self.used = 0
        self.dropped: Counter[str] = Counter()
        self.notes: list[str] = []
        self._more_notes = 0
        # Messages that a later episode may still use: where they were counted.
        self._fates: dict[int, str] = {}
        self._carried: set[int] = set()

    def note(self, sentence: str) -> None:
        """Keeps what was found damaged."""
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(sentence)
        else:
            self._more_notes += 1

    def use(self) -> None:
        """Counts a message that is a mark."""
        self.used += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Counts messages that are in no episode."""
        if count:
            self.dropped[reason] += count

    def drop_later_used(self, serial: int, reason: str) -> None:
        """Counts a message as dropped that an episode's start may still need."""
        self.drop(reason)
        self._remember(serial, reason)

    def carry(self, serial: int) -> None:
        """Says that a message was carried into an episode."""
        self._carried.add(serial)

    def _remember(self, serial: int, fate: str) -> None:
        self._fates[serial] = fate
        # Only each field's last message can be carried: old ones are forgotten.
        if len(self._fates) > 4096:
            for old in sorted(self._fates)[:2048]:
                if old not in self._carried:
                    del self._fates[old]

    def refuse(self, serials: Mapping[str, np.ndarray], rule: str) -> None:
        """Counts the messages of a refused piece."""
        self._settle(serials, np.zeros(0, np.int64), f"{REFUSED}: {rule}")

    def write(
        self, serials: Mapping[str, np.ndarray], picked: Mapping[str, np.ndarray]
    ) -> None:
        """Counts the messages of a piece that became an episode.

        Args:
          serials: By field, the message number of each value.
          picked: By field, the positions of the values that are in the episode.
        """
        used = {
            field: serials[field][positions[positions >= 0]]
            for field, positions in picked.items()
            if field in serials
        }
        self._settle(serials, _union(used), BETWEEN)

    def _settle(
        self, serials: Mapping[str, np.ndarray], used: np.ndarray, reason: str
    ) -> None:
        whole = _union(serials)
        carried = np.isin(whole, np.fromiter(self._carried, np.int64))
        for serial in whole[carried].tolist():
            self._recount(serial, serial in used)
        own = whole[~carried]
        is_used = np.isin(own, used)
        self.used += int(is_used.sum())
        self.drop(reason, int((~is_used).sum()))
        for last in {int(found[-1]) for found in serials.values() if len(found)}:
            if last not in self._carried:
                self._remember(last, "" if np.isin(last, used) else reason)
        self._carried.clear()

    def _recount(self, serial: int, is_used: bool) -> None:
        """Counts a message as used that was counted as dropped before."""
        fate = self._fates.get(serial, "")
        if is_used and fate:
            self.dropped[fate] -= 1
            self.used += 1
            self._fates[serial] = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts as plain values."""
        more = [f"and {self._more_notes} more"] if self._more_notes else []
        return {
            "read": self.read,
            "used": self.used,
            "dropped": {k: n for k, n in sorted(self.dropped.items()) if n},
            "notes": self.notes + more,
        }


def _union(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    arrays = [array for array in parts.values() if len(array)]
    return np.unique(np.concatenate(arrays)) if arrays else np.zeros(0, np.int64)
