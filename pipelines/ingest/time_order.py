"""Messages of pieces that overlap a little, in the order of time, in bounded memory."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from operator import itemgetter
from typing import NamedTuple

# Recorders' chunks overlap by milliseconds; a log whose chunks all overlap is yielded
# out of order beyond this rather than held in memory.
HELD_BYTES = 64 << 20
# A place is a file's number, a byte in it, and a byte in the chunk that is there.
FILE_BITS, CHUNK_BITS = 48, 40
# What Python adds to each message's bytes.
_OVERHEAD_BYTES = 150


class Timed(NamedTuple):
    """A message that is not decoded yet.

    Attributes:
      time_ns: When it was logged.
      channel: The number of its channel in its file.
      data: Its bytes.
      problem: Why a stretch of the file was lost here; channel -1 then.
      place: Rises with where in the recording it stands.
    """

    time_ns: int
    channel: int
    data: bytes
    problem: str = ""
    place: int = 0


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of a file that is read at once.

    Attributes:
      start_ns: No message in it is earlier.
      read: Returns its messages.
    """

    start_ns: int
    read: Callable[[], Sequence[Timed]]


def in_time_order(
    pieces: Iterable[Piece], held_bytes: int = HELD_BYTES
) -> Iterator[Timed]:
    """Yields the messages of all pieces by time; equal times as they stand in the file.

    Args:
      pieces: By `start_ns`.
      held_bytes: How much may be held back for order's sake.
    """
    held: list[Timed] = []
    for piece in pieces:
        ready = _count_before(held, piece.start_ns)
        yield from held[:ready]
        # Two runs that are sorted are merged by sorting, in linear time.
        held = sorted([*held[ready:], *piece.read()], key=itemgetter(0))
        if sum(len(m[2]) + _OVERHEAD_BYTES for m in held) > held_bytes:
            half = len(held) // 2 + 1
            yield from held[:half]
            held = held[half:]
    yield from held


def _count_before(held: Sequence[Timed], start_ns: int) -> int:
    return sum(1 for _ in takewhile(lambda message: message[0] < start_ns, held))


def merged(logs: Sequence[Iterator[Timed]]) -> Iterator[tuple[int, Timed]]:
    """Yields (number of the log, message) of several logs that are in order, by time.

    Messages of equal times come in the logs' order.
    """
    numbered = [_numbered(number, log) for number, log in enumerate(logs)]
    yield from heapq.merge(*numbered, key=lambda pair: pair[1].time_ns)


def _numbered(number: int, log: Iterator[Timed]) -> Iterator[tuple[int, Timed]]:
    return ((number, message) for message in log)
