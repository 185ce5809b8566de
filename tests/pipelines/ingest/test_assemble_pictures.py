"""Pictures of a segment pass as they are, and change only where a mapping says so."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from thresher.benchmarks.sound_logs import SECOND, picture
from thresher.episodes.images import EncodedImages, encode_images
from thresher.pipelines.ingest.recording import Stream
from thresher.pipelines.ingest.ticks import RefusedSegment
from thresher.tests.pipelines.ingest.assembling import LOG, assembled_log, timed


def _pictures(tmp_path, feature, encoding, frames=3):
    text = LOG.replace("features: {", f"features: {{observation/i: {feature}, ")
    images = encode_images(np.stack([picture(k) for k in range(frames)]), encoding)
    stream = Stream(np.arange(1, frames + 1) * SECOND, images)
    made = assembled_log(
        tmp_path,
        text,
        q=timed(range(1, frames + 1), [float(k) for k in range(frames)]),
        a=timed([0], [1.0]),
        i=stream,
    )
    column = made.steps["observation/i"]
    assert isinstance(column, EncodedImages)
    return images, column


def test_pictures_pass_byte_for_byte(tmp_path):
    feature = "{from: /i, encoding: jpeg, shape: [6, 8, 3]}"
    images, column = _pictures(tmp_path, feature, "jpeg")
    assert column == images


def test_pictures_are_scaled_only_when_asked(tmp_path):
    feature = "{from: /i, encoding: png, shape: [3, 4, 3], resize: true}"
    _, column = _pictures(tmp_path, feature, "png")
    assert column.decode().shape == (3, 3, 4, 3)
    with pytest.raises(RefusedSegment, match=r"write that shape, or resize: true"):
        _pictures(tmp_path, feature.replace(", resize: true", ""), "png")


def test_jpeg_can_become_png_of_the_same_pixels(tmp_path):
    feature = "{from: /i, encoding: png, shape: [6, 8, 3]}"
    images, column = _pictures(tmp_path, feature, "jpeg")
    assert np.array_equal(images.decode(), column.decode())


def test_a_picture_that_says_it_is_endless_is_refused(tmp_path):
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head
    chunk += struct.pack(">I", zlib.crc32(b"IHDR" + head))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk
    text = LOG.replace(
        "features: {",
        "features: {observation/i: {from: /i, encoding: png, shape: [6, 8, 3]}, ",
    )
    with pytest.raises(RefusedSegment, match="is not a readable picture"):
        assembled_log(
            tmp_path,
            text,
            q=timed([1, 2], [0.0, 1]),
            a=timed([0], [1.0]),
            i=timed([1, 2], [bomb, bomb]),
        )


def test_a_field_of_pictures_asks_for_an_encoding(tmp_path):
    with pytest.raises(RefusedSegment, match="add encoding: jpeg"):
        _pictures(tmp_path, "{from: /i, shape: [6, 8, 3]}", "jpeg")
