"""Writes shards: each a pure function of its plan rows, one episode in memory."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.files import scratch_beside
from thresher.episodes.index import iterate_rows
from thresher.episodes.metadata import Provenance
from thresher.episodes.raw_log import EpisodePointer
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_record import decode_record, encode_record
from thresher.pipelines.ingest.reader import LogReader, open_log
from thresher.pipelines.ingest.relabel import relabel
from thresher.pipelines.manifest import ManifestWriter
from thresher.pipelines.plan import Plan
from thresher.pipelines.shard_files import (
    RecordReader,
    record_digest,
    shard_records,
    shard_writer,
)
from thresher.pipelines.sources import Source
from thresher.pipelines.statistics import SummaryMerger
from thresher.pipelines.summary import Summary, summarise, summarised_widths
from thresher.pipelines.summary_bytes import pack, unpack

_OPEN_FILES = 64
# Columns of the plan: which episode, where it is recorded or copied from, its labels.
_WRITTEN_BY = (
    "episode_id",
    "recorded_id",
    "source",
    "relabelled",
    "file",
    "offset",
    "length_bytes",
    "log_digest",
    "shard_file",
    "record_offset",
    "record_length",
    "record_digest",
    "summary",
    "success",
    "label_source",
    "confidence",
    "other_labels",
    "task",
    "language",
    "environment",
)


@dataclasses.dataclass(frozen=True)
class ShardUnit:
    """One shard to write. It holds where its plan is, not the plan.

    Attributes:
      folder: Where shard and manifest go.
      plan: The plan's file.
      sources: By the number in the plan's rows.
      spec: What the episodes are.
      dataset: Name of the dataset.
      split: The shard's split.
      shard: Its number.
      num_shards: Shards of the split.
      start: Its first row in the plan.
      count: Episodes in it.
      file_format: 'tfrecord' or 'array_record'.
    """

    folder: Path
    plan: Path
    sources: tuple[Source, ...]
    spec: EpisodeSpec
    dataset: str
    split: str
    shard: int
    num_shards: int
    start: int
    count: int
    file_format: str = "tfrecord"

    @property
    def size(self) -> int:
        """Episodes in it."""
        return self.count

    @property
    def file(self) -> Path:
        """The shard, under the name that TFDS expects."""
        return self.folder / (
            f"{self.dataset}-{self.split}.{self.file_format}-"
            f"{self.shard:05d}-of-{self.num_shards:05d}"
        )

    @property
    def path(self) -> Path:
        """The manifest, written after the shard."""
        return self.folder / f".{self.file.name}.manifest.parquet"

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Returns some columns of the shard's plan rows, by position."""
        return iterate_rows(self.plan, self.start, self.count, columns)

    def run(self) -> None:
        """Writes the shard and its manifest."""
        scratch = scratch_beside(self.file)
        widths = summarised_widths(self.spec)
        merger = SummaryMerger()
        parents: dict[tuple[int, str], RecordReader] = {}
        with ManifestWriter(self.path) as manifest:
            with shard_writer(scratch, self.file_format) as writer:
                for row in self.rows(_WRITTEN_BY):
                    told = self._record(row, widths, parents)
                    record, digest, packed, summary = told
                    offset = writer.write(record)
                    manifest.add(offset, len(record), digest, packed)
                    merger.add(summary)
            scratch.replace(self.file)
            manifest.finish(pack(merger.summary))

    def _record(
        self,
        row: dict[str, Any],
        widths: Sequence[int],
        parents: dict[tuple[int, str], RecordReader],
    ) -> tuple[bytes, str, bytes, Summary]:
        """Returns a record, its digest, its summary packed and not.

        Args:
          row: Of the plan.
          widths: Of the features that are summarised.
          parents: Shards of parents that were opened, by source and name.
        """
        source = self.sources[row["source"]]
        if source.is_version and not row["relabelled"]:
            record = _copied(row, source, parents)
            summary = self._copied_summary(row, source, widths)
            # The copy was just found to have the digest that it was sealed with.
            return record, row["record_digest"], row["summary"], summary
        episode = planned_episode(row, source, self.spec)
        summary = summarise(episode, self.spec)
        record = encode_record(episode, self.spec)
        return record, record_digest(record), pack(summary), summary

    def _copied_summary(
        self, row: dict[str, Any], source: Source, widths: Sequence[int]
    ) -> Summary:
        try:
            return unpack(row["summary"], widths)
        except (ValueError, TypeError, MemoryError) as error:
            raise _damaged_parent(row, source, f"its summary: {error}") from error


def shard_units(
    plan: Plan,
    plan_file: Path,
    folder: Path,
    sources: Sequence[Source],
    spec: EpisodeSpec,
    name: str,
    file_format: str,
) -> list[ShardUnit]:
    """Returns the shards of a plan, in its order."""
    starts = np.flatnonzero(plan.position == 0)
    stops = np.concatenate([starts[1:], [len(plan.position)]])
    return [
        ShardUnit(
            folder=folder,
            plan=plan_file,
            sources=tuple(sources),
            spec=spec,
            dataset=name,
            split=plan.split_names[plan.split[start]],
            shard=int(plan.shard[start]),
            num_shards=int(plan.num_shards[start]),
            start=int(start),
            count=int(stop - start),
            file_format=file_format,
        )
        for start, stop in zip(starts, stops)
    ]


def planned_episode(row: dict[str, Any], source: Source, spec: EpisodeSpec) -> Episode:
    """Reads a plan row's episode as it is to be written.

    Raises:
      UserError: The source no longer holds the episode that was planned.
    """
    episode = recorded_episode(row, source, spec)
    if not row["relabelled"]:
        return episode
    return relabel(episode, row, row["relabelled"])


def recorded_episode(row: dict[str, Any], source: Source, spec: EpisodeSpec) -> Episode:
    """Reads a row's episode and says in it where it came from.

    Raises:
      UserError: The source no longer holds the episode that the row is about.
    """
    if source.is_version:
        return decode_record(_copied(row, source, {}), spec)
    log = source.root / row["file"]
    reader = _open_log(log, source.reader, *_state(log))
    pointer = EpisodePointer(str(log), row["offset"], row["length_bytes"])
    episode = reader.read(pointer)
    wanted = row["recorded_id"] or row["episode_id"]
    if episode.episode_id != wanted:
        raise UserError(
            f"{row['file']} changed while the version was built: at byte "
            f"{row['offset']} there is episode {episode.episode_id}, not {wanted}; "
            "build again"
        )
    # What a converter says about the recording it read tells more than where its
    # output lies.
    if episode.metadata.provenance.converter:
        return episode
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
    for _, record in shard_records(shard):
        yield record


def _copied(
    row: dict[str, Any],
    source: Source,
    opened: dict[tuple[int, str], RecordReader],
) -> bytes:
    try:
        key = row["source"], row["shard_file"]
        if key not in opened:
            if len(opened) == _OPEN_FILES:
                opened.clear()
            shard = source.root / row["shard_file"]
            opened[key] = _open_shard(shard, *_state(shard))
        record = opened[key].record(row["record_offset"], row["record_length"])
    except (OSError, ValueError) as error:
        raise _damaged_parent(row, source, str(error)) from error
    digest = record_digest(record)
    if digest != row["record_digest"]:
        raise _damaged_parent(row, source, f"its record has the digest {digest}")
    return record


def _damaged_parent(row: dict[str, Any], source: Source, why: str) -> UserError:
    return UserError(
        f"episode {row['episode_id']} cannot be copied from {row['shard_file']} of "
        f"{source.name} ({why}); `thresher verify {source.root}` tells what is damaged"
    )


def _state(path: Path) -> tuple[int, int]:
    """Returns what changes with a file: another one of its name is opened anew."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


@functools.lru_cache(maxsize=_OPEN_FILES)
def _open_log(path: Path, reader: str, number: int, time: int) -> LogReader:
    return open_log(path, reader)


@functools.lru_cache(maxsize=_OPEN_FILES)
def _open_shard(path: Path, number: int, time: int) -> RecordReader:
    return RecordReader(path)
