"""Reads MCAP logs: ROS 2, ROS 1, protobuf and JSON messages; also unfinished files."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcap.opcode import Opcode
from mcap.records import Channel, Schema

from thresher.pipelines.ingest.compression import CompressionError
from thresher.pipelines.ingest.mcap_records import (
    MAGIC,
    Skeleton,
    Stretch,
    note_small,
    read_chunk,
    read_skeleton,
    split_records,
)
from thresher.pipelines.ingest.message_decoders import (
    Decoder,
    SchemaError,
    json_decoder,
    protobuf_decoder,
    ros_decoder,
)
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.time_order import (
    CHUNK_BITS,
    Piece,
    Timed,
    in_time_order,
)
from thresher.pipelines.ingest.topic_log import TopicChannel, TopicLog

_MESSAGE_HEAD = struct.Struct("<HIQQ")


class McapLog(TopicLog):
    """An MCAP file; schemas are the file's own, so custom messages need nothing."""

    format = "mcap"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a file starts as MCAP files do."""
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    @functools.cached_property
    def _skeleton(self) -> Skeleton:
        skeleton = read_skeleton(self.path)
        # Without a summary, channels stand in the chunks alone.
        if skeleton.damage or not skeleton.channels:
            for stretch in skeleton.stretches:
                self._learn(skeleton, stretch)
        return skeleton

    def _learn(self, skeleton: Skeleton, stretch: Stretch) -> None:
        """Takes the schemas and channels that stand in a chunk."""
        try:
            content = self._records(stretch)
            for opcode, start, end in split_records(content):
                if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                    note_small(skeleton, opcode, content[start:end])
        # Said again, with its place, when the chunk's messages are wanted.
        except CompressionError:
            return

    def channels(self) -> Mapping[int, TopicChannel]:
        """Returns the channels by id."""
        skeleton = self._skeleton
        if not skeleton.channels:
            raise DamagedRecordingError(
                f"{self.path} holds no channels: {skeleton.damage}; copy the file "
                "again, if the recorder's is whole"
                if skeleton.damage
                else f"{self.path} holds no channels: nothing was recorded; check that "
                "the recorder's topics were published"
            )
        return {
            number: self._channel(channel, skeleton.schemas.get(channel.schema_id))
            for number, channel in sorted(skeleton.channels.items())
        }

    def _channel(self, channel: Channel, schema: Schema | None) -> TopicChannel:
        name = schema.name if schema else channel.message_encoding
        distro = self.options.get("ros_distro", "")
        make = functools.partial(make_decoder, channel.message_encoding, schema, distro)
        return TopicChannel(channel.topic, name, make)

    def attributes(self) -> Mapping[str, Any]:
        """Returns the metadata records' entries as 'record.key'."""
        return {
            f"{name}.{key}": value
            for name, record in sorted(self._skeleton.metadata.items())
            for key, value in record.items()
        }

    def notes(self) -> list[str]:
        """Returns where the file ends too early."""
        damage = self._skeleton.damage
        return [f"{damage}; what stands before is read"] if damage else []

    def raw(self, channels: set[int]) -> Iterator[Timed]:
        """Yields the messages of some channels in the order of time."""
        skeleton = self._skeleton
        # Runs outside chunks say no time of their own: they keep their place.
        starts = _rising_starts(skeleton.stretches)
        pieces = [
            Piece(start, functools.partial(self._timed, stretch, start, channels))
            for start, stretch in starts
        ]
        yield from in_time_order(pieces)
        if skeleton.damage:
            raise DamagedRecordingError(
                f"{self.path}: {skeleton.damage}; what stands before was read. Copy it "
                "again from the recorder if that had more"
            )

    def _timed(self, stretch: Stretch, start: int, channels: set[int]) -> list[Timed]:
        found: list[Timed] = []
        self.bytes_read += stretch.length
        try:
            content = self._records(stretch)
            for opcode, at, end in split_records(content):
                if opcode == Opcode.MESSAGE and end - at >= _MESSAGE_HEAD.size:
                    channel, _, time, _ = _MESSAGE_HEAD.unpack_from(content, at)
                    if channel in channels:
                        body = content[at + _MESSAGE_HEAD.size : end]
                        place = (stretch.offset << CHUNK_BITS) + at
                        found.append(Timed(time, channel, body, place=place))
                    else:
                        self._count_other(channel)
        except CompressionError as error:
            found.append(Timed(start, -1, b"", self._lost(stretch, str(error))))
        return found

    def _count_other(self, channel: int) -> None:
        known = self._skeleton.channels.get(channel)
        self.not_asked_for[
            known.topic if known else f"(unknown channel {channel})"
        ] += 1

    def _lost(self, stretch: Stretch, why: str) -> str:
        return (
            f"{self.path}: the chunk at bytes {stretch.offset}–"
            f"{stretch.offset + stretch.length} {why}; its messages are lost: copy "
            "the file again, if the recorder's is whole"
        )

    def _records(self, stretch: Stretch) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(stretch.offset)
            content = file.read(stretch.length)
        return read_chunk(content) if stretch.is_chunk else content


def _rising_starts(stretches: list[Stretch]) -> list[tuple[int, Stretch]]:
    """Returns stretches by their start; runs start where what was before them did."""
    placed, last = [], 0
    for stretch in stretches:
        last = stretch.start_ns if stretch.is_chunk else last
        placed.append((last, stretch))
    return sorted(placed, key=lambda pair: pair[0])


def make_decoder(encoding: str, schema: Schema | None, distro: str = "") -> Decoder:
    """Returns the decoder of a channel.

    Args:
      encoding: How its messages are written.
      schema: What they are; None where the file does not say.
      distro: ROS 2 distribution that knows a type whose definition is empty.

    Raises:
      SchemaError: Its encoding is not read, or its schema is missing or unusable.
    """
    if encoding == "json":
        return json_decoder()
    if schema is None:
        raise SchemaError(f"messages of encoding {encoding!r} have no schema")
    if encoding == "protobuf" and schema.encoding == "protobuf":
        return protobuf_decoder(schema.name, schema.data)
    if encoding in ("cdr", "ros1") and schema.encoding in (
        "ros2msg",
        "ros2idl",
        "ros1msg",
    ):
        text = schema.data.decode("utf-8", "replace")
        return ros_decoder(
            schema.name,
            text,
            cdr=encoding == "cdr",
            idl=schema.encoding == "ros2idl",
            distro=distro,
        )
    raise SchemaError(
        f"messages of encoding {encoding!r} with a schema of {schema.encoding!r} are "
        "not read; ROS 1 and 2, protobuf and JSON are"
    )
