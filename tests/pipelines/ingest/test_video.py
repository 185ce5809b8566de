"""Frames of videos are found by their times, and bad videos are named."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.pipelines.ingest.video import frames_at, frames_numbered, video_info
from thresher.tests.pipelines.ingest.tables import DATA, sample

av = pytest.importorskip("av")

RATE = 10
TINY_AV1 = "lerobot_v3_video/videos/observation.images.top/chunk-000/file-000.mp4"


def grey(step: int) -> int:
    return 20 + 8 * step


def write_video(path, steps, codec="libx264", side=64, times=None):
    """Writes grey frames whose level tells their number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for number, step in enumerate(steps):
            pixels = np.full((side, side, 3), grey(step), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "h264.mp4", range(20))


def _levels(frames):
    return [int(frame.mean()) for frame in frames]


def test_the_head_tells_size_count_and_codec(video):
    info = video_info(video)
    assert (info.height, info.width, info.frames, info.rate_hz) == (64, 64, 20, RATE)
    assert info.codec == "h264"


@pytest.mark.parametrize("wanted", [range(20), [3, 4, 9], [19], [5, 5, 6]])
def test_each_time_gets_the_frame_that_is_shown_then(video, wanted):
    times = np.array(wanted) / RATE
    levels = _levels(frames_at(video, times, 0.5 / RATE))
    np.testing.assert_allclose(levels, [grey(step) for step in wanted], atol=2)


@pytest.mark.parametrize("wanted", [range(20), [3, 4, 9], [19], [5, 5, 6]])
def test_frames_can_be_asked_for_by_number(video, wanted):
    levels = _levels(frames_numbered(video, np.array(wanted)))
    np.testing.assert_allclose(levels, [grey(step) for step in wanted], atol=2)


def test_times_are_near_not_equal(video):
    times = np.array([0.04, 0.31, 0.99])
    levels = _levels(frames_at(video, times, 0.5 / RATE))
    np.testing.assert_allclose(levels, [grey(0), grey(3), grey(10)], atol=2)


def test_av1_of_lerobots_own_is_read():
    path = DATA / TINY_AV1
    assert video_info(path).codec == "libdav1d"
    levels = _levels(frames_at(path, np.array([0.6, 0.7]), 0.05))
    np.testing.assert_allclose(levels, [90, 100], atol=2)


def test_a_real_av1_video_is_read_frame_by_frame():
    path = sample("lerobot_v21_unitree_g1") / (
        "videos/chunk-000/observation.images.cam_high/episode_000082.mp4"
    )
    wanted = np.array([0, 100, 259])
    with av.open(str(path)) as container:
        every = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    for frame, step in zip(frames_at(path, wanted / 30, 0.5 / 30), wanted):
        np.testing.assert_array_equal(frame, every[step])


def test_a_frame_that_was_dropped_is_missed(tmp_path):
    path = write_video(
        tmp_path / "gap.mp4", range(10), times=[0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    )
    with pytest.raises(DamagedRecordingError, match=r"row 5 wants a frame at 0\.5"):
        list(frames_at(path, np.arange(10) / RATE, 0.4 / RATE, "episode 3"))


def test_frames_behind_the_end_are_missed_and_counted(video):
    with pytest.raises(
        DamagedRecordingError,
        match=r"h264\.mp4, episode 3: row 1 wants.*2\.5000.*1\.9000 s.*20 frames",
    ):
        list(frames_at(video, np.array([0.0, 2.5]), 0.05, "episode 3"))
    with pytest.raises(DamagedRecordingError, match="row 1 wants frame 20"):
        list(frames_numbered(video, np.array([0, 20])))


def test_times_that_run_backwards_are_refused(video):
    with pytest.raises(DamagedRecordingError, match="run backwards"):
        list(frames_at(video, np.array([0.5, 0.4]), 0.05))
    with pytest.raises(DamagedRecordingError, match="run backwards"):
        list(frames_numbered(video, np.array([3, 2])))


def test_frames_come_one_by_one(video):
    frames = frames_at(video, np.arange(20) / RATE, 0.05)
    assert next(frames).shape == (64, 64, 3)
    frames.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "is missing"), (b"", "has 0 bytes"), (b"no video", "Invalid data")],
)
def test_videos_that_are_none_are_named(tmp_path, content, reason):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DamagedRecordingError, match=rf"bad\.mp4.*{reason}.*ffprobe"):
        video_info(path)


def test_a_cut_video_is_damaged(video, tmp_path):
    path = tmp_path / "cut.mp4"
    data = video.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedRecordingError, match=r"cut\.mp4"):
        list(frames_at(path, np.arange(20) / RATE, 0.05))


def test_sound_without_pictures_is_no_video(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(DamagedRecordingError, match="holds no video stream"):
        video_info(path)


def test_a_playlist_opens_no_other_file(tmp_path, video):
    path = tmp_path / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {video}\n")
    with pytest.raises(DamagedRecordingError):
        list(frames_at(path, np.array([0.0]), 0.05))


def test_videos_that_are_left_in_the_middle_are_closed(video):
    """Found once in many runs: the thread that closed waited for those that decoded."""
    for _ in range(2000):
        frames = frames_numbered(video, np.array([1, 4]))
        assert next(frames).shape == (64, 64, 3)
        frames.close()
