"""What a guarded reader and its host say to each other.

JSON in frames with a length over a socket; columns in memories that both sides map, so
that they are not copied through the socket. Nothing is pickled.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.recording import Segment, Stream
from thresher.pipelines.ingest.shared_memory import OutsideError, SharedMemory

_HEAD = struct.Struct("<cQ")
_JSON, _BEAT = b"J", b"."
_BLOCK = 1 << 20
_LONGEST_MESSAGE = 1 << 30


class ClosedError(Exception):
    """The other side has gone, or speaks nonsense."""


class SilentError(Exception):
    """The other side gave no sign of life in time."""


class Wire:
    """One end of the socket, and the memories beside it.

    Attributes:
      memories: One for each segment that is on its way or lent.
    """

    def __init__(self, end: socket.socket, memories: Sequence[SharedMemory]) -> None:
        self._end = end
        self.memories = memories

    def close(self) -> None:
        """Closes this end; what is lent stays where it is while somebody holds it."""
        self._end.close()
        for memory in self.memories:
            memory.close()

    def beat(self) -> None:
        """Gives a sign of life."""
        self._end.sendall(_HEAD.pack(_BEAT, 0))

    def send(self, message: Any) -> None:
        """Sends anything that JSON can hold; floats keep NaN and infinity."""
        body = json.dumps(message).encode()
        self._end.sendall(_HEAD.pack(_JSON, len(body)) + body)

    def receive(self) -> Any:
        """Returns the next message; signs of life are passed over.

        Raises:
          ClosedError: The other side has gone.
          SilentError: It was silent for too long.
        """
        kind = _BEAT
        while kind == _BEAT:
            kind, length = _HEAD.unpack(self._exactly(_HEAD.size))
        if kind != _JSON or length > _LONGEST_MESSAGE:
            raise ClosedError
        return json.loads(self._exactly(length))

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self._end.recv(min(size - len(parts), _BLOCK))
            except socket.timeout as error:
                raise SilentError from error
            except ConnectionError as error:
                raise ClosedError from error
            if not part:
                raise ClosedError
            parts += part
        return bytes(parts)


def send_segment(
    wire: Wire, number: int, memory: SharedMemory, segment: Segment
) -> None:
    """Sends a segment: its columns into a memory, then what and where they are.

    Args:
      wire: Where it goes.
      number: Of the question that it answers.
      memory: Where its columns go.
      segment: The segment.
    """
    heads: dict[str, Any] = {}
    clocks: dict[int, tuple[int, int]] = {}
    for name, stream in segment.streams.items():
        # Rows of a table share one clock, in memory too.
        times = stream.times_ns
        address = int(times.__array_interface__["data"][0])
        start, longest = clocks.get(address, (-1, -1))
        if len(times) > longest:
            start = memory.put_array(times)
            clocks[address] = (start, len(times))
        clock = {"at": start, "count": len(times)}
        heads[name] = {"times": clock, **_head_of(memory, stream.values)}
    wire.send(
        {
            "number": number,
            "position": segment.position,
            "attributes": dict(segment.attributes),
            "streams": heads,
        }
    )


def receive_segment(
    wire: Wire, number: int, memory: Optional[SharedMemory], lend: bool
) -> Union[Segment, Mapping[str, Any]]:
    """Returns a segment, or the message that came in its place.

    Args:
      wire: Where it comes from.
      number: Of the question that it answers.
      memory: Where its columns are; None if no segment was asked for.
      lend: Whether they stay there, and it is not free until all of them are gone;
        else they are copied.

    Raises:
      ClosedError: The other side has gone, or speaks nonsense.
      SilentError: It was silent for too long.
    """
    head = wire.receive()
    if head.get("number") != number:
        raise ClosedError
    if "said" in head:
        return dict(head["said"])
    if memory is None:
        raise ClosedError
    streams = {}
    clocks: dict[tuple[int, int], np.ndarray] = {}
    try:
        bytes_ = memory.lend() if lend else memory.borrow()
        for name, said in head["streams"].items():
            place = (said["times"]["at"], said["times"]["count"])
            if place not in clocks:
                clocks[place] = _array(bytes_, "<i8", [place[1]], place[0], lend)
            streams[name] = Stream(clocks[place], _column(bytes_, said, lend))
    except OutsideError as error:
        raise ClosedError from error
    return Segment(head["position"], streams, head["attributes"])


def _head_of(memory: SharedMemory, values: Column) -> dict[str, Any]:
    if isinstance(values, EncodedImages):
        lengths = [len(frame) for frame in values.frames]
        start = memory.put(list(values.frames), sum(lengths))
        return {"encoding": values.encoding, "lengths": lengths, "at": start}
    shape = list(values.shape)
    if values.dtype.kind in "OU":
        return {"texts": [str(text) for text in values.reshape(-1)], "shape": shape}
    start = memory.put_array(values)
    return {"dtype": values.dtype.str, "shape": shape, "at": start}


def _column(bytes_: np.ndarray, said: Mapping[str, Any], lend: bool) -> Column:
    if "encoding" in said:
        ends = np.cumsum(said["lengths"], dtype=np.int64).tolist()
        view = _part(bytes_, said["at"], ends[-1] if ends else 0).data
        frames = tuple(bytes(view[a:b]) for a, b in zip([0, *ends[:-1]], ends))
        return EncodedImages(frames, said["encoding"])
    if "texts" in said:
        texts = np.empty(len(said["texts"]), dtype=object)
        texts[:] = said["texts"]
        return texts.reshape(said["shape"])
    return _array(bytes_, said["dtype"], said["shape"], said["at"], lend)


def _array(
    bytes_: np.ndarray, dtype: str, shape: list[int], start: int, lend: bool
) -> np.ndarray:
    kind = np.dtype(dtype)
    part = _part(bytes_, start, math.prod(shape) * kind.itemsize)
    values = part.view(kind).reshape(shape)
    return values if lend else values.copy()


def _part(bytes_: np.ndarray, start: int, size: int) -> np.ndarray:
    if start < 0 or size < 0 or start + size > len(bytes_):
        raise OutsideError
    return bytes_[start : start + size]
