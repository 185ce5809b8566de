"""What a guarded reader and its host say to each other over a socket.

JSON in frames with a length, and large buffers as memory files whose descriptors are
passed along, so that columns are not copied through the socket. Nothing is pickled.
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
_JSON, _BUFFER, _BEAT = b"J", b"B", b"."
_BLOCK = 1 << 20


class ClosedError(Exception):
    """The other side has gone."""


class SilentError(Exception):
    """The other side gave no sign of life in time."""


class Wire:
    """One end of the socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def close(self) -> None:
        """Closes this end."""
        self._end.close()

    def settimeout(self, seconds: float) -> None:
        """Sets how long the other side may be silent."""
        self._end.settimeout(seconds)

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
        return json.loads(self._exactly(length))

    def send_buffers(self, parts: list[Union[memoryview, bytes]], size: int) -> None:
        """Sends parts as one memory file."""
        handle = os.memfd_create("thresher-column")
        try:
            os.ftruncate(handle, size)
            with open(handle, "wb", closefd=False) as file:
                for part in parts:
                    file.write(part)
            self._end.sendall(_HEAD.pack(_BUFFER, size))
            socket.send_fds(self._end, [b"F"], [handle])
        finally:
            os.close(handle)

    def receive_buffer(self) -> Union[mmap.mmap, bytes]:
        """Returns the next buffer, as memory that both sides share."""
        _, size = _HEAD.unpack(self._exactly(_HEAD.size))
        handle = self._descriptor()
        try:
            return mmap.mmap(handle, size) if size else b""
        finally:
            os.close(handle)

    def _descriptor(self) -> int:
        try:
            data, handles, _, _ = socket.recv_fds(self._end, 1, 1)
        except socket.timeout as error:
            raise SilentError from error
        if not data or not handles:
            raise ClosedError
        return handles[0]

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
    """Sends a segment: what it is, then its times and values."""
    heads: dict[str, Any] = {}
    for name, stream in segment.streams.items():
        heads[name] = _head_of(stream.values)
    wire.send(
        {
            "position": segment.position,
            "attributes": dict(segment.attributes),
            "streams": heads,
        }
    )
    for stream in segment.streams.values():
        _send_array(wire, stream.times_ns)
        if isinstance(stream.values, EncodedImages):
            frames = list(stream.values.frames)
            wire.send_buffers(list(frames), sum(map(len, frames)))
        elif stream.values.dtype.kind not in "OU":
            _send_array(wire, stream.values)


def receive_segment(wire: Wire) -> Union[Segment, Mapping[str, Any]]:
    """Returns a segment, or the message that came in its place."""
    head = wire.receive()
    if "streams" not in head:
        return dict(head)
    streams = {}
    for name, said in head["streams"].items():
        times = _array(wire, "<i8", [-1])
        streams[name] = Stream(times, _column(wire, said))
    return Segment(head["position"], streams, head["attributes"])


def _head_of(values: Column) -> dict[str, Any]:
    if isinstance(values, EncodedImages):
        lengths = [len(frame) for frame in values.frames]
        return {"encoding": values.encoding, "lengths": lengths}
    if values.dtype.kind in "OU":
        return {"texts": [str(text) for text in values.reshape(-1)]} | _shape(values)
    return {"dtype": values.dtype.str} | _shape(values)


def _shape(values: np.ndarray) -> dict[str, Any]:
    return {"shape": list(values.shape)}


def _column(wire: Wire, said: Mapping[str, Any]) -> Column:
    if "encoding" in said:
        view = memoryview(wire.receive_buffer())
        ends = np.cumsum(said["lengths"], dtype=np.int64).tolist()
        starts = [0, *ends[:-1]]
        frames = tuple(bytes(view[a:b]) for a, b in zip(starts, ends))
        return EncodedImages(frames, said["encoding"])
    if "texts" in said:
        texts = np.empty(len(said["texts"]), dtype=object)
        texts[:] = said["texts"]
        return texts.reshape(said["shape"])
    return _array(wire, said["dtype"], said["shape"])


def _send_array(wire: Wire, values: np.ndarray) -> None:
    flat = np.ascontiguousarray(values)
    wire.send_buffers([flat.reshape(-1).view(np.uint8).data], flat.nbytes)


def _array(wire: Wire, dtype: str, shape: list[int]) -> np.ndarray:
    buffer = wire.receive_buffer()
    return np.frombuffer(buffer, dtype=dtype).reshape(shape)
