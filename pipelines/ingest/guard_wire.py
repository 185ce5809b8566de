"""What a guarded reader and its host say to each other.

JSON in frames with a length over a socket; columns in a memory that both sides map, so
that they are not copied through the socket. Nothing is pickled.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.recording import Segment, Stream

_HEAD = struct.Struct("<cQ")
_JSON, _BEAT = b"J", b"."
_BLOCK = 1 << 20
_LONGEST_MESSAGE = 1 << 30
# Kept between segments, so that its pages need not be found and cleared each time.
_KEPT_BYTES = 64 << 20
_ALIGNMENT = 64


class ClosedError(Exception):
    """The other side has gone, or speaks nonsense."""


class SilentError(Exception):
    """The other side gave no sign of life in time."""


class SharedMemory:
    """A memory file that both sides map; the reader fills it anew for each segment."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._map: Union[mmap.mmap, None] = None
        self._used = 0

    def reset(self) -> None:
        """Forgets what was in it."""
        self._used = 0

    def put(self, parts: list[Any], size: int) -> int:
        """Writes parts of bytes one after the other; returns where they start."""
        start = -(-self._used // _ALIGNMENT) * _ALIGNMENT
        self._used = start + size
        if os.fstat(self.handle).st_size < self._used:
            os.ftruncate(self.handle, max(self._used, _KEPT_BYTES))
        position = start
        view = self._mapped()
        for part in parts:
            view[position : position + len(part)] = part
            position += len(part)
        return start

    def get(self, start: int, size: int) -> memoryview:
        """Returns bytes that the other side wrote.

        Raises:
          ClosedError: There are none there.
        """
        if start < 0 or size < 0 or start + size > os.fstat(self.handle).st_size:
            raise ClosedError
        return self._mapped()[start : start + size]

    def shrink(self) -> None:
        """Gives back what a large segment needed."""
        if os.fstat(self.handle).st_size > _KEPT_BYTES:
            self._map = None
            os.ftruncate(self.handle, _KEPT_BYTES)

    def _mapped(self) -> memoryview:
        size = os.fstat(self.handle).st_size
        if not size:
            return memoryview(bytearray())
        if self._map is None or len(self._map) != size:
            self._map = mmap.mmap(self.handle, size)
        return memoryview(self._map)

    def close(self) -> None:
        """Lets the memory go; views of it keep it while they live."""
        self._map = None
        os.close(self.handle)


class Wire:
    """One end of the socket, and the memory beside it."""

    def __init__(self, end: socket.socket, memory: SharedMemory) -> None:
        self._end = end
        self.memory = memory

    def close(self) -> None:
        """Closes this end."""
        self._end.close()
        self.memory.close()

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


def send_segment(wire: Wire, segment: Segment) -> None:
    """Sends a segment: its columns into the memory, then what and where they are."""
    wire.memory.reset()
    heads: dict[str, Any] = {}
    clocks: dict[int, tuple[int, int]] = {}
    for name, stream in segment.streams.items():
        # Rows of a table share one clock, in memory too.
        times = stream.times_ns
        address = int(times.__array_interface__["data"][0])
        start, longest = clocks.get(address, (-1, -1))
        if len(times) > longest:
            start = _put_array(wire.memory, times)
            clocks[address] = (start, len(times))
        clock = {"at": start, "count": len(times)}
        heads[name] = {"times": clock, **_head_of(wire.memory, stream.values)}
    wire.send(
        {
            "position": segment.position,
            "attributes": dict(segment.attributes),
            "streams": heads,
        }
    )


def receive_segment(wire: Wire) -> Union[Segment, Mapping[str, Any]]:
    """Returns a segment, or the message that came in its place."""
    head = wire.receive()
    if "streams" not in head:
        return dict(head)
    streams = {}
    clocks: dict[tuple[int, int], np.ndarray] = {}
    for name, said in head["streams"].items():
        place = (said["times"]["at"], said["times"]["count"])
        if place not in clocks:
            clocks[place] = _array(wire.memory, "<i8", [place[1]], place[0])
        streams[name] = Stream(clocks[place], _column(wire.memory, said))
    wire.memory.shrink()
    return Segment(head["position"], streams, head["attributes"])


def _head_of(memory: SharedMemory, values: Column) -> dict[str, Any]:
    if isinstance(values, EncodedImages):
        lengths = [len(frame) for frame in values.frames]
        start = memory.put(list(values.frames), sum(lengths))
        return {"encoding": values.encoding, "lengths": lengths, "at": start}
    shape = list(values.shape)
    if values.dtype.kind in "OU":
        return {"texts": [str(text) for text in values.reshape(-1)], "shape": shape}
    start = _put_array(memory, values)
    return {"dtype": values.dtype.str, "shape": shape, "at": start}


def _put_array(memory: SharedMemory, values: np.ndarray) -> int:
    flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return memory.put([flat.data], flat.nbytes)


def _column(memory: SharedMemory, said: Mapping[str, Any]) -> Column:
    if "encoding" in said:
        ends = np.cumsum(said["lengths"], dtype=np.int64).tolist()
        view = memory.get(said["at"], ends[-1] if ends else 0)
        frames = tuple(bytes(view[a:b]) for a, b in zip([0, *ends[:-1]], ends))
        return EncodedImages(frames, said["encoding"])
    if "texts" in said:
        texts = np.empty(len(said["texts"]), dtype=object)
        texts[:] = said["texts"]
        return texts.reshape(said["shape"])
    return _array(memory, said["dtype"], said["shape"], said["at"])


def _array(
    memory: SharedMemory, dtype: str, shape: list[int], start: int
) -> np.ndarray:
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    # The memory is written over by the next segment.
    return np.frombuffer(memory.get(start, size), kind).reshape(shape).copy()
