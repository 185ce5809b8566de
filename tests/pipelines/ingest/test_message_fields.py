"""Fields of messages: ways into them, flattening, and what is refused."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from thresher.benchmarks.sound_logs import picture
from thresher.episodes.errors import UserError
from thresher.episodes.images import decode_image, encode_image
from thresher.pipelines.ingest.message_decoders import ros_decoder
from thresher.pipelines.ingest.message_fields import (
    MISSING,
    FieldReader,
    FieldValueError,
    field_names,
    parse_field,
)
from thresher.pipelines.ingest.message_images import ImageValueError, image_of

ARM = {
    "name": ["hip", "knee"],
    "position": [0.1, 0.2],
    "stamp": {"sec": 3, "nanosec": 7},
    "pose": {"at": {"x": 1, "y": 2.5}, "ok": True},
    "links": [
        {"child": "a", "t": {"x": 1, "y": 2}},
        {"child": "b", "t": {"x": 3, "y": 4}},
    ],
    "a.b": 5,
    "word": "run",
    "nothing": None,
    "empty": [],
}


def _value(field, message=ARM):
    return FieldReader(parse_field(field, ["/arm"]))(message)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("/arm.position", [0.1, 0.2]),
        ("/arm.position[1]", 0.2),
        ("/arm.position[-1]", 0.2),
        ("/arm.position[0:1]", [0.1]),
        ("/arm.position[name=knee]", 0.2),
        ("/arm.position[name=knee,hip]", [0.2, 0.1]),
        ("/arm.pose", [1, 2.5, 1]),
        ("/arm.pose.at.y", 2.5),
        ("/arm.links[child=b].t", [3, 4]),
        ("/arm.links", None),
        ("/arm.stamp", 3 * 10**9 + 7),
        ("/arm['a.b']", 5),
        ("/arm.word", "run"),
        ("/arm.name", ["hip", "knee"]),
        ("/arm.empty", []),
    ],
)
def test_a_field_is_found_by_its_way(field, value):
    if value is None:
        with pytest.raises(FieldValueError, match=r"links\[0\].child is the text"):
            _value(field)
        return
    found = _value(field)
    assert (found.tolist() if isinstance(found, np.ndarray) else found) == value


@pytest.mark.parametrize(
    "field",
    [
        "/arm.position[7]",
        "/arm.position[name=neck]",
        "/arm.links[child=c].t",
        "/arm.missing",
    ],
)
def test_an_element_that_this_message_lacks_is_missing_and_no_error(field):
    assert _value(field) is MISSING


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("/arm.word.x", "which has no named parts"),
        ("/arm.word[0]", "brackets belong after lists"),
        ("/arm.position[x]", "neither a number, a stretch"),
        ("/arm.position[", "cannot be read from"),
        ("/leg.x", "unknown topic"),
    ],
)
def test_a_way_that_makes_no_sense_is_refused(field, rule):
    with pytest.raises(UserError, match=rule):
        _value(field)


@pytest.mark.parametrize("field", ["/arm", "/arm.nothing"])
def test_what_is_not_all_numbers_is_no_vector(field):
    with pytest.raises(FieldValueError):
        _value(field)


def test_a_time_among_numbers_is_no_vector():
    with pytest.raises(FieldValueError, match="is a time among other numbers"):
        _value("/arm", {"x": 1, "stamp": {"sec": 1, "nanosec": 2}})


def test_the_longest_topic_that_fits_is_meant():
    path = parse_field("/arm.left.x", ["/arm", "/arm.left"])
    assert (path.topic, path.steps) == ("/arm.left", ("x",))


def test_keys_that_swap_places_do_not_swap_numbers():
    reader = FieldReader(parse_field("/arm.v", ["/arm"]))
    assert reader({"v": {"x": 1, "y": 2}}).tolist() == [1, 2]
    assert reader({"v": {"y": 4, "x": 3}}).tolist() == [3, 4]
    with pytest.raises(FieldValueError, match="keys"):
        reader({"v": {"x": 1, "z": 2}})


def test_an_array_does_not_keep_its_message_alive():
    buffer = np.zeros(1000)
    found = _value("/arm.v", {"v": buffer[:3]})
    assert found.base is None


def _image(**changes):
    raw = {"height": 6, "width": 8, "encoding": "rgb8", "step": 24}
    return {**raw, "data": picture(3).tobytes(), **changes}


@pytest.mark.parametrize(
    ("encoding", "channels", "order"),
    [
        ("rgb8", 3, [0, 1, 2]),
        ("bgr8", 3, [2, 1, 0]),
        ("mono8", 1, [0]),
        ("rgba8", 4, [0, 1, 2, 3]),
        ("bgra8", 4, [2, 1, 0, 3]),
    ],
)
def test_raw_pictures_become_png_without_loss(encoding, channels, order):
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (6, 8, channels), np.uint8)
    found = image_of(
        _image(encoding=encoding, step=8 * channels, data=stored.tobytes())
    )
    assert np.array_equal(decode_image(found), stored[..., order])


def test_rows_with_padding_are_cut_to_their_width():
    padded = np.zeros((6, 32), np.uint8)
    padded[:, :24] = picture(3).reshape(6, 24)
    found = image_of(_image(step=32, data=padded.tobytes()))
    assert np.array_equal(decode_image(found), picture(3))


@pytest.mark.parametrize(("big", "dtype"), [(0, "<u2"), (1, ">u2")])
def test_depth_stays_an_array_of_16_bits(big, dtype):
    depth = np.arange(48).reshape(6, 8).astype(dtype)
    found = image_of(
        _image(encoding="16UC1", step=16, data=depth.tobytes(), is_bigendian=big)
    )
    assert found.dtype == np.uint16
    assert found[..., 0].tolist() == depth.tolist()


def test_json_pictures_are_base64():
    jpeg = encode_image(picture(1), "jpeg")
    packed = {"format": "jpeg", "data": base64.b64encode(jpeg).decode()}
    assert image_of(packed) == jpeg
    with pytest.raises(ImageValueError, match="not base64"):
        image_of({"format": "jpeg", "data": "€"})


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (_image(step=3), "bytes a row"),
        (_image(height=2**31), "2147483648"),
        (_image(data=b"1"), "holds 1 bytes"),
        ({"format": "jpeg", "data": b"junk"}, "cannot be read"),
    ],
)
def test_damaged_pictures_are_named(message, rule):
    with pytest.raises(ImageValueError, match=rule):
        image_of(message)


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (_image(encoding="bayer_rggb8"), "record the camera compressed"),
        ({"format": "h264", "data": b"\0\0\0\1"}, "as JPEG or PNG"),
    ],
)
def test_kinds_of_pictures_that_are_not_read_are_named(message, remedy):
    with pytest.raises(UserError, match=remedy):
        image_of(message)


CONSTANTS = "int8 NO_FIX=-1\nint8 FIX=0\nstring WORD=hi\nint8 status\nuint16 service\n"


def _ros_message():
    # CDR: four bytes of header, an int8, a byte of padding, a uint16.
    decode = ros_decoder("x/msg/Fix", CONSTANTS, cdr=True)
    return decode(b"\x00\x01\x00\x00" + b"\xff\x00" + b"\x07\x00")


def test_a_constant_of_a_ros_definition_is_no_value_of_its_messages():
    message = _ros_message()
    assert field_names(message) == ["status", "service"]
    assert _value("/arm", message).tolist() == [-1, 7]


def test_a_constant_that_is_asked_for_is_refused_by_name():
    with pytest.raises(UserError, match="NO_FIX is a constant .*status, service"):
        _value("/arm.NO_FIX", _ros_message())
