"""Reads a shard of a sealed version as a log, in the alignment of OXE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from thresher.episodes.alignment import oxe_spec, to_oxe
from thresher.episodes.episode import Episode
from thresher.episodes.raw_log import DamagedLogError, EpisodePointer
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_record import decode_record
from thresher.episodes.version import SPEC
from thresher.pipelines.shard_files import RecordReader, shard_records


class OxeShardReader:
    """A shard, record by record; each becomes an episode in OXE's alignment.

    Attributes:
      converter: Names the conversion.
      spec: What the converted episodes are.
      truncated: Never: a sealed shard that was cut off is an error.
    """

    converter = "thresher.alignment.oxe"
    truncated = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stored = EpisodeSpec.from_json((path.parent / SPEC).read_text())
        self.spec = oxe_spec(self._stored)
        self._records = RecordReader(path)

    def pointers(self) -> Iterator[EpisodePointer]:
        """Yields where each record is."""
        try:
            for offset, record in shard_records(self._path):
                yield EpisodePointer(str(self._path), offset, len(record))
        except ValueError as error:
            raise DamagedLogError(str(error)) from error

    def read(self, pointer: EpisodePointer) -> Episode:
        """Returns one converted episode."""
        try:
            record = self._records.record(pointer.offset, pointer.length)
            return to_oxe(decode_record(record, self._stored))
        except ValueError as error:
            raise DamagedLogError(str(error)) from error
