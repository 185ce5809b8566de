"""Cuts a log's messages into stretches, in bounded memory, accounting for each one."""

from __future__ import annotations

import dataclasses
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Optional

import numpy as np

from thresher.pipelines.ingest.columns import ColumnError, stream_of
from thresher.pipelines.ingest.ledger import Ledger
from thresher.pipelines.ingest.mapping import LogMapping
from thresher.pipelines.ingest.marks import Marker, make_marker
from thresher.pipelines.ingest.recording import Message, Segment, Stream
from thresher.pipelines.ingest.topic_contents import JUMP_NS
from thresher.pipelines.ingest.topic_log import LATEST_NS

OUTSIDE = "outside every episode"
UNREADABLE = "unreadable"
NO_CLOCK = "its clock was never set (the log's time jumps by more than a year)"
DISPLACED = "its topic has an earlier one further on in the log"
NO_FIELD = "without any of the fields asked for"
_JUMPS = (
    "time: the log's clock jumps by more than a year before the episode's stop mark: "
    "it was set meanwhile; cut the log there, or go by clock: {time: header}"
)
# What Python keeps beside a value's own bytes.
_VALUE_BYTES = 120
# Too few to be an episode, on the far side of a jump of the clock.
_STRAY_TICKS = 2
# Enough to go and look; a topic may have a million messages that nobody can read.
_MOST_PROBLEMS = 20


@dataclasses.dataclass
class Piece:
    """A stretch of a log that may become an episode.

    Attributes:
      number: Which one in its log, from 0.
      start_ns: Its earliest message by the clock that counts; what was carried over
        may be earlier.
      end_ns: Its last message.
      segment: Its streams; None if it was refused.
      serials: By field, the number of each value's message in the log.
      count: Messages in it.
      problems: Why it is no episode as it stands; empty for none.
      carried: Fields whose first value is from before it began.
    """

    number: int
    start_ns: int
    end_ns: int
    segment: Optional[Segment]
    serials: dict[str, np.ndarray]
    count: int
    problems: list[str]
    carried: Collection[str] = ()

    @property
    def position(self) -> str:
        """Where in the log it is."""
        return f"episode {self.number} at {self.start_ns}–{self.end_ns} ns"


class Cutter:
    """Turns messages, in the order of time, into pieces.

    Holds the messages of the piece under way; one that grows beyond the mapping's
    `max_bytes` is refused and its messages are let go as they come.
    """

    def __init__(
        self, mapping: LogMapping, ledger: Ledger, stamps: dict[str, str]
    ) -> None:
        """Makes a cutter.

        Args:
          mapping: Says where episodes are.
          ledger: Where every message is accounted for.
          stamps: By field, the field that says its time; empty for log time.
        """
        self._mapping = mapping
        self._ledger = ledger
        self._stamps = stamps
        self._marker: Marker = make_marker(mapping)
        # By header stamps, when messages were logged says nothing.
        clock = mapping.clock
        by_log = clock is not None and clock.time == "log"
        self._late = (clock.late or "reject") if clock and by_log else ""
        # Else an episode begins with whatever comes first.
        self._has_starts = mapping.marks.by in ("value", "message")
        self._wanted = set(mapping.fields())
        self._marks = set(mapping.mark_fields())
        self._verdicts = set(mapping.verdict_fields())
        self._open: Optional[_Growing] = None
        self._carried: dict[str, tuple[int, int, Any]] = {}
        self._number = 0
        self._serial = 0
        self._lost: list[str] = []
        # What was lost since a mark said that no episode was under way.
        self._lost_outside = ""
        self._last_ns: Optional[int] = None
        self._displaced: Counter[str] = Counter()

    def cut(self, messages: Iterable[Message]) -> Iterator[Piece]:
        """Yields the pieces of a log as they end."""
        for message in messages:
            self._serial += 1
            self._ledger.read += 1
            if message.problem:
                self._damaged(message)
                continue
            yield from self._one(message)
        yield from self._at_the_end()
        if self._displaced:
            counts = [f"{n} of {topic}" for topic, n in sorted(self._displaced.items())]
            self._ledger.note(
                "the recorder's clock ran backwards: messages stand before earlier "
                f"ones of their topic ({', '.join(counts)})"
            )

    def _damaged(self, message: Message) -> None:
        where = f"{message.position}: {message.problem}"
        self._ledger.note(where)
        if message.topic:
            self._ledger.drop(UNREADABLE)
        else:
            # A lost stretch is no message.
            self._ledger.read -= 1
        if self._open is None and self._has_starts:
            if self._may_hold_marks(message.topic):
                self._lost_outside = self._lost_outside or f"unreadable: {where}"
            return
        # What is lost before an episode would have been of the one that comes.
        problems = self._lost if self._open is None else self._open.problems
        if len(problems) < _MOST_PROBLEMS:
            problems.append(f"unreadable: {where}")

    def _may_hold_marks(self, topic: str) -> bool:
        """Whether marks are of a topic; what is lost of no topic is of all."""
        ways = [m[len(topic) :] for m in self._marks if m.startswith(topic)]
        return not topic or any(way[:1] in ("", ".", "[") for way in ways)

    def _one(self, message: Message) -> Iterator[Piece]:
        if self._jumps(message.time_ns):
            yield from self._close(jumps=True)
            self._marker = make_marker(self._mapping)
        self._last_ns = message.time_ns
        if message.is_displaced and self._late:
            self._displaced[message.topic] += 1
        verdict = self._marker.see(message)
        if verdict.ends and self._open is not None:
            # Recorders say how it went when they stop: that is about what ends here.
            is_verdict = not verdict.begins and self._takes_verdict(message)
            yield from self._close()
            if is_verdict:
                return
        if verdict.begins and self._open is None:
            self._begin(message.time_ns)
        elif self._open is None and not self._marks.isdisjoint(message.values):
            self._lost_outside = ""
        if message.is_displaced and self._late in ("drop", "reject"):
            self._refuse_displaced(message)
        else:
            self._take(message)

    def _takes_verdict(self, message: Message) -> bool:
        """Adds what an end mark says about the episode that it ends."""
        values = {f: v for f, v in message.values.items() if f in self._verdicts}
        if not values or self._open is None:
            return False
        for field, value in values.items():
            self._open.add(field, self._serial, message.time_ns, value)
        self._open.count += 1
        return True

    def _refuse_displaced(self, message: Message) -> None:
        self._ledger.drop(DISPLACED)
        topic = f"time: {message.topic} "
        if self._late == "drop" or self._open is None:
            return
        if not any(problem.startswith(topic) for problem in self._open.problems):
            self._open.problems.append(
                f"{topic}runs backwards in the log: {message.position} stands before "
                "an earlier one; say clock: {late: sort}, or drop, if it may"
            )

    def _jumps(self, time_ns: int) -> bool:
        return self._last_ns is not None and abs(time_ns - self._last_ns) > JUMP_NS

    def _begin(self, time_ns: int) -> None:
        # By header stamps, an episode begins with the earliest of them.
        self._open = _Growing(LATEST_NS if self._stamps else time_ns)
        self._open.problems += self._lost
        self._lost.clear()
        self._open.lost_before, self._lost_outside = self._lost_outside, ""
        if self._mapping.marks.carry and self._has_starts:
            for field, (serial, time, value) in self._carried.items():
                # The clock's last value is a step of what was before.
                if field != self._clock_field():
                    self._open.add(field, serial, time, value)
                    self._open.carried.add(field)
                    self._ledger.carry(serial)

    def _take(self, message: Message) -> None:
        values = {f: v for f, v in message.values.items() if f in self._wanted}
        if not values:
            if self._marks.isdisjoint(message.values):
                self._ledger.drop(NO_FIELD)
            else:
                self._ledger.use()
            return
        growing = self._open
        for field, value in values.items():
            time = message.values.get(self._stamps.get(field, ""), message.time_ns)
            self._carried[field] = (self._serial, time, value)
            if growing is not None:
                growing.add(field, self._serial, time, value)
                growing.start_ns = min(growing.start_ns, time)
                growing.end_ns = max(growing.end_ns, time)
        if growing is None:
            self._ledger.drop_later_used(self._serial, OUTSIDE)
            return
        growing.count += 1
        if growing.bytes > self._mapping.marks.max_bytes:
            growing.let_go(self._mapping.marks.max_bytes)

    def _at_the_end(self) -> Iterator[Piece]:
        if self._open is None:
            return
        if self._marker.needs_end and self._mapping.marks.open_end == "reject":
            self._open.problems.append(
                "marks: the log ends before the episode's stop mark; say episodes: "
                "{open_end: keep} if that is an ending"
            )
        yield from self._close()

    def _close(self, jumps: bool = False) -> Iterator[Piece]:
        growing, self._open = self._open, None
        if growing is None:
            return
        is_cut_short = jumps and self._marker.needs_end
        if is_cut_short:
            # A mark behind it may only say again that the episode goes on.
            self._lost_outside = _JUMPS
        if jumps and growing.count_of(self._clock_field()) <= _STRAY_TICKS:
            self._ledger.drop(NO_CLOCK, growing.count)
            return
        if growing.lost_before and self._marker.repeats:
            # It may have begun in what was lost, and this mark only have said so again.
            growing.problems.append(growing.lost_before)
        if is_cut_short:
            growing.problems.append(_JUMPS)
        piece = growing.piece(self._number)
        self._number += 1
        yield piece

    def _clock_field(self) -> str:
        clock = self._mapping.clock
        if clock is not None and clock.stream:
            return clock.stream
        return self._mapping.features[0].source.fields[0]


class _Growing:
    """The piece under way."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns, self.end_ns = start_ns, 0
        self.count = 0
        self.bytes = 0
        self.problems: list[str] = []
        self.carried: set[str] = set()
        self.lost_before = ""
        self._values: dict[str, list[Any]] = {}
        self._times: dict[str, array[int]] = {}
        self._serials: dict[str, array[int]] = {}
        self._is_full = False

    def add(self, field: str, serial: int, time: int, value: Any) -> None:
        if self._is_full:
            self._serials.setdefault(field, array("q")).append(serial)
            return
        self._values.setdefault(field, []).append(value)
        self._times.setdefault(field, array("q")).append(time)
        self._serials.setdefault(field, array("q")).append(serial)
        size = getattr(value, "nbytes", None)
        self.bytes += _VALUE_BYTES + (size if size is not None else _length(value))

    def count_of(self, field: str) -> int:
        return len(self._serials.get(field, ()))

    def let_go(self, limit: int) -> None:
        """Frees what is held; what comes is counted only."""
        self.problems.append(
            f"size: more than {limit} bytes of values by then; cut it into shorter "
            "episodes, thin its clock, or raise episodes: {max_bytes}"
        )
        self._is_full = True
        self.bytes = 0
        self._values.clear()
        self._times.clear()

    def piece(self, number: int) -> Piece:
        serials = {
            field: np.frombuffer(found, np.int64)
            for field, found in self._serials.items()
        }
        segment = None
        if not self._is_full:
            segment = self._segment()
        return Piece(
            number,
            self.start_ns,
            self.end_ns,
            segment,
            serials,
            self.count,
            self.problems,
            self.carried,
        )

    def _segment(self) -> Optional[Segment]:
        streams: dict[str, Stream] = {}
        try:
            for field in list(self._values):
                # Each list is let go as soon as its array stands.
                values = self._values.pop(field)
                streams[field] = stream_of(field, self._times.pop(field), values)
        except ColumnError as error:
            self.problems.append(f"values: {error}")
            return None
        return Segment("", streams)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (bytes, str)) else 8
