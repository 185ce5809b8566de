"""Splits by groups, so that what must generalise never leaks into training.

An episode's split depends on its group's name alone: adding episodes moves none, and
two episodes of one group are always together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

import pyarrow as pa

from thresher.episodes.errors import UserError, unknown_name

_RESOLUTION = 2**64


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    """How episodes are divided.

    Attributes:
      group: Index column whose values never straddle two splits.
      shares: Split name → share of the groups; shares sum to 1.
      held_out: (parameter, value) of the environment that sends an episode to the
        held-out split whatever its group: ('object_set', 'eval').
      held_out_split: Name of that split.
      seed: Another seed is another division.
    """

    group: str = "scene_id"
    shares: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: {"train": 0.95, "val": 0.05}
    )
    held_out: Optional[tuple[str, str]] = None
    held_out_split: str = "test"
    seed: int = 0

    def __post_init__(self) -> None:
        total = sum(self.shares.values())
        if abs(total - 1) > 1e-9 or min(self.shares.values()) < 0:
            raise UserError(
                f"split shares {dict(self.shares)} sum to {total:g}; they must be "
                "positive and sum to 1"
            )
        if self.held_out and self.held_out_split in self.shares:
            raise UserError(
                f"split {self.held_out_split!r} is held out and has a share; held-out "
                "episodes may not meet others in one split"
            )


def split_of_group(group: str, config: SplitConfig) -> str:
    """Returns the split of a group by the hash of its name."""
    digest = hashlib.sha256(f"{config.seed}/{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / _RESOLUTION
    reached = 0.0
    for name, share in config.shares.items():
        reached += share
        if position < reached:
            return name
    return list(config.shares)[-1]


def split_column(index: pa.Table, config: SplitConfig) -> pa.Array:
    """Returns the split of every row.

    Raises:
      UserError: The index has no such group column.
    """
    if config.group not in index.column_names:
        raise unknown_name("group column", config.group, index.column_names)
    groups = index[config.group].to_pylist()
    by_group = {group: split_of_group(str(group), config) for group in set(groups)}
    held_out = _held_out(index, config)
    return pa.array(
        [
            config.held_out_split if out else by_group[group]
            for group, out in zip(groups, held_out)
        ],
        pa.string(),
    )


def require_no_leak(index: pa.Table, config: SplitConfig) -> None:
    """Proves that no group and no content stands in two splits.

    Args:
      index: With a 'split' column.
      config: How it was divided.

    Raises:
      UserError: Names what straddles.
    """
    for column in (config.group, "episode_id"):
        seen: dict[Any, str] = {}
        for value, split in zip(index[column].to_pylist(), index["split"].to_pylist()):
            if seen.setdefault(value, split) != split:
                raise UserError(
                    f"{column} {value!r} stands in splits {seen[value]!r} and "
                    f"{split!r}: choose a group column that keeps them together"
                )


def _held_out(index: pa.Table, config: SplitConfig) -> list[bool]:
    if config.held_out is None:
        return [False] * index.num_rows
    key, value = config.held_out
    return [
        json.loads(text or "{}").get(key) == value
        for text in index["environment"].to_pylist()
    ]
