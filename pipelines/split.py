"""Splits by groups, so that what must generalise never leaks into training.

An episode's split depends on its group's name alone: adding episodes moves none, and
two episodes of one group are always together.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.stable_hash import text_hash

_RESOLUTION = 2**64
# What an index may say of a split, and a shard's name take.
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,99}")
# TFDS takes it for all splits together.
_ALL = "all"
_MOST_SHOWN = 10
# Their numbers stand in a byte an episode.
_MOST_SPLITS = 100


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    """How episodes are divided.

    Attributes:
      group: Index column whose values never straddle two splits.
      shares: Split name → share of the groups; shares sum to 1.
      held_out: (parameter, value) of the environment that sends an episode to the
        held-out split whatever its group: ('object_set', 'eval'); of a list of values
        any does.
      held_out_split: Name of that split.
      seed: Another seed is another division.
      keep: Episodes of sealed versions stay in the split that they have there.
    """

    group: str = "scene_id"
    shares: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: {"train": 0.95, "val": 0.05}
    )
    held_out: Optional[tuple[str, Any]] = None
    held_out_split: str = "test"
    seed: int = 0
    keep: bool = False

    def __post_init__(self) -> None:
        total = sum(self.shares.values())
        # So that a share which is not a number fails, too.
        if not (abs(total - 1) <= 1e-9 and min(self.shares.values()) >= 0):
            raise UserError(
                f"split shares {dict(self.shares)} sum to {total:g}; they must be "
                "positive and sum to 1"
            )
        if len(self.shares) > _MOST_SPLITS:
            raise UserError(
                f"{len(self.shares)} splits; there can be {_MOST_SPLITS} at most"
            )
        for name in (*self.shares, self.held_out_split):
            if not _NAME.fullmatch(name) or name == _ALL:
                raise UserError(
                    f"{name!r} cannot name a split; use at most 100 of the letters a "
                    "to z, digits and '_', as in 'train', and not 'all', which TFDS "
                    "takes for every split"
                )
        if self.held_out and self.held_out_split in self.shares:
            raise UserError(
                f"split {self.held_out_split!r} is held out and has a share; held-out "
                "episodes may not meet others in one split"
            )

    @property
    def names(self) -> list[str]:
        """Every split that an episode can be in, by number."""
        return [*self.shares, *([self.held_out_split] if self.held_out else [])]


def split_of_group(group: str, config: SplitConfig) -> str:
    """Returns the split of a group by the hash of its name."""
    position = text_hash(group, config.seed) / _RESOLUTION
    reached = 0.0
    for name, share in config.shares.items():
        reached += share
        if position < reached:
            return name
    return list(config.shares)[-1]


def split_numbers(
    groups: Sequence[str], held_out: Optional[np.ndarray], config: SplitConfig
) -> np.ndarray:
    """Returns the number of every episode's split in `config.names`, int8 [N].

    Args:
      groups: Each episode's group.
      held_out: Whether each episode is held out whatever its group, bool [N]; None
        if none is.
      config: How.
    """
    numbers = {name: number for number, name in enumerate(config.names)}
    by_group = {g: numbers[split_of_group(g, config)] for g in set(groups)}
    found = np.array([by_group[group] for group in groups], dtype=np.int8)
    if held_out is not None:
        found[held_out] = numbers[config.held_out_split]
    return found


class HeldOut:
    """Tells which episodes are held out, and keeps what was seen while none was."""

    def __init__(self, config: SplitConfig) -> None:
        self._split = config.held_out_split
        self._key: str
        self._value: Any
        self._key, self._value = config.held_out or ("", None)
        self._any = False
        self._parameters: set[str] = set()
        self._values: set[str] = set()

    def among(self, environments: Sequence[str]) -> np.ndarray:
        """Returns which episodes are held out, bool [N].

        Args:
          environments: Each episode's environment, as JSON.
        """
        found = np.zeros(len(environments), dtype=bool)
        for number, text in enumerate(environments):
            drawn = _drawn(text)
            found[number] = self._is_held_out(drawn)
            if not self._any:
                self._note(drawn)
        self._any |= bool(found.any())
        return found

    def tell_if_none(self) -> None:
        """Says so if no episode was held out.

        A collection may hold nothing yet of what is held out, so that is told on
        stderr; a parameter that no episode has is a mistake.

        Raises:
          UserError: No environment has the parameter.
        """
        if self._any:
            return
        if self._key not in self._parameters:
            what = "parameter of the environment"
            error = unknown_name(what, self._key, self._parameters)
            raise UserError(f"split.held_out: {error}")
        print(
            f"thresher: no episode has {self._key} {self._value!r}, which the recipe "
            f"holds out: there is no split {self._split!r}; values there are: "
            f"{', '.join(sorted(self._values))}",
            file=sys.stderr,
        )

    def _is_held_out(self, drawn: Mapping[str, object]) -> bool:
        if self._key not in drawn:
            return False
        value, asked = drawn[self._key], self._value
        return value == asked or (isinstance(asked, list) and value in asked)

    def _note(self, drawn: Mapping[str, object]) -> None:
        self._parameters |= drawn.keys()
        if self._key in drawn and len(self._values) < _MOST_SHOWN:
            self._values.add(repr(drawn[self._key]))


def _drawn(environment: str) -> dict[str, object]:
    """Returns the parameters of an environment; none where it is no such thing."""
    try:
        drawn = json.loads(environment or "{}")
    except (ValueError, RecursionError):
        return {}
    return drawn if isinstance(drawn, dict) else {}


def first_leak(keys: np.ndarray, splits: np.ndarray) -> Optional[tuple[int, int]]:
    """Returns two rows of one key in two splits, or None.

    Args:
      keys: Hash of what may not straddle splits, [N].
      splits: Each row's split, [N].
    """
    order = np.lexsort((splits, keys))
    same = keys[order][1:] == keys[order][:-1]
    leaks = np.flatnonzero(same & (splits[order][1:] != splits[order][:-1]))
    if not leaks.size:
        return None
    return int(order[leaks[0]]), int(order[leaks[0] + 1])
