"""The SQLite files of ROS 2 bags."""

from __future__ import annotations

import contextlib
import functools
import shutil
import sqlite3
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.compression import MAX_CHUNK_BYTES
from thresher.pipelines.ingest.message_decoders import Decoder, SchemaError, ros_decoder
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.time_order import Timed
from thresher.pipelines.ingest.topic_log import TopicChannel

_MAGIC = b"SQLite format 3\0"
_TABLES = "SELECT count(*) FROM sqlite_master WHERE type='table' AND name IN (?, ?)"
_MESSAGES = (
    "SELECT topic_id, timestamp, data, id FROM messages WHERE topic_id IN ({}) "
    "ORDER BY timestamp, id"
)
_COUNTS = "SELECT topic_id, count(*) FROM messages GROUP BY topic_id"


def is_database(path: Path) -> bool:
    """Whether a file is an SQLite database with a bag's suffix, or a bag's tables."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        # The tables of a database are named in its first page.
        head = file.read(4096)
    if head[: len(_MAGIC)] != _MAGIC:
        return False
    return path.suffix == ".db3" or (b"topics" in head and b"messages" in head)


class Ros2Database:
    """One database of a bag; see `TopicLog` for what its methods promise."""

    def __init__(self, path: Path, distro: str, compressed_messages: bool) -> None:
        self.path = path
        self.not_asked_for: Counter[str] = Counter()
        self.bytes_read = 0
        self._distro = distro
        self._compressed = compressed_messages

    @functools.cached_property
    def _topics(self) -> dict[int, TopicChannel]:
        with self._opened() as connection:
            definitions = self._definitions(connection)
            rows = connection.execute(
                "SELECT id, name, type, serialization_format FROM topics ORDER BY id"
            ).fetchall()
        return {
            int(number): TopicChannel(
                str(topic), str(kind), self._maker(row, definitions)
            )
            for row in rows
            for number, topic, kind, _ in [row]
        }

    def _maker(self, row: Any, definitions: Mapping[str, tuple[str, str]]) -> Any:
        _, _, kind, serialisation = row
        encoding, text = definitions.get(str(kind), ("ros2msg", ""))
        return functools.partial(
            _make_decoder, str(kind), str(serialisation), encoding, text, self._distro
        )

    def _definitions(
        self, connection: sqlite3.Connection
    ) -> dict[str, tuple[str, str]]:
        (there,) = connection.execute(_TABLES, ("message_definitions", "")).fetchone()
        if not there:
            return {}
        rows = connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition "
            "FROM message_definitions"
        )
        return {str(kind): (str(encoding), str(text)) for kind, encoding, text in rows}

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Opens the database read-only; what SQLite finds damaged is a user error."""
        address = f"file:{quote(str(self.path.absolute()))}?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(address, uri=True)
            try:
                # Views and triggers of a file from elsewhere are not run.
                connection.execute("PRAGMA trusted_schema=OFF")
                connection.execute("PRAGMA cell_size_check=ON")
                connection.text_factory = lambda data: data.decode("utf-8", "replace")
                self._check_tables(connection)
                yield connection
            finally:
                connection.close()
        except (sqlite3.Error, OverflowError, ValueError, TypeError) as error:
            before = "what stands before was read; " if self.bytes_read else ""
            raise DamagedRecordingError(
                f"{self.path} cannot be read as a ROS 2 bag ({error}); {before}copy it "
                f"again from the recorder, with its {self.path.name}-wal file if there "
                "is one"
            ) from error

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute(_TABLES, ("messages", "topics")).fetchone()
        if found != 2:
            raise DamagedRecordingError(
                f"{self.path} is a database without a ROS 2 bag's tables 'topics' and "
                "'messages'; name the bag's own file"
            )

    def channels(self) -> Mapping[int, TopicChannel]:
        """Returns the topics by id."""
        return self._topics

    def attributes(self) -> Mapping[str, Any]:
        """Returns nothing: databases say nothing about the whole."""
        return {}

    def notes(self) -> list[str]:
        """Returns what is odd about the file."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.is_file() and wal.stat().st_size:
            return [
                f"{wal.name} is beside the bag: it was not closed, and its last "
                "messages are missing here; open it once with `ros2 bag info`"
            ]
        return []

    def raw(self, channels: set[int]) -> Iterator[Timed]:
        """Yields the messages of some topics in the order of time."""
        with self._opened() as connection:
            self._count_others(connection, channels)
            wanted = sorted(channels)
            query = _MESSAGES.format(",".join("?" * len(wanted)))
            for topic, time, data, number in connection.execute(query, wanted):
                self.bytes_read += len(data) if isinstance(data, bytes) else 0
                yield self._timed(topic, time, data, number)

    def _count_others(self, connection: sqlite3.Connection, channels: set[int]) -> None:
        for topic, count in connection.execute(_COUNTS):
            if topic not in channels:
                known = self._topics.get(topic)
                name = known.topic if known else f"(unknown topic {topic})"
                self.not_asked_for[name] += count

    def _timed(self, topic: Any, time: Any, data: Any, place: int) -> Timed:
        if not isinstance(time, int) or not isinstance(data, bytes):
            return Timed(0, topic, b"", "its row holds no time or no bytes")
        if not self._compressed:
            return Timed(time, topic, data, place=place)
        try:
            return Timed(time, topic, _unzstd(data), place=place)
        except ValueError as error:
            return Timed(time, topic, b"", f"it is not zstd ({error})")


class LostFile:
    """A file of a bag whose head cannot be read: nobody knows what was in it.

    Attributes:
      error: Why, with file and remedy.
    """

    def __init__(self, error: DamagedRecordingError) -> None:
        self.error = error
        self.not_asked_for: Counter[str] = Counter()
        self.bytes_read = 0

    def channels(self) -> Mapping[int, TopicChannel]:
        """Returns none."""
        return {}

    def attributes(self) -> Mapping[str, Any]:
        """Returns none."""
        return {}

    def notes(self) -> list[str]:
        """Returns nothing, for reading raises what is to be told."""
        return []

    def raw(self, channels: set[int]) -> Iterator[Timed]:
        """Raises why the file is lost."""
        raise self.error


def _make_decoder(
    kind: str, serialisation: str, encoding: str, text: str, distro: str
) -> Decoder:
    if serialisation != "cdr":
        raise SchemaError(f"messages of {kind} are serialised as {serialisation!r}")
    return ros_decoder(kind, text, cdr=True, idl=encoding == "ros2idl", distro=distro)


def _unzstd(data: bytes) -> bytes:
    import io

    import zstandard

    try:
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data))
        content = reader.read(MAX_CHUNK_BYTES + 1)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if len(content) > MAX_CHUNK_BYTES:
        raise ValueError(f"it holds more than {MAX_CHUNK_BYTES} bytes")
    return content


def decompress_file(file: Path, owner: object) -> Path:
    """Decompresses a bag's file into a temporary folder that goes with its owner.

    Raises:
      DamagedRecordingError: It is not zstd.
      UserError: The disk is too small for it.
    """
    import zstandard

    folder = Path(tempfile.mkdtemp(prefix="thresher-bag-"))
    target = folder / file.stem
    weakref.finalize(owner, shutil.rmtree, folder, True)
    try:
        with open(file, "rb") as packed, open(target, "wb") as unpacked:
            zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
    except zstandard.ZstdError as error:
        raise DamagedRecordingError(
            f"{file} cannot be decompressed ({error}); copy it again"
        ) from error
    except OSError as error:
        raise UserError(
            f"{file} cannot be decompressed ({error}); make room in {folder.parent}"
        ) from error
    return target
