"""Raw logs: MCAP files of whole episodes, which robots and collectors append to.

A file holds the spec (metadata record 'thresher.spec'), then one chunk an episode:
the episode's metadata on '/episode' (JSON), its numbers on '/step' (protobuf), and
each camera on '/observation/…' (foxglove.CompressedImage). Since a chunk is written
whole and flushed when its episode ends, a killed writer loses at most the episode
under way; what a file without its footer holds is read like any other. A log of
episodes that were converted ends with the digest of what they were converted from.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Chunk, Metadata, Statistics
from mcap.writer import CompressionType, Writer

from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages
from thresher.episodes.log_chunks import (
    RECORD_HEADER,
    messages_of,
    topics_of,
    uncompressed,
)
from thresher.episodes.log_source import (
    MAGIC,
    SOURCE_METADATA,
    source_digest,
    source_record,
)
from thresher.episodes.metadata import EpisodeMetadata
from thresher.episodes.spec import EpisodeSpec, FeatureSpec
from thresher.episodes.step_message import (
    IMAGE_SCHEMA,
    STEP_SCHEMA,
    ImageMessage,
    StepMessage,
)

SUFFIX = ".mcap"
_SPEC_METADATA = "thresher.spec"
_EPISODE_SCHEMA = {
    "title": "thresher.Episode",
    "type": "object",
    "properties": {
        "episode_id": {"type": "string"},
        "num_steps": {"type": "integer"},
        "metadata": {"type": "object"},
    },
}


class DamagedLogError(UserError):
    """A raw log, or a part of one, that cannot be read."""


@dataclasses.dataclass(frozen=True)
class EpisodePointer:
    """Where an episode's bytes are.

    Attributes:
      file: The log's path as it was opened.
      offset: First byte of the episode's chunk record.
      length: Bytes of that record.
    """

    file: str
    offset: int
    length: int


class _EpisodeChunks(Writer):
    """An MCAP writer whose chunks end where episodes end, not at a size."""

    def end_chunk(self) -> None:
        # The library closes chunks by size only; its own closing step is the one way
        # to place the boundary.
        self._Writer__finalize_chunk()  # type: ignore[attr-defined]


class RawLogWriter:
    """Appends episodes of one spec to a new MCAP file; use as a context manager.

    Raises:
      UserError: The file exists already (raw logs are never overwritten).
    """

    def __init__(self, path: Path, spec: EpisodeSpec) -> None:
        try:
            self._file: BinaryIO = open(path, "xb")  # noqa: SIM115  # closed by close()
        except FileExistsError as error:
            raise UserError(
                f"raw log {path} exists already and is never overwritten; choose "
                "another name, or move it away"
            ) from error
        self._spec = spec
        self._step = StepMessage(spec)
        self._image = ImageMessage()
        self._mcap = _EpisodeChunks(
            self._file, chunk_size=2**62, compression=CompressionType.ZSTD
        )
        self._mcap.start(profile="", library="thresher")
        self._mcap.add_metadata(
            _SPEC_METADATA, {"spec": spec.to_json(), "digest": spec.digest()}
        )
        self._channels = self._register_channels()
        self._file.flush()

    def _register_channels(self) -> dict[str, int]:
        step = self._mcap.register_schema(STEP_SCHEMA, "protobuf", self._step.schema)
        image = self._mcap.register_schema(IMAGE_SCHEMA, "protobuf", self._image.schema)
        episode = self._mcap.register_schema(
            "thresher.Episode", "jsonschema", json.dumps(_EPISODE_SCHEMA).encode()
        )
        channels = {
            "/episode": self._mcap.register_channel("/episode", "json", episode),
            "/step": self._mcap.register_channel("/step", "protobuf", step),
        }
        for feature in _images(self._spec):
            topic = f"/{feature.name}"
            channels[topic] = self._mcap.register_channel(topic, "protobuf", image)
        return channels

    def write(self, episode: Episode) -> None:
        """Appends an episode; when this returns, a kill cannot lose it."""
        start = episode.metadata.start_time_ns
        self._add("/episode", start, json.dumps(_summary(episode)).encode())
        for step in range(episode.num_steps):
            time = start + round(step * self._spec.step_seconds * 1e9)
            values = {f.name: episode.array(f.name)[step] for f in self._step.features}
            self._add("/step", time, self._step.encode(values))
            for feature in _images(self._spec):
                images = episode.steps[feature.name]
                assert isinstance(images, EncodedImages)
                message = self._image.encode(
                    images.frames[step], images.encoding, feature.name, time
                )
                self._add(f"/{feature.name}", time, message)
        self._mcap.end_chunk()
        self._file.flush()

    def _add(self, topic: str, time: int, data: bytes) -> None:
        self._mcap.add_message(self._channels[topic], time, data, time)

    def tell_source(self, digest: str) -> None:
        """Says the SHA-256 of the recording that all episodes were converted from.

        Reading gives it to each episode that names a converter and no digest.
        """
        self._mcap.add_metadata(SOURCE_METADATA, source_record(digest))

    def close(self) -> None:
        """Writes the index and closes the file; it survives a power cut from here."""
        self._mcap.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> RawLogWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RawLogReader:
    """Lists and reads the episodes of a raw log, finished or cut off.

    Attributes:
      spec: What its episodes are.
      truncated: After listing: whether the end of the log is missing.

    Raises:
      DamagedLogError: Not a raw log of ours, with what was found instead.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.truncated = False
        try:
            self.spec, self._step, self._topics = self._read_head()
        except (DamagedLogError, OSError):
            raise
        except Exception as error:
            raise DamagedLogError(
                f"the head of {path} cannot be read ({error}); restore the file from "
                "its source"
            ) from error
        self._image = ImageMessage()

    def pointers(self) -> Iterator[EpisodePointer]:
        """Yields where each episode is, in file order, reading record heads only.

        Raises:
          DamagedLogError: At the end, if the file's own count is another.
        """
        count = 0
        for opcode, offset, length in self._records():
            if opcode == Opcode.CHUNK:
                count += 1
                yield EpisodePointer(str(self._path), offset, length)
            elif opcode == Opcode.STATISTICS:
                self._check_count(count, offset)

    def _check_count(self, found: int, statistics_offset: int) -> None:
        with open(self._path, "rb") as file:
            file.seek(statistics_offset + RECORD_HEADER.size)
            try:
                said = Statistics.read(ReadDataStream(file)).chunk_count
            except (struct.error, McapError) as error:
                raise DamagedLogError(
                    f"{self._path}: its count of episodes at byte {statistics_offset} "
                    f"cannot be read ({error}); restore the file from its source"
                ) from error
        if said != found:
            raise DamagedLogError(
                f"{self._path} holds {found} episodes and says it holds {said}; "
                "restore the file from its source"
            )

    def episodes(self) -> Iterator[tuple[EpisodePointer, Episode]]:
        """Yields every episode with its pointer, one in memory at a time."""
        for pointer in self.pointers():
            yield pointer, self.read(pointer)

    def read(self, pointer: EpisodePointer) -> Episode:
        """Returns one episode.

        Raises:
          DamagedLogError: Its bytes fail their checksum or do not make an episode.
        """
        try:
            return self._decode(self._chunk_messages(pointer))
        # A flipped bit can break any layer below: checksum, zstd, protobuf, JSON.
        except Exception as error:
            raise DamagedLogError(
                f"{self._path}: the episode at bytes {pointer.offset}–"
                f"{pointer.offset + pointer.length} cannot be read ({error}); restore "
                "the file from its source, or leave the episode in quarantine"
            ) from error

    @functools.cached_property
    def _source_digest(self) -> str:
        return source_digest(self._path)

    def _read_head(self) -> tuple[EpisodeSpec, StepMessage, dict[int, str]]:
        """Returns the spec and, if there is an episode, the topics by channel id."""
        found: tuple[EpisodeSpec, StepMessage] | None = None
        with open(self._path, "rb") as file:
            magic = file.read(len(MAGIC))
            if magic != MAGIC:
                raise DamagedLogError(
                    f"{self._path} is not an MCAP file: it starts with {magic!r}; raw "
                    "logs are made by `thresher collect` or RawLogWriter"
                )
            for opcode, offset, _ in self._records():
                file.seek(offset + RECORD_HEADER.size)
                stream = ReadDataStream(file)
                if opcode == Opcode.METADATA:
                    metadata = Metadata.read(stream)
                    if metadata.name == _SPEC_METADATA:
                        said = metadata.metadata
                        found = _read_spec(said["spec"], said["digest"])
                elif opcode == Opcode.CHUNK:
                    return (*self._checked(found), topics_of(Chunk.read(stream)))
        return (*self._checked(found), {})

    def _checked(
        self, found: tuple[EpisodeSpec, StepMessage] | None
    ) -> tuple[EpisodeSpec, StepMessage]:
        if found is None:
            raise DamagedLogError(
                f"{self._path} holds no {_SPEC_METADATA!r} record: it is an MCAP file, "
                "but not a raw log of Thresher's"
            )
        return found

    def _records(self) -> Iterator[tuple[int, int, int]]:
        """Yields (opcode, offset, length with head) of every whole record."""
        size = self._path.stat().st_size
        self.truncated = False
        with open(self._path, "rb") as file:
            offset = len(MAGIC)
            while offset < size:
                file.seek(offset)
                head = file.read(RECORD_HEADER.size)
                if head == MAGIC:
                    return
                if len(head) < RECORD_HEADER.size:
                    break
                opcode, body = RECORD_HEADER.unpack(head)
                length = RECORD_HEADER.size + body
                if offset + length > size:
                    break
                yield opcode, offset, length
                offset += length
        self.truncated = True

    def _chunk_messages(self, pointer: EpisodePointer) -> dict[str, list[bytes]]:
        with open(self._path, "rb") as file:
            file.seek(pointer.offset + RECORD_HEADER.size)
            chunk = Chunk.read(ReadDataStream(file))
        messages: dict[str, list[bytes]] = {
            topic: [] for topic in self._topics.values()
        }
        for channel, data in messages_of(uncompressed(chunk)):
            messages[self._topics[channel]].append(data)
        return messages

    def _decode(self, messages: Mapping[str, list[bytes]]) -> Episode:
        summary = json.loads(messages["/episode"][0])
        steps: dict[str, Any] = dict(self._step.decode(messages["/step"]))
        for feature in _images(self.spec):
            frames = tuple(
                self._image.decode(message) for message in messages[f"/{feature.name}"]
            )
            steps[feature.name] = EncodedImages(frames, feature.encoding)
        metadata = EpisodeMetadata.from_dict(summary["metadata"])
        provenance = metadata.provenance
        if provenance.converter and not provenance.source_digest:
            told = dataclasses.replace(provenance, source_digest=self._source_digest)
            metadata = dataclasses.replace(metadata, provenance=told)
        episode = Episode(steps, metadata)
        if episode.episode_id != summary["episode_id"]:
            raise ValueError(
                f"its content has the id {episode.episode_id}, its record says "
                f"{summary['episode_id']}"
            )
        return episode


def _images(spec: EpisodeSpec) -> list[FeatureSpec]:
    return [feature for feature in spec.all_features if feature.is_image]


# Logs of one robot share a spec, and a build opens thousands of them: reading it costs
# as much as an episode.
@functools.lru_cache(maxsize=16)
def _read_spec(text: str, digest: str) -> tuple[EpisodeSpec, StepMessage]:
    spec = EpisodeSpec.from_json(text)
    # Records outside chunks carry no checksum of their own.
    if spec.digest() != digest:
        raise ValueError(f"its spec has the digest {spec.digest()}, not {digest}")
    return spec, StepMessage(spec)


def _summary(episode: Episode) -> dict[str, Any]:
    return {
        "episode_id": episode.episode_id,
        "num_steps": episode.num_steps,
        "metadata": episode.metadata.to_dict(),
    }
