"""Frames of a video file by their times, one decoded frame in memory at a time.

A frame is found by its presentation time, never by counting: encoders drop and repeat
frames, and several episodes may share a file (LeRobot v3.0).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.pipelines.ingest.optional import load_av
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.table_rules import damaged, telling_damage

REMEDY = "copy the video again, or leave it out; `ffprobe FILE` shows what is in it"
# Twice the side of an 8K camera; beyond it a header is broken or hostile.
_MOST_PIXELS = 64 << 20
# Times are stored in ticks of the container, so equal times differ by rounding.
_SLACK_SECONDS = 1e-4
# What a wanted frame may lie behind the first one decoded after a jump.
_MOST_SKIPPED = 20_000


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video's head says.

    Attributes:
      height: Pixels.
      width: Pixels.
      frames: Number of frames; 0 where the container does not say.
      rate_hz: Mean frame rate; 0 where the container does not say.
      codec: FFmpeg's name of the decoder.
    """

    height: int
    width: int
    frames: int
    rate_hz: float
    codec: str


def video_info(path: Path) -> VideoInfo:
    """Returns what a video's head says, without decoding.

    Raises:
      DamagedRecordingError: It is missing, empty, cut off, or holds no video.
    """
    with _opened(path) as (_, stream):
        context = stream.codec_context
        return VideoInfo(
            int(context.height),
            int(context.width),
            int(stream.frames),
            float(stream.average_rate or 0),
            str(context.name),
        )


def frames_at(
    path: Path, times_s: np.ndarray, tolerance_s: float, position: str = ""
) -> Iterator[np.ndarray]:
    """Yields the frame nearest to each time, as uint8 [H, W, 3] RGB.

    Args:
      path: The video file.
      times_s: Seconds on the video's own clock, not falling, [N].
      tolerance_s: Farthest that a frame may be from its time.
      position: Of the segment, for errors.

    Raises:
      DamagedRecordingError: The video is damaged, or has no frame near a time.
    """
    times = [float(time) for time in times_s]
    if any(late < early for early, late in zip(times, times[1:])):
        raise damaged(path, position, "times of frames run backwards", REMEDY)
    if not times:
        return
    with _opened(path, position) as (container, stream):
        decoded = _decoded(container, stream, times[0], path, position)
        frame: Optional[tuple[float, Any]] = None
        ahead = next(decoded, None)
        for row, time in enumerate(times):
            while ahead is not None and (frame is None or ahead[0] <= time):
                frame, ahead = ahead, next(decoded, None)
            best = _nearer(frame, ahead, time)
            if best is None or abs(best[0] - time) > tolerance_s + _SLACK_SECONDS:
                raise _no_frame(path, position, row, time, tolerance_s, best, stream)
            yield _pixels(best[1], path, position)


def frames_numbered(
    path: Path, numbers: np.ndarray, position: str = ""
) -> Iterator[np.ndarray]:
    """Yields frames by their place in the video, as uint8 [H, W, 3] RGB.

    Args:
      path: The video file.
      numbers: Which, from 0, not falling, [N].
      position: Of the segment, for errors.

    Raises:
      DamagedRecordingError: The video is damaged, or has no such frame.
    """
    wanted = [int(number) for number in numbers]
    if any(late < early for early, late in zip([0, *wanted], wanted)):
        raise damaged(path, position, "numbers of frames run backwards", REMEDY)
    with _opened(path, position) as (container, stream):
        counted = enumerate(_decoded(container, stream, 0.0, path, position))
        count, frame = -1, None
        for row, number in enumerate(wanted):
            while count < number:
                count, (_, frame) = next(counted, (-1, (0.0, None)))
                if frame is None:
                    rule = f"row {row} wants frame {number}, which it does not have"
                    raise damaged(path, position, rule, REMEDY)
            yield _pixels(frame, path, position)


def _nearer(one: Any, other: Any, time: float) -> Any:
    there = [frame for frame in (one, other) if frame is not None]
    return min(there, key=lambda frame: abs(frame[0] - time)) if there else None


def _no_frame(
    path: Path,
    position: str,
    row: int,
    time: float,
    tolerance_s: float,
    best: Any,
    stream: Any,
) -> DamagedRecordingError:
    found = (
        f"the nearest is at {best[0]:.4f} s" if best else "it has none from there on"
    )
    return damaged(
        path,
        position,
        f"row {row} wants a frame at {time:.4f} s within {tolerance_s:.4f} s, but "
        f"{found} (the head says {stream.frames} frames)",
        REMEDY,
    )


@contextlib.contextmanager
def _opened(path: Path, position: str = "") -> Iterator[tuple[Any, Any]]:
    av = load_av()
    if not path.is_file():
        raise damaged(path, position, "the video is missing", REMEDY)
    if not path.stat().st_size:
        raise damaged(path, position, "the video has 0 bytes", REMEDY)
    with telling_damage(path, position, REMEDY):
        # Playlists and concatenation scripts would open other files.
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    try:
        if not container.streams.video:
            raise damaged(path, position, "it holds no video stream", REMEDY)
        stream = container.streams.video[0]
        context = stream.codec_context
        if not 0 < context.width * context.height <= _MOST_PIXELS:
            size = f"frames of {context.width} × {context.height} pixels"
            raise damaged(path, position, size, REMEDY)
        stream.thread_type = "AUTO"
        yield container, stream
    finally:
        container.close()


def _decoded(
    container: Any, stream: Any, start_s: float, path: Path, position: str
) -> Iterator[tuple[float, Any]]:
    """Yields (seconds, frame) from the last key frame before a time on."""
    with telling_damage(path, position, REMEDY):
        if start_s > 0:
            ticks = int((start_s - _SLACK_SECONDS) / stream.time_base)
            container.seek(max(ticks, 0), stream=stream, backward=True)
        for number, frame in enumerate(container.decode(stream)):
            if frame.pts is None:
                raise ValueError(f"frame {number} has no time")
            seconds = float(frame.pts * stream.time_base)
            if number > _MOST_SKIPPED and seconds < start_s:
                raise ValueError(f"no key frame near {start_s:.4f} s")
            yield seconds, frame


def _pixels(frame: Any, path: Path, position: str) -> np.ndarray:
    with telling_damage(path, position, REMEDY):
        if not 0 < frame.width * frame.height <= _MOST_PIXELS:
            raise ValueError(f"a frame of {frame.width} × {frame.height} pixels")
        return np.asarray(frame.to_ndarray(format="rgb24"))
