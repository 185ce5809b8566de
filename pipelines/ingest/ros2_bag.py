"""Reads ROS 2 bags without ROS: folders, single files, split and compressed bags."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union

import yaml

from thresher.pipelines.ingest.mcap_log import McapLog
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.ros2_database import (
    LostFile,
    Ros2Database,
    decompress_file,
    is_database,
)
from thresher.pipelines.ingest.split_files import in_order, lost_before
from thresher.pipelines.ingest.time_order import (
    CHUNK_BITS,
    FILE_BITS,
    Timed,
    merged,
)
from thresher.pipelines.ingest.topic_log import TopicChannel, TopicLog

METADATA = "metadata.yaml"
_BAG_KEY = "rosbag2_bagfile_information"
_MAX_METADATA_BYTES = 16 << 20
_STORAGE_SUFFIXES = (".db3", ".mcap", ".db3.zstd", ".mcap.zstd")


@dataclasses.dataclass(frozen=True)
class BagMetadata:
    """What metadata.yaml says; all empty where it is missing.

    Attributes:
      files: Names of the bag's files, in order.
      distro: ROS 2 distribution that recorded it.
      compressed_messages: Whether each message is zstd.
      custom: What the recorder added.
    """

    files: tuple[str, ...] = ()
    distro: str = ""
    compressed_messages: bool = False
    custom: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_Part = Union[Ros2Database, McapLog, LostFile]


class Ros2Bag(TopicLog):
    """A ROS 2 bag: a folder (metadata.yaml may be missing) or one of its files.

    Options:
      ros_distro: Which distribution's message types to use where the bag holds no
        definitions: 'humble', 'jazzy', …
    """

    format = "ros2 bag"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether it is a bag's folder or one of its databases."""
        if path.is_dir():
            return _is_metadata(path / METADATA) or any(
                is_database(file) for file in path.glob("*.db3")
            )
        return is_database(path)

    @functools.cached_property
    def _metadata(self) -> BagMetadata:
        file = self.path / METADATA
        if not self.path.is_dir() or not file.is_file():
            return BagMetadata()
        return read_metadata(file)

    @functools.cached_property
    def _parts(self) -> list[_Part]:
        return [self._part_or_lost(file) for file in self._files()]

    def _part_or_lost(self, file: Path) -> _Part:
        """Returns a file of the bag; what has no readable head keeps its place."""
        try:
            part = self._part(file)
            part.channels()
            return part
        except DamagedRecordingError as error:
            return LostFile(error)

    def _files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        # Old versions wrote paths from the recording machine's folders.
        named = [self.path / Path(name).name for name in self._metadata.files]
        missing = [file.name for file in named if not file.is_file()]
        if missing:
            raise DamagedRecordingError(
                f"{self.path}: {METADATA} names {missing[0]!r}, which is not there "
                f"({len(missing)} of {len(named)} files are missing); copy them there, "
                f"or remove {METADATA} to read what is left"
            )
        if named:
            return named
        found = [
            file
            for file in in_order(self.path.iterdir())
            if file.name.endswith(_STORAGE_SUFFIXES)
        ]
        if not found:
            raise DamagedRecordingError(
                f"{self.path} holds no .db3 and no .mcap file; copy the bag again"
            )
        return found

    def _part(self, file: Path) -> _Part:
        distro = self.options.get("ros_distro") or self._metadata.distro
        if file.suffix == ".zstd":
            file = decompress_file(file, self)
        if McapLog.recognises(file):
            return McapLog(file, self.options)
        return Ros2Database(file, distro, self._metadata.compressed_messages)

    @functools.cached_property
    def _numbers(self) -> dict[tuple[int, int], int]:
        keys = [
            (part, channel)
            for part, log in enumerate(self._parts)
            for channel in log.channels()
        ]
        return {key: number for number, key in enumerate(keys)}

    def channels(self) -> Mapping[int, TopicChannel]:
        """Returns the topics of all files by number."""
        found = {
            number: self._parts[part].channels()[channel]
            for (part, channel), number in self._numbers.items()
        }
        if not found:
            for part in self._parts:
                if isinstance(part, LostFile):
                    raise part.error
            raise DamagedRecordingError(
                f"{self.path} holds no topics: nothing was recorded; check that the "
                "recorder's topics were published"
            )
        return found

    def attributes(self) -> Mapping[str, Any]:
        """Returns what the recorder added, as 'custom.key', and MCAP metadata."""
        found: dict[str, Any] = {
            f"custom.{key}": value for key, value in self._metadata.custom.items()
        }
        for part in self._parts:
            found.update(part.attributes())
        return found

    @functools.cached_property
    def _missing(self) -> dict[int, str]:
        return lost_before(self._files())

    def notes(self) -> list[str]:
        """Returns what is odd about the bag's files."""
        notes = [*self._missing.values()]
        notes += [note for part in self._parts for note in part.notes()]
        if self.path.is_dir() and not (self.path / METADATA).is_file():
            notes.append(f"{METADATA} is missing; the files were read by name")
        return notes

    def raw(self, channels: set[int]) -> Iterator[Timed]:
        """Yields the messages of some topics, of all files, in the order of time.

        Between files, one of which the messages are missing is a lost stretch.
        """
        damage: list[DamagedRecordingError] = []
        # Of files that were lost whole: when they were recorded, the next one says.
        unplaced: list[str] = []
        logs = [
            self._whole(part, log, channels, damage, unplaced)
            for part, log in enumerate(self._parts)
        ]
        numbers, read = self._numbers, [0] * len(self._parts)
        for part, (time, channel, data, problem, place) in merged(logs):
            number = numbers.get((part, channel), -1)
            self.bytes_read += self._parts[part].bytes_read - read[part]
            read[part] = self._parts[part].bytes_read
            place += part << FILE_BITS + CHUNK_BITS
            yield Timed(time, number, data, problem, place)
        self.bytes_read = sum(log.bytes_read for log in self._parts)
        for log in self._parts:
            self.not_asked_for.update(log.not_asked_for)
        if damage:
            raise damage[0]

    def _whole(
        self,
        part: int,
        log: _Part,
        channels: set[int],
        damage: list[DamagedRecordingError],
        unplaced: list[str],
    ) -> Iterator[Timed]:
        """Yields a file's messages; that its end is missing is kept for the end."""
        ours = {c for (p, c), n in self._numbers.items() if p == part and n in channels}
        log.not_asked_for.clear()
        log.bytes_read = 0
        if part in self._missing:
            unplaced.append(self._missing[part])
        last_ns = -1
        try:
            for message in log.raw(ours):
                if last_ns < 0:
                    before, unplaced[:] = list(unplaced), []
                    for told in before:
                        yield Timed(message.time_ns, -1, b"", told)
                last_ns = message.time_ns
                yield message
        except DamagedRecordingError as error:
            damage.append(error)
            if last_ns < 0:
                # Merging asks each file for its first message before the next file.
                unplaced.append(str(error))
            elif part + 1 < len(self._parts):
                yield Timed(last_ns, -1, b"", str(error))


def _is_metadata(file: Path) -> bool:
    """Whether a file is a bag's metadata: others call theirs so too."""
    if not file.is_file():
        return False
    with open(file, "rb") as opened:
        return _BAG_KEY.encode() in opened.read(4096)


def read_metadata(file: Path) -> BagMetadata:
    """Reads a bag's metadata.yaml.

    Raises:
      DamagedRecordingError: It is not one, or says a compression that is not read.
    """
    problem: object = f"it has no {_BAG_KEY!r}"
    try:
        with open(file, encoding="utf-8") as opened:
            loaded = yaml.safe_load(opened.read(_MAX_METADATA_BYTES))
        return _metadata_of(loaded[_BAG_KEY])
    except (KeyError, TypeError, AttributeError):
        pass
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = error
    raise DamagedRecordingError(
        f"{file} is not a ROS 2 bag's metadata ({problem}); restore it, or remove it "
        "and the bag's files are read without"
    )


def _metadata_of(said: Mapping[str, Any]) -> BagMetadata:
    compression = str(said.get("compression_format") or "zstd")
    mode = str(said.get("compression_mode") or "none").lower()
    if mode != "none" and compression != "zstd":
        raise ValueError(f"messages compressed by {compression!r} are not read")
    files = said.get("relative_file_paths") or ()
    return BagMetadata(
        files=tuple(str(name) for name in files),
        distro=_known_distro(said.get("ros_distro")),
        compressed_messages=mode == "message",
        custom=dict(said.get("custom_data") or {}),
    )


def _known_distro(name: Any) -> str:
    # Recorders that are not ROS write their own name there.
    from thresher.pipelines.ingest.message_decoders import DISTROS

    return str(name) if str(name) in DISTROS else ""
