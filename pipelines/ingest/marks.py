"""Says where episodes begin and end in a stream of messages."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Protocol

from thresher.pipelines.ingest.mapping import LogMapping, Marks
from thresher.pipelines.ingest.recording import Message


class Verdict(NamedTuple):
    """What a message means for episodes.

    Attributes:
      ends: The episode under way ended before it.
      begins: An episode begins with it, if none is under way.
    """

    ends: bool
    begins: bool


class Marker(Protocol):
    """Watches messages in the order of time.

    Attributes:
      needs_end: Whether an episode without an end mark is incomplete.
      repeats: Whether marks were seen that say what the one before them said: then the
        first one after a lost stretch may be none that begins an episode.
    """

    needs_end: bool

    @property
    def repeats(self) -> bool:
        """Whether marks are said more than once."""
        ...

    def see(self, message: Message) -> Verdict:
        """Returns what a message means."""
        ...


def make_marker(mapping: LogMapping) -> Marker:
    """Returns the marker of a mapping, which also splits at gaps of the clock."""
    marks = mapping.marks
    marker: Marker
    if marks.by == "value":
        marker = _ByValue(marks)
    elif marks.by == "message":
        marker = _ByMessage(marks)
    elif marks.by == "gap":
        marker = _ByGap(marks.field, marks.seconds)
    elif marks.by in ("stamp_reset", "column"):
        marker = _ByChange(marks)
    else:
        marker = _Whole()
    clock = mapping.clock
    if clock is not None and clock.on_gap == "split" and clock.max_gap_seconds:
        return _Either(marker, _ByGap(clock.stream, clock.max_gap_seconds))
    return marker


class _Whole:
    needs_end = False
    repeats = False

    def see(self, message: Message) -> Verdict:
        return Verdict(False, True)


class _ByValue:
    """An episode is while a field has a value."""

    needs_end = True

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._inside = False
        self._last: Any = None
        self.repeats = False

    def see(self, message: Message) -> Verdict:
        if self._marks.field not in message.values:
            return Verdict(False, False)
        value = message.values[self._marks.field]
        self.repeats = self.repeats or same(value, self._last)
        self._last = value
        was_inside = self._inside
        if same(value, self._marks.start):
            self._inside = True
        elif self._marks.stop is None or same(value, self._marks.stop):
            self._inside = False
        return Verdict(
            ends=was_inside and not self._inside,
            begins=self._inside and not was_inside,
        )


class _ByMessage:
    """A message on one topic begins an episode, one on another ends it."""

    repeats = False

    def __init__(self, marks: Marks) -> None:
        self._start, self._stop = str(marks.start), marks.stop
        self.needs_end = marks.stop is not None

    def see(self, message: Message) -> Verdict:
        starts = self._start in message.values
        stops = self._stop is not None and self._stop in message.values
        # A second start ends what the first began.
        return Verdict(ends=starts or stops, begins=starts)


class _ByGap:
    """A silence of a stream, or of all, ends an episode."""

    needs_end = False
    repeats = False

    def __init__(self, field: str, seconds: float) -> None:
        self._field = field
        self._longest_ns = round(seconds * 1e9)
        self._last_ns: Optional[int] = None

    def see(self, message: Message) -> Verdict:
        if self._field and self._field not in message.values:
            # What comes in the silence is of no episode until the stream goes on.
            return Verdict(self._is_gap(message.time_ns), False)
        is_gap = self._is_gap(message.time_ns)
        self._last_ns = message.time_ns
        return Verdict(is_gap, True)

    def _is_gap(self, time_ns: int) -> bool:
        return self._last_ns is not None and time_ns - self._last_ns > self._longest_ns


class _ByChange:
    """A field's new value, or its falling back, ends an episode and begins the next."""

    needs_end = False
    repeats = False

    def __init__(self, marks: Marks) -> None:
        self._field = marks.field
        self._falls = marks.by == "stamp_reset"
        self._last: Any = None

    def see(self, message: Message) -> Verdict:
        if self._field not in message.values:
            return Verdict(False, self._last is not None)
        value = message.values[self._field]
        last, self._last = self._last, value
        if last is None:
            return Verdict(False, True)
        ends = value < last if self._falls else not same(value, last)
        return Verdict(bool(ends), True)


class _Either:
    """Two markers: both must let an episode be, either may end it."""

    def __init__(self, first: Marker, second: Marker) -> None:
        self._first, self._second = first, second
        self.needs_end = first.needs_end
        self._inside = False

    @property
    def repeats(self) -> bool:
        """As the first marker says."""
        return self._first.repeats

    def see(self, message: Message) -> Verdict:
        first, second = self._first.see(message), self._second.see(message)
        if first.ends:
            self._inside = False
        if first.begins:
            self._inside = True
        # After a gap, what the first marker began goes on as the next episode.
        return Verdict(first.ends or second.ends, self._inside and second.begins)


def same(value: Any, wanted: Any) -> bool:
    """Whether a message's value is what a mapping wrote: 1 and true are."""
    if isinstance(wanted, str) or isinstance(value, str):
        return str(value) == str(wanted)
    try:
        return bool(value == wanted)
    except ValueError:
        return False
