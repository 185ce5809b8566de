"""Fixes, before a byte is written, every episode's split, shard and position."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from thresher.episodes.errors import UserError, unknown_name
from thresher.pipelines.stable_hash import ranks

FILE_FORMATS = ("tfrecord", "array_record")

_MOST_MEGABYTES = 2**40


def shard_bytes(megabytes: float) -> int:
    """Returns the bytes of a size in mebibytes.

    Raises:
      UserError: It is no number, or more than any disk holds.
    """
    if not abs(megabytes) <= _MOST_MEGABYTES:
        raise UserError(
            f"shards of {megabytes:g} MB cannot be: give a size of at most "
            f"{_MOST_MEGABYTES:,} MB, such as 64"
        )
    return int(megabytes * 2**20)


@dataclasses.dataclass(frozen=True)
class PlanConfig:
    """How episodes are laid out.

    Attributes:
      seed: Of the order within a split.
      max_shard_bytes: Most raw bytes a shard takes; small enough that two processors
        have work on small data sets, and a shard is soon written again.
      num_shards: Shards for each split; 0 to let the size decide.
      file_format: 'tfrecord', or 'array_record' for random access by TFDS.
      max_examples_per_split: Keep only the first so many; 0 for all.
    """

    seed: int = 0
    max_shard_bytes: int = 64 << 20
    num_shards: int = 0
    file_format: str = "tfrecord"
    max_examples_per_split: int = 0

    def __post_init__(self) -> None:
        if self.max_shard_bytes < 1 or self.num_shards < 0:
            raise UserError(
                f"shards of {self.max_shard_bytes} bytes, {self.num_shards} of them: "
                "both must be positive"
            )
        if self.num_shards > 99_999:
            raise UserError(
                f"{self.num_shards} shards: TFDS names at most 99,999; ask for fewer"
            )
        if self.file_format not in FILE_FORMATS:
            raise unknown_name("file format", self.file_format, FILE_FORMATS)
        if self.max_examples_per_split < 0:
            raise UserError(
                f"{self.max_examples_per_split} examples a split: it must be positive"
            )


@dataclasses.dataclass(frozen=True)
class Plan:
    """Every record to write, in the order of split, shard and position.

    Attributes:
      rows: Row of the index, int64 [M]; a repeated episode's more than once.
      split: Number of the split, int8 [M].
      shard: int32 [M].
      num_shards: Shards of the record's split, int32 [M].
      position: Within the shard, int32 [M].
      copy: 0, or which repetition this is, int32 [M].
      split_names: By number.
    """

    rows: np.ndarray
    split: np.ndarray
    shard: np.ndarray
    num_shards: np.ndarray
    position: np.ndarray
    copy: np.ndarray
    split_names: list[str]

    def digest(self, settings: str) -> str:
        """Returns 32 hexadecimal digits of everything that decides the bytes."""
        digest = hashlib.sha256(settings.encode())
        for array in (self.rows, self.split, self.shard, self.position, self.copy):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:32]


def make_plan(
    rows: np.ndarray,
    ids: np.ndarray,
    split: np.ndarray,
    sizes: np.ndarray,
    copies: np.ndarray,
    split_names: list[str],
    config: PlanConfig,
) -> Plan:
    """Lays out some rows of an index.

    Within a split the order is that of a seeded hash of the ids, so any leading part
    of a split is a fair sample; shards are as equal in bytes as whole episodes allow.

    Args:
      rows: Rows to write, [N].
      ids: Their ids, uint64 [N, 2].
      split: Their splits, [N].
      sizes: Their bytes, [N].
      copies: How often each is written, at least 1, [N].
      split_names: Names of the splits by number.
      config: How.

    Raises:
      UserError: There is nothing to write.
    """
    if not len(rows):
        raise UserError(
            "no episode is left to write: every one was rejected or filtered; see the "
            "quarantine for the reasons"
        )
    places = np.repeat(np.arange(len(rows)), copies)
    firsts = np.repeat(np.cumsum(copies) - copies, copies)
    copy = (np.arange(len(places)) - firsts).astype(np.int32)
    rank = ranks(ids[places], config.seed, copy.astype(np.uint64))
    order = np.lexsort((copy, ids[places, 1], ids[places, 0], rank, split[places]))
    places, copy = places[order], copy[order]
    shard = np.zeros(len(places), np.int32)
    num_shards = np.zeros(len(places), np.int32)
    for number in np.unique(split):
        members = np.flatnonzero(split[places] == number)
        shard[members] = _even_shards(sizes[places[members]], config)
        num_shards[members] = shard[members[-1]] + 1
    return Plan(
        rows[places],
        split[places].astype(np.int8),
        shard,
        num_shards,
        _positions(split[places], shard),
        copy,
        split_names,
    )


def _even_shards(sizes: np.ndarray, config: PlanConfig) -> np.ndarray:
    """Returns each row's shard: contiguous, even in bytes, none empty.

    An episode larger than a whole share leaves fewer shards than were asked for.
    """
    total = int(sizes.sum())
    count = config.num_shards or -(-total // config.max_shard_bytes)
    count = max(1, min(count, len(sizes), 99_999))
    middles = np.cumsum(sizes) - sizes / 2
    by_bytes = (middles * count / max(1, total)).astype(np.int64)
    return np.unique(by_bytes, return_inverse=True)[1]


def _positions(split: np.ndarray, shard: np.ndarray) -> np.ndarray:
    """Returns the place of each row within its run of one split and shard."""
    changes = (np.diff(split) != 0) | (np.diff(shard) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    lengths = np.diff(np.concatenate([starts, [len(shard)]]))
    return (np.arange(len(shard)) - np.repeat(starts, lengths)).astype(np.int32)
