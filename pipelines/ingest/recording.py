"""What every foreign format's reader offers: timed streams, cut to segments or not.

Two kinds of recordings exist. *Tables* (HDF5, LeRobot, RLDS, CSV) mark their episodes
themselves and hold one row a step: they list segments and read one by its pointer.
*Message logs* (MCAP, ROS bags) hold timed messages of many topics: they yield messages
in the order of time, and the mapping says where episodes begin and end. Both become
`Segment`s, which the mapping turns into episodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from thresher.episodes.errors import UserError
from thresher.episodes.spec import Column


class DamagedRecordingError(UserError):
    """A recording, or a part of one, that cannot be read: file, position, remedy."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """Timed values of one field.

    Attributes:
      times_ns: int64 [N], nanoseconds on the recording's clock, as recorded.
      values: One value a time: [N, …] numbers or texts, or N encoded images.
    """

    times_ns: np.ndarray
    values: Column

    def __post_init__(self) -> None:
        if self.times_ns.shape != (len(self.values),):
            raise ValueError(f"{self.times_ns.shape} times, {len(self.values)} values")


@dataclasses.dataclass(frozen=True)
class Segment:
    """What a recording says about one stretch of time, before any alignment.

    Attributes:
      position: Where in the recording, for provenance: 'data/demo_3', 'rows 0-120'.
      streams: By field, as they were asked for.
      attributes: What holds for all of it: {'task': 'lift', 'success': True}.
      ends_in_boundary: Whether its last row leads to the next segment's first: it has
        the final observation, and nobody acted on it.
    """

    position: str
    streams: Mapping[str, Stream]
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ends_in_boundary: bool = False


@dataclasses.dataclass(frozen=True)
class SegmentPointer:
    """Where a table's segment is.

    Attributes:
      position: As in `Segment`; unique within the recording.
      rows: How many rows it has; -1 where only reading tells.
      size_bytes: About how many bytes it is, for progress; 0 if not known.
    """

    position: str
    rows: int = -1
    size_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Message:
    """One message of a log.

    Attributes:
      topic: Its topic.
      time_ns: When it was logged, nanoseconds.
      values: Value by field ('/odom.pose.pose.position'), of the fields asked for: a
        number, an array, a text, or an encoded image's bytes.
      position: Where in the log, for errors: 'message 120 of /odom'.
      problem: Why it could not be read; it has no values then. Without a topic, a
        whole stretch of the log was lost here.
      is_displaced: Whether its topic has an earlier one further on in the recording:
        the recorder's clock ran backwards.
    """

    topic: str
    time_ns: int
    values: Mapping[str, Any]
    position: str
    problem: str = ""
    is_displaced: bool = False


@dataclasses.dataclass(frozen=True)
class FieldInfo:
    """What `thresher inspect` tells of one topic, key or column.

    Attributes:
      name: As a mapping writes it.
      type: The format's own name for its type: 'sensor_msgs/msg/Image', 'float32'.
      shape: Of one value; empty for scalars; None where it varies or is not known.
      count: Values in the recording; -1 where only reading tells.
      rate_hz: Mean rate; 0 where there is no clock.
      is_image: Whether values are pictures.
      largest_gap_seconds: Longest time between two values; 0 where not known.
      note: Anything worth saying.
    """

    name: str
    type: str
    shape: tuple[int, ...] | None
    count: int = -1
    rate_hz: float = 0.0
    is_image: bool = False
    largest_gap_seconds: float = 0.0
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Contents:
    """What is inside a recording.

    Attributes:
      format: 'mcap', 'ros1 bag', 'hdf5', …
      fields: Everything that a mapping could name.
      episodes: How many the format itself marks; 0 for logs.
      notes: Sentences about the whole: what is missing, truncated, or guessed.
      attributes: Names of what segments' attributes hold.
      alignment: How rows are aligned, as a mapping says it; empty where the format
        does not tell.
    """

    format: str
    fields: Sequence[FieldInfo]
    episodes: int = 0
    notes: Sequence[str] = ()
    attributes: Sequence[str] = ()
    alignment: str = ""


class MessageLog(Protocol):
    """A recording of timed messages; opening it reads its head only.

    Attributes:
      path: The file or folder.
      format: The format's name, for people.
      not_asked_for: After `messages`: how many messages other topics had, by topic.
      bytes_read: How far `messages` has come; about the bytes of its files at the end.
    """

    path: Path
    format: str
    not_asked_for: Mapping[str, int]
    bytes_read: int

    def contents(self) -> Contents:
        """Returns what is inside, having read it once."""
        ...

    def topics(self) -> Sequence[str]:
        """Returns the names of its topics."""
        ...

    def attributes(self) -> Mapping[str, Any]:
        """Returns what the recorder said about all of it, beside the messages."""
        ...

    def messages(
        self, fields: Sequence[str], arrivals: Collection[str] = ()
    ) -> Iterator[Message]:
        """Yields the messages of the topics of `fields`, in the order of log time.

        Of a topic that is among the `arrivals`, only that a message came is told: the
        field's value is true, whatever is in it.

        Holds the chunks that overlap in time in memory, to a limit. A message that
        cannot be decoded comes with its problem and without values.

        Raises:
          UserError: A field that no topic has, with the near ones.
          DamagedRecordingError: Where nothing more can be read; what came before is
            sound.
        """
        ...


class EpisodeTable(Protocol):
    """A recording that marks its episodes itself; opening it reads its head only."""

    path: Path
    format: str

    def contents(self) -> Contents:
        """Returns what is inside, from heads and a first row."""
        ...

    def pointers(self) -> Iterator[SegmentPointer]:
        """Yields where each segment is, without reading it, in the format's order."""
        ...

    def read(self, pointer: SegmentPointer, fields: Sequence[str]) -> Segment:
        """Returns one segment; row k of a table without a clock has time k * 1e9 ns.

        Raises:
          UserError: A field that the recording has not, with the near ones.
          DamagedRecordingError: This segment cannot be read; others may be.
        """
        ...
