"""Reads one recording and yields its episodes and what was refused, as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Optional, Union

import numpy as np

from thresher import __version__
from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Provenance
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.assemble import Assembled, assemble
from thresher.pipelines.ingest.cut import Cutter, Piece
from thresher.pipelines.ingest.formats import Recording, is_log
from thresher.pipelines.ingest.labels import path_attributes
from thresher.pipelines.ingest.ledger import Ledger
from thresher.pipelines.ingest.mapping import MAX_EPISODE_BYTES, LogMapping
from thresher.pipelines.ingest.message_fields import parse_field
from thresher.pipelines.ingest.recording import (
    DamagedRecordingError,
    EpisodeTable,
    Message,
    MessageLog,
    Segment,
    Stream,
)
from thresher.pipelines.ingest.ticks import RefusedSegment

# Changes when the same recording and mapping would make other episodes.
REVISION = "5"


@dataclasses.dataclass(frozen=True)
class Refused:
    """A part of a recording that is no episode.

    Attributes:
      position: Where in the recording.
      reasons: The rules that it breaks, each 'rule: what was found'.
    """

    position: str
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a recording is from.

    Attributes:
      name: Its path below its source's root.
      format: The reader's name of its format.
    """

    name: str
    format: str


class Conversion:
    """One recording on its way to episodes.

    Attributes:
      ledger: Accounts for every message, or row, that was read.
      damage: Why the recording could not be read to its end; empty if it could.
    """

    def __init__(
        self, recording: Recording, mapping: LogMapping, origin: Origin
    ) -> None:
        self.ledger = Ledger()
        self.damage = ""
        self._table_bytes = 0
        self._recording = recording
        self._mapping = mapping
        self._origin = origin

    @property
    def not_asked_for(self) -> Mapping[str, int]:
        """Messages of topics that the mapping does not name, by topic."""
        return dict(getattr(self._recording, "not_asked_for", {}))

    def bytes_read(self) -> int:
        """Returns about how many of the recording's bytes were read, for progress."""
        return self._table_bytes or int(getattr(self._recording, "bytes_read", 0))

    def results(self) -> Iterator[Union[Assembled, Refused]]:
        """Yields episodes and refusals in the recording's order.

        Raises:
          UserError: The mapping does not fit the recording, or nothing of it can be
            read.
        """
        if is_log(self._recording):
            return self._of_log(self._recording)  # type: ignore[arg-type]
        return self._of_table(self._recording)  # type: ignore[arg-type]

    def _of_log(self, log: MessageLog) -> Iterator[Union[Assembled, Refused]]:
        if self._mapping.clock is None:
            raise UserError(
                f"{log.path} is a log of messages, and the mapping has no clock; say "
                "which stream's messages are the steps: clock: {stream: FIELD}"
            )
        attributes = {**path_attributes(self._origin.name), **log.attributes()}
        stamps = self._stamps(log)
        cutter = Cutter(self._mapping, self.ledger, stamps)
        fields = [*self._mapping.all_fields(), *stamps.values()]
        arrivals = self._mapping.arrival_fields()
        messages = self._until_damage(log.messages(fields, arrivals))
        for piece in cutter.cut(messages):
            yield self._finish(piece, attributes)

    def _until_damage(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Yields messages; that the end is missing does not spoil what came before."""
        count = 0
        try:
            for message in messages:
                count += 1
                yield message
        except DamagedRecordingError as error:
            if count == 0:
                raise
            self.damage = str(error)

    def _stamps(self, log: MessageLog) -> dict[str, str]:
        """Returns by field the field that says its time; nothing for log time."""
        clock = self._mapping.clock
        if clock is None or clock.time == "log":
            return {}
        topics = [t for t in log.topics() if t not in clock.log_time_topics]
        stamps = {}
        for field in self._mapping.fields():
            if not any(field.startswith(t) for t in clock.log_time_topics):
                stamps[field] = f"{parse_field(field, topics).topic}.header.stamp"
        return stamps

    def _of_table(self, table: EpisodeTable) -> Iterator[Union[Assembled, Refused]]:
        self._require_alignment(table)
        for pointer in self._pointers(table):
            self._table_bytes += pointer.size_bytes
            try:
                segment = table.read(pointer, self._mapping.all_fields())
            except DamagedRecordingError as error:
                yield Refused(pointer.position, (f"unreadable: {error}",))
                continue
            yield from self._of_segment(segment)

    def _pointers(self, table: EpisodeTable) -> Iterator[Any]:
        try:
            yield from table.pointers()
        except DamagedRecordingError as error:
            self.damage = str(error)

    def _require_alignment(self, table: EpisodeTable) -> None:
        mapping = self._mapping
        takes_actions = any(
            f.spec.name.startswith("action") and not f.derivation
            for f in mapping.features
        )
        if not mapping.alignment and (takes_actions or mapping.reward.field):
            raise UserError(
                f"{table.path} is a table of steps, and the mapping does not say how "
                "its rows are aligned; add alignment: rlds (the last row's action and "
                "reward mean nothing), sar (they are valid, as in OXE) or n_plus_one "
                "(one observation more than actions)"
            )

    def _of_segment(self, segment: Segment) -> Iterator[Union[Assembled, Refused]]:
        attributes = {**path_attributes(self._origin.name), **segment.attributes}
        segment = dataclasses.replace(segment, attributes=attributes)
        if self._mapping.marks.by == "whole_file":
            first = self.ledger.read + 1
            count = max((len(s.times_ns) for s in segment.streams.values()), default=0)
            self.ledger.read += count
            serials = {
                field: np.arange(first, first + len(stream.times_ns))
                for field, stream in segment.streams.items()
            }
            problems = _too_large(segment, self._mapping.marks.max_bytes)
            problems += _misaligned(segment, self._mapping.alignment)
            start = _first_time(segment)
            piece = Piece(0, start, 0, segment, serials, count, problems)
            yield self._finish(piece, attributes, segment.position)
            return
        cutter = Cutter(self._mapping, self.ledger, {})
        last = max((int(s.times_ns[-1]) for s in _filled(segment)), default=0)
        for piece in cutter.cut(row_messages(segment)):
            if piece.end_ns >= last:
                piece.problems += _misaligned(segment, self._mapping.alignment)
            position = f"{segment.position}, {piece.position}"
            yield self._finish(piece, attributes, position)

    def _finish(
        self, piece: Piece, attributes: Mapping[str, Any], position: str = ""
    ) -> Union[Assembled, Refused]:
        position = position or piece.position
        made: Optional[Assembled] = None
        reasons = list(piece.problems)
        if piece.segment is not None and not reasons:
            segment = dataclasses.replace(
                piece.segment, position=position, attributes=attributes
            )
            try:
                made = self._assemble(segment, piece)
            except RefusedSegment as error:
                reasons.append(str(error))
        if made is None:
            self.ledger.refuse(piece.serials, reasons[0].split(":")[0])
            return Refused(position, tuple(reasons))
        self.ledger.write(piece.serials, made.picked)
        return made

    def _assemble(self, segment: Segment, piece: Piece) -> Assembled:
        provenance = Provenance(
            source_file=self._origin.name,
            position=segment.position,
            converter=f"thresher.ingest {self._origin.format}",
            converter_revision=revision(self._mapping),
        )
        source_id = f"{self._origin.name}#{segment.position}"
        return assemble(
            segment,
            self._mapping,
            source_id,
            provenance,
            piece.start_ns,
            piece.carried,
        )


def revision(mapping: LogMapping) -> str:
    """Returns which converter and which mapping make episodes."""
    return f"{__version__}/{REVISION} mapping {mapping.digest()}"


def row_messages(segment: Segment) -> Iterator[Message]:
    """Yields a table's rows as messages, in the order of time."""
    rows: dict[int, dict[str, Any]] = {}
    for field, stream in segment.streams.items():
        is_array = isinstance(stream.values, np.ndarray)
        values: Any = stream.values if is_array else stream.values.frames  # type: ignore[union-attr]
        for time, value in zip(stream.times_ns.tolist(), values):
            rows.setdefault(time, {})[field] = value
    for number, time in enumerate(sorted(rows)):
        yield Message("row", time, rows[time], f"row {number} of {segment.position}")


def _too_large(segment: Segment, limit: int) -> list[str]:
    """Returns why a table's segment is too large for the limit that a mapping set."""
    # The usual one is for logs: how much of a table is held at once, its reader limits.
    if limit == MAX_EPISODE_BYTES:
        return []
    size = sum(_size_bytes(stream.values) for stream in segment.streams.values())
    if size <= limit:
        return []
    return [
        f"size: {size} bytes of values, more than max_bytes of {limit}; cut it into "
        "shorter episodes, or raise episodes: {max_bytes}"
    ]


def _misaligned(segment: Segment, alignment: str) -> list[str]:
    """Returns why an alignment would make a step of a row in which nobody acted."""
    if not segment.ends_in_boundary or alignment not in ("sar", "oxe"):
        return []
    return [
        f"alignment: {alignment} takes the last row's action for one that was taken, "
        "and this row is a boundary, which leads to the next episode; write "
        "alignment: rlds"
    ]


def _size_bytes(values: Column) -> int:
    if isinstance(values, EncodedImages):
        return sum(len(frame) for frame in values.frames)
    if values.dtype.kind == "O":
        return sum(len(str(text)) for text in values.flat)
    return values.nbytes


def _first_time(segment: Segment) -> int:
    return int(min((s.times_ns[0] for s in _filled(segment)), default=0))


def _filled(segment: Segment) -> list[Stream]:
    return [s for s in segment.streams.values() if len(s.times_ns)]
