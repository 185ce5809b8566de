"""Writes shards: each a pure function of its plan rows, one episode in memory."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write, sha256_file
from thresher.episodes.index import read_index
from thresher.episodes.metadata import Provenance
from thresher.episodes.raw_log import EpisodePointer
from thresher.episodes.spec import EpisodeSpec
from thresher.pipelines.ingest.reader import LogReader, open_log
from thresher.pipelines.statistics import Moments, episode_moments, merge_moments

# TFRecord: length and its checksum before the data, the data's checksum after.
RECORD_HEAD_BYTES = 12
RECORD_TAIL_BYTES = 4
_OPEN_LOGS = 64


@dataclasses.dataclass(frozen=True)
class ShardUnit:
    """One shard to write. It holds where its plan is, not the plan.

    Attributes:
      folder: Where shard and manifest go.
      plan: The plan's file.
      root: The folder of all logs.
      spec: What the episodes are.
      dataset: Name of the dataset.
      split: The shard's split.
      shard: Its number.
      num_shards: Shards of the split.
      size: Episodes in it.
    """

    folder: Path
    plan: Path
    root: Path
    spec: EpisodeSpec
    dataset: str
    split: str
    shard: int
    num_shards: int
    size: int

    @property
    def file(self) -> Path:
        """The shard, under the name that TFDS expects."""
        return self.folder / (
            f"{self.dataset}-{self.split}.tfrecord-"
            f"{self.shard:05d}-of-{self.num_shards:05d}"
        )

    @property
    def path(self) -> Path:
        """The manifest, written after the shard."""
        return self.folder / f".{self.file.name}.manifest.json"

    def rows(self) -> list[dict[str, Any]]:
        """Returns the shard's plan rows by position."""
        return shard_rows(read_index(self.plan), self.split, self.shard)

    def run(self) -> None:
        """Writes the shard and its manifest."""
        import tensorflow as tf

        from thresher.episodes.tfds_record import encode_record

        scratch = self.folder / f".{self.file.name}.{os.getpid()}.part"
        records: list[Any] = []
        moments: dict[str, Moments] = {}
        offset = 0
        with tf.io.TFRecordWriter(str(scratch)) as writer:
            for row in self.rows():
                episode = planned_episode(row, self.root)
                record = encode_record(episode, self.spec)
                writer.write(record)
                records.append([row["episode_id"], offset, len(record)])
                offset += RECORD_HEAD_BYTES + len(record) + RECORD_TAIL_BYTES
                moments = merge_moments([moments, episode_moments(episode, self.spec)])
        manifest = {
            "sha256": sha256_file(scratch),
            "bytes": offset,
            "records": records,
            "moments": {name: m.to_dict() for name, m in moments.items()},
        }
        scratch.replace(self.file)
        atomic_write(self.path, json.dumps(manifest))


def shard_units(
    plan: pa.Table,
    plan_file: Path,
    folder: Path,
    root: Path,
    spec: EpisodeSpec,
    name: str,
) -> list[ShardUnit]:
    """Returns the shards of a plan, in the order of split and number."""
    counts = plan.group_by(["split", "shard", "num_shards"]).aggregate(
        [([], "count_all")]
    )
    return [
        ShardUnit(
            folder=folder,
            plan=plan_file,
            root=root,
            spec=spec,
            dataset=name,
            split=row["split"],
            shard=row["shard"],
            num_shards=row["num_shards"],
            size=row["count_all"],
        )
        for row in sorted(counts.to_pylist(), key=lambda r: (r["split"], r["shard"]))
    ]


def shard_rows(plan: pa.Table, split: str, shard: int) -> list[dict[str, Any]]:
    """Returns the plan rows of a shard by position."""
    mask = pc.and_(pc.equal(plan["split"], split), pc.equal(plan["shard"], shard))
    rows: list[dict[str, Any]] = plan.filter(mask).sort_by("position").to_pylist()
    return rows


def planned_episode(row: dict[str, Any], root: Path) -> Episode:
    """Reads a plan row's episode and says in it where it came from.

    Raises:
      UserError: The log no longer holds the episode that was planned.
    """
    reader = _open_log(root / row["file"])
    pointer = EpisodePointer(
        str(root / row["file"]), row["offset"], row["length_bytes"]
    )
    episode = reader.read(pointer)
    if episode.episode_id != row["episode_id"]:
        raise UserError(
            f"{row['file']} changed while the version was built: at byte "
            f"{row['offset']} there is episode {episode.episode_id}, not "
            f"{row['episode_id']}; build again"
        )
    provenance = Provenance(
        source_file=row["file"],
        position=f"bytes {row['offset']}-{row['offset'] + row['length_bytes']}",
        source_digest=row["log_digest"],
        converter=reader.converter,
        converter_revision="1",
    )
    metadata = dataclasses.replace(episode.metadata, provenance=provenance)
    return dataclasses.replace(episode, metadata=metadata)


def read_records(shard: Path) -> Iterator[bytes]:
    """Yields a shard's records; their checksums are checked on the way.

    Raises:
      ValueError: The file is cut off or damaged.
    """
    import tensorflow as tf

    try:
        yield from tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise ValueError(f"{shard.name}: {error.message}") from error


@functools.lru_cache(maxsize=_OPEN_LOGS)
def _open_log(path: Path) -> LogReader:
    return open_log(path)
