"""Examples and TFRecords are TensorFlow's, and hostile ones are errors."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.episodes.example_wire import (
    bytes_feature,
    encode_example,
    float_feature,
    int_feature,
    parse_example,
)
from thresher.episodes.tfrecord import (
    DamagedRecordError,
    framed,
    read_record,
    records,
)

_INT64 = st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.floats(width=32, allow_nan=False)
_VALUES = st.one_of(
    st.lists(st.binary(max_size=300), min_size=1),
    st.lists(_FLOATS, min_size=1),
    st.lists(_INT64, min_size=1),
)


def _encode(values):
    if isinstance(values[0], bytes):
        return bytes_feature(values)
    if isinstance(values[0], float):
        return float_feature(np.array(values, np.float32))
    return int_feature(np.array(values, np.int64))


def _fill(entry, values):
    kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
    getattr(entry, kinds[type(values[0])]).value.extend(values)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=20), _VALUES, min_size=1, max_size=6)
)
def test_values_are_those_of_tensorflow_both_ways(features):
    example = tf.train.Example()
    for name, values in features.items():
        _fill(example.features.feature[name], values)
    theirs = example.SerializeToString(deterministic=True)
    ours = encode_example({name: _encode(v) for name, v in features.items()})
    if len(features) == 1:
        assert ours == theirs
    assert tf.train.Example.FromString(ours) == example
    read = parse_example(theirs)
    assert set(read) == set(features)
    for name, values in features.items():
        if isinstance(values[0], bytes):
            assert read[name].as_bytes() == values
        elif isinstance(values[0], float):
            np.testing.assert_array_equal(
                read[name].as_floats(), np.array(values, np.float32)
            )
        else:
            assert read[name].as_ints().tolist() == values


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_example_or_an_error(data):
    with contextlib.suppress(ValueError):
        for feature in parse_example(data).values():
            for read in (feature.as_bytes, feature.as_floats, feature.as_ints):
                with contextlib.suppress(ValueError):
                    read()


def test_a_length_beyond_the_end_is_an_error_and_asks_for_no_memory():
    with pytest.raises(ValueError, match="a length of"):
        parse_example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\x7f")


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "some.tfrecord"
    path.write_bytes(b"".join(framed(bytes([n]) * (n * 100)) for n in range(5)))
    return path


def test_tensorflow_reads_what_is_framed_here(shard):
    read = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    assert read == [record for _, record in records(shard)]
    assert [len(record) for record in read] == [0, 100, 200, 300, 400]


def test_what_tensorflow_wrote_is_read_here(tmp_path):
    path = tmp_path / "theirs.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for n in range(4):
            writer.write(b"record %d" % n)
    found = list(records(path))
    assert [record for _, record in found] == [b"record %d" % n for n in range(4)]
    with open(path, "rb") as file:
        record = read_record(file, found[2][0], len(found[2][1]))
    assert record == b"record 2"


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_is_an_error(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("flip") / "x.tfrecord"
    data = bytearray(b"".join(framed(bytes([n]) * 60) for n in range(4)))
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(DamagedRecordError, match="x.tfrecord"):
        list(records(path))


@pytest.mark.parametrize("cut", [1, 11, 12, 50, 130])
def test_a_cut_file_is_an_error_after_its_whole_records(shard, cut):
    data = shard.read_bytes()
    shard.write_bytes(data[: 16 + cut])
    found = records(shard)
    for _ in range(2 if cut >= 116 else 1):
        next(found)
    with pytest.raises(DamagedRecordError, match="ends inside"):
        next(found)
