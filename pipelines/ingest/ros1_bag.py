"""Reads ROS 1 bags, without ROS: bz2 and lz4 chunks, split and unfinished bags."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from thresher.pipelines.ingest.compression import CompressionError
from thresher.pipelines.ingest.message_decoders import Decoder, ros_decoder
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.ros1_records import (
    CONNECTION,
    MAGIC,
    MESSAGE,
    ChunkPlace,
    Connection,
    RecordError,
    Skeleton,
    message_of,
    parse_connection,
    read_chunk,
    read_skeleton,
    split_chunk,
)
from thresher.pipelines.ingest.split_files import in_order, lost_before
from thresher.pipelines.ingest.time_order import (
    CHUNK_BITS,
    FILE_BITS,
    Piece,
    Timed,
    in_time_order,
)
from thresher.pipelines.ingest.topic_log import TopicChannel, TopicLog

_OP_MESSAGE = bytes([MESSAGE])
_OP_CONNECTION = bytes([CONNECTION])


class Ros1Bag(TopicLog):
    """A ROS 1 bag."""

    format = "ros1 bag"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a file starts as bags do."""
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    @functools.cached_property
    def _parts(self) -> list[tuple[Path, Skeleton]]:
        is_split = self.path.is_dir()
        files = in_order(self.path.glob("*.bag")) if is_split else [self.path]
        parts = [(file, read_skeleton(file)) for file in files]
        for file, skeleton in parts:
            if skeleton.damage or not skeleton.connections:
                _learn(file, skeleton)
        return parts

    @functools.cached_property
    def _numbers(self) -> dict[tuple[int, int], int]:
        """Numbers the connections of all parts: (part, connection) → number."""
        return {
            key: number
            for number, key in enumerate(
                (part, connection)
                for part, (_, skeleton) in enumerate(self._parts)
                for connection in sorted(skeleton.connections)
            )
        }

    def channels(self) -> Mapping[int, TopicChannel]:
        """Returns the connections by number."""
        found = {}
        for (part, connection), number in self._numbers.items():
            known = self._parts[part][1].connections[connection]
            make = functools.partial(_make_decoder, known)
            found[number] = TopicChannel(known.topic, known.type, make)
        if not found and self._damage():
            raise DamagedRecordingError(
                f"{self.path} holds no connections, or none that can be read"
                f"{self._damage()}; copy it again from the recorder"
            )
        if not found:
            raise DamagedRecordingError(
                f"{self.path} holds no connections: nothing was recorded; "
                "check that the recorder's topics were published"
            )
        return found

    def _damage(self) -> str:
        said = [s.damage for _, s in self._parts if s.damage]
        return f" ({'; '.join(said)})" if said else ""

    @functools.cached_property
    def _missing(self) -> dict[int, str]:
        return lost_before([file for file, _ in self._parts])

    def notes(self) -> list[str]:
        """Returns which of its files are missing, and where bags end too early."""
        return [*self._missing.values()] + [
            f"{file.name}: {skeleton.damage}; what stands before is read"
            for file, skeleton in self._parts
            if skeleton.damage
        ]

    def raw(self, channels: set[int]) -> Iterator[Timed]:
        """Yields the messages of some connections in the order of time."""
        pieces: list[Piece] = []
        lost: list[str] = []
        for part, (_, skeleton) in enumerate(self._parts):
            last = 0
            lost += self._lost_before(part)
            if lost and skeleton.chunks:
                start = max(skeleton.chunks[0].start_ns, 0)
                gaps = [Timed(start, -1, b"", problem) for problem in lost]
                pieces.append(Piece(start, functools.partial(list, gaps)))
                lost = []
            for place in skeleton.chunks:
                last = place.start_ns if place.start_ns >= 0 else last
                read = functools.partial(self._timed, part, place, last, channels)
                pieces.append(Piece(last, read))
        yield from in_time_order(sorted(pieces, key=lambda piece: piece.start_ns))
        if self._damage():
            raise DamagedRecordingError(
                f"{self.path}:{self._damage()}; what stands before was read. Copy it "
                "again from the recorder if that had more"
            )

    def _lost_before(self, part: int) -> list[str]:
        """Returns what is told of messages between a file and the one before it."""
        told = []
        before, skeleton = self._parts[max(part - 1, 0)]
        if part > 0 and skeleton.damage:
            told.append(f"{before}: {skeleton.damage}; its end is lost")
        if part in self._missing:
            told.append(self._missing[part])
        return told

    def _timed(
        self, part: int, place: ChunkPlace, start: int, channels: set[int]
    ) -> list[Timed]:
        path, skeleton = self._parts[part]
        found: list[Timed] = []
        self.bytes_read += place.length
        try:
            with open(path, "rb") as file:
                content = read_chunk(file, place)
            for head, at, end in split_chunk(content):
                if head.get("op") == _OP_MESSAGE:
                    connection, time = message_of(head)
                    number = self._numbers.get((part, connection), -1)
                    if number in channels:
                        where = ((part << FILE_BITS) + place.offset) << CHUNK_BITS
                        found.append(
                            Timed(time, number, content[at:end], place=where + at)
                        )
                    else:
                        self._count_other(skeleton, connection)
        except (CompressionError, RecordError) as error:
            problem = (
                f"{path}: the chunk at bytes {place.offset}–"
                f"{place.data + place.length} {error}; its messages are lost"
            )
            found.append(Timed(start, -1, b"", problem))
        return found

    def _count_other(self, skeleton: Skeleton, connection: int) -> None:
        known = skeleton.connections.get(connection)
        topic = known.topic if known else f"(unknown connection {connection})"
        self.not_asked_for[topic] += 1


class Ros1SplitBag(Ros1Bag):
    """A folder of the bags that one recording was split into.

    Never guessed, since a folder of bags is most often a folder of recordings: a
    mapping says source: {format: ros1_split}.
    """

    format = "ros1 split bag"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether it is a folder with bags in it."""
        return path.is_dir() and next(path.glob("*.bag"), None) is not None


def _learn(path: Path, skeleton: Skeleton) -> None:
    """Finds the connections inside chunks, for bags without an index."""
    with open(path, "rb") as file:
        for place in skeleton.chunks:
            try:
                content = read_chunk(file, place)
                for head, at, end in split_chunk(content):
                    if head.get("op") == _OP_CONNECTION:
                        number, found = parse_connection(head, content[at:end])
                        skeleton.connections.setdefault(number, found)
            # Said again, with its place, when the chunk's messages are wanted.
            except (CompressionError, RecordError):
                continue


def _make_decoder(connection: Connection) -> Decoder:
    return ros_decoder(connection.type, connection.definition, cdr=False)
