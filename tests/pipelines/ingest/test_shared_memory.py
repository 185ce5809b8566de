"""What is lent is not free before the last array of it is gone."""

from __future__ import annotations

import os

import numpy as np
import pytest

from thresher.pipelines.ingest.shared_memory import KEPT_BYTES, SharedMemory


@pytest.fixture
def sides():
    """Returns the reader's and the host's side of one memory."""
    host = SharedMemory.made()
    reader = SharedMemory(os.dup(host.handle))
    yield reader, host
    reader.close()
    host.close()


def _seen(host, start, values, lend=True):
    bytes_ = host.lend() if lend else host.borrow()
    return (
        bytes_[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    )


def test_views_of_views_hold_what_is_lent(sides):
    reader, host = sides
    values = np.arange(12, dtype=np.float64).reshape(3, 4)
    start = reader.put_array(values)
    assert host.is_free
    seen = _seen(host, start, values)
    np.testing.assert_array_equal(seen, values)
    column = seen[1:, 2].reshape(1, 2).T
    del seen
    assert not host.is_free
    held = memoryview(column)
    del column
    assert not host.is_free
    del held
    assert host.is_free


def test_what_is_borrowed_is_free_at_once(sides):
    reader, host = sides
    values = np.arange(5)
    _seen(host, reader.put_array(values), values, lend=False)
    assert host.is_free


@pytest.mark.parametrize("dtype", ["<f8", ">i2", "?", "|u1"])
def test_an_array_that_was_made_there_is_not_copied(sides, dtype):
    reader, host = sides
    first = reader.new_array((3, 5), np.dtype(dtype))
    second = reader.new_array((2 * KEPT_BYTES,), np.dtype(np.uint8))
    first[:] = np.ones((3, 5), dtype)
    second[:] = 7
    used = reader.used
    at_first, at_second = reader.put_array(first), reader.put_array(second)
    assert reader.used == used
    np.testing.assert_array_equal(_seen(host, at_first, first), first)
    assert (_seen(host, at_second, second) == 7).all()


def test_a_part_of_an_array_that_was_made_there_is_that_part(sides):
    reader, host = sides
    made = reader.new_array((4, 6), np.dtype(np.int32))
    made[:] = np.arange(24).reshape(4, 6)
    for part in (made[:2], made[2:], made[:, :3], made[::2], made.T, made[:0]):
        start = reader.put_array(part)
        np.testing.assert_array_equal(_seen(host, start, part), part)


def test_nothing_takes_no_memory(sides):
    reader, _ = sides
    assert reader.new_array((0, 4), np.dtype(np.float32)).shape == (0, 4)
    assert reader.put([], 0) == 0
    assert reader.size == os.sysconf("SC_PAGESIZE")


def test_what_is_large_is_given_back(sides):
    reader, host = sides
    values = np.ones(2 * KEPT_BYTES, np.uint8)
    seen = _seen(host, reader.put_array(values), values)
    assert seen.all() and host.size > KEPT_BYTES
    del seen
    host.shrink()
    assert host.size == KEPT_BYTES
    reader.reset()
    start = reader.put_array(values)
    assert _seen(host, start, values).all()
