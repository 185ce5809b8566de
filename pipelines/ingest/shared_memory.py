"""Memory that a guarded reader and its host both map, lent out while it is held."""

from __future__ import annotations

import math
import mmap
import os
import weakref
from typing import Any, Optional

import numpy as np

# Kept between segments, so that its pages need not be found and cleared each time.
KEPT_BYTES = 16 << 20
_ALIGNMENT = 64


class OutsideError(Exception):
    """A place that is not in the memory."""


class SharedMemory:
    """A memory file; the reader fills it anew for each segment, the host lends it out.

    Whoever holds an array of a lent memory holds the memory. It is free for another
    segment when the last of them is gone.

    Attributes:
      handle: The file's descriptor.
      used: Bytes that the reader has put in.
    """

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._map: Optional[mmap.mmap] = None
        self.used = 0
        self._placed: dict[int, tuple[int, np.ndarray]] = {}
        self._lent: Optional[weakref.ref] = None

    @classmethod
    def made(cls) -> SharedMemory:
        """Returns a new one, which processes that inherit its handle can map."""
        memory = cls(os.memfd_create("thresher-segment"))
        os.ftruncate(memory.handle, mmap.PAGESIZE)
        return memory

    @property
    def size(self) -> int:
        """Bytes that there are now."""
        return os.fstat(self.handle).st_size

    def close(self) -> None:
        """Lets the memory go; arrays of it keep it while they live."""
        self._map = None
        self._placed.clear()
        os.close(self.handle)

    # The reader's side.

    def reset(self) -> None:
        """Forgets what was in it, and what it mapped for much."""
        self.used = 0
        self._placed.clear()
        if self._map is not None and len(self._map) > KEPT_BYTES:
            self._map = None

    def new_array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Returns an array in the memory; `put_array` of it copies nothing."""
        size = math.prod(shape) * dtype.itemsize
        if not size:
            return np.empty(shape, dtype)
        start = self._take(size)
        array = np.frombuffer(self._mapped(), np.uint8, size, start)
        array = array.view(dtype).reshape(shape)
        # Held, lest another array should be made at its address.
        self._placed[_address(array)] = (start, array)
        return array

    def put_array(self, values: np.ndarray) -> int:
        """Puts an array in; returns where it starts."""
        start, placed = self._placed.get(_address(values), (-1, values))
        if start >= 0 and values.flags.c_contiguous and values.nbytes <= placed.nbytes:
            return start
        flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        return self.put([flat.data], flat.nbytes)

    def put(self, parts: list[Any], size: int) -> int:
        """Writes parts of bytes one after the other; returns where they start."""
        start = position = self._take(size)
        view = self._mapped()
        for part in parts:
            view[position : position + len(part)] = part
            position += len(part)
        return start

    def _take(self, size: int) -> int:
        start = -(-self.used // _ALIGNMENT) * _ALIGNMENT
        self.used = start + size
        if self.size < self.used:
            # Twice as much each time: arrays of smaller maps hold those. What is not
            # written takes no memory.
            os.ftruncate(self.handle, max(2 * self.used, KEPT_BYTES))
        return start

    # The host's side.

    @property
    def is_free(self) -> bool:
        """Whether nobody holds an array of what it was lent for."""
        return self._lent is None or self._lent() is None

    def borrow(self) -> np.ndarray:
        """Returns its bytes, uint8 [size], to be let go before the next segment."""
        bytes_ = np.frombuffer(self._mapped(), np.uint8)
        # Another process may hold them too: one that was forked from this one.
        bytes_.flags.writeable = False
        return bytes_

    def lend(self) -> np.ndarray:
        """Returns its bytes, uint8 [size]; it is not free while views of them live."""
        # NumPy's views hold the first array above a buffer, which is this one.
        bytes_ = self.borrow()
        self._lent = weakref.ref(bytes_)
        return bytes_

    def shrink(self) -> None:
        """Gives back what a large segment needed, once nobody holds it."""
        if self.size > KEPT_BYTES:
            self._map = None
            os.ftruncate(self.handle, KEPT_BYTES)

    def _mapped(self) -> memoryview:
        size = self.size
        if self._map is None or len(self._map) != size:
            self._map = mmap.mmap(self.handle, size)
        return memoryview(self._map)


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
