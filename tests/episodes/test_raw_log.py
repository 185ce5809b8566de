"""Raw logs give back what was written, and lose nothing earlier to a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import mcap.reader
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thresher.episodes.episode import Episode
from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import DamagedLogError, RawLogReader, RawLogWriter
from thresher.episodes.spec import EpisodeSpec
from thresher.tests.episodes.test_spec import features
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode


def _write(path, count=4):
    episodes = [tiny_episode(n, success=n % 2 == 0) for n in range(count)]
    with RawLogWriter(path, TINY_SPEC) as writer:
        for episode in episodes:
            writer.write(episode)
    return episodes


def _require_name(error: UserError) -> None:
    assert "b.mcap" in str(error)


def test_episodes_and_metadata_come_back_as_they_were(tmp_path):
    written = _write(tmp_path / "a.mcap")
    reader = RawLogReader(tmp_path / "a.mcap")
    read = [episode for _, episode in reader.episodes()]
    assert reader.spec == TINY_SPEC
    assert not reader.truncated
    assert [e.episode_id for e in read] == [e.episode_id for e in written]
    assert [e.metadata for e in read] == [e.metadata for e in written]


@settings(max_examples=40, deadline=None)
@given(feature=features(), seed=st.integers(0, 1000), count=st.integers(2, 5))
def test_any_feature_survives_the_log(tmp_path_factory, feature, seed, count):
    path = tmp_path_factory.mktemp("log") / "a.mcap"
    spec = EpisodeSpec("any", (feature,), 0.5)
    rng = np.random.default_rng(seed)
    steps = {f.name: f.sample(rng, count) for f in spec.all_features}
    episode = Episode(steps, tiny_episode().metadata)
    with RawLogWriter(path, spec) as writer:
        writer.write(episode)
    ((_, read),) = RawLogReader(path).episodes()
    assert read.episode_id == episode.episode_id
    assert read.steps[feature.name].dtype == steps[feature.name].dtype


def test_one_episode_is_read_by_its_pointer_alone(tmp_path):
    written = _write(tmp_path / "a.mcap")
    pointers = list(RawLogReader(tmp_path / "a.mcap").pointers())
    again = RawLogReader(tmp_path / "a.mcap").read(pointers[2])
    assert again.episode_id == written[2].episode_id


def test_other_tools_read_the_file(tmp_path):
    _write(tmp_path / "a.mcap", count=2)
    with open(tmp_path / "a.mcap", "rb") as file:
        reader = mcap.reader.make_reader(file)
        summary = reader.get_summary()
        topics = {channel.topic for channel in summary.channels.values()}
        times = [message.log_time for *_, message in reader.iter_messages()]
    assert topics == {"/episode", "/step", "/observation/image"}
    assert summary.statistics.chunk_count == 2
    assert times == sorted(times)
    assert len(times) == 2 * (1 + 4 + 4)


def test_an_existing_log_is_never_overwritten(tmp_path):
    _write(tmp_path / "a.mcap")
    before = (tmp_path / "a.mcap").read_bytes()
    with pytest.raises(UserError, match="never overwritten"):
        RawLogWriter(tmp_path / "a.mcap", TINY_SPEC)
    assert (tmp_path / "a.mcap").read_bytes() == before


def test_a_killed_writer_loses_at_most_the_episode_under_way(tmp_path):
    script = f"""
        import os, signal
        from pathlib import Path
        from thresher.episodes.raw_log import RawLogWriter
        from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode
        writer = RawLogWriter(Path({str(tmp_path / "a.mcap")!r}), TINY_SPEC)
        for number in range(3):
            writer.write(tiny_episode(number))
        writer._add("/step", 0, b"half an episode")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    reader = RawLogReader(tmp_path / "a.mcap")
    ids = [episode.episode_id for _, episode in reader.episodes()]
    assert ids == [tiny_episode(n).episode_id for n in range(3)]
    assert reader.truncated


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1))
def test_a_log_cut_anywhere_gives_whole_episodes_or_one_clear_error(
    tmp_path_factory, share
):
    folder = tmp_path_factory.mktemp("cut")
    written = _write(folder / "a.mcap")
    data = (folder / "a.mcap").read_bytes()
    (folder / "b.mcap").write_bytes(data[: int(len(data) * share)])
    try:
        read = [e.episode_id for _, e in RawLogReader(folder / "b.mcap").episodes()]
    except DamagedLogError as error:
        _require_name(error)
        return
    assert read == [e.episode_id for e in written][: len(read)]


@settings(max_examples=100, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(where=0.923828125, bit=0)  # In the log's count of its episodes.
def test_a_flipped_bit_is_never_taken_for_data(tmp_path_factory, where, bit):
    folder = tmp_path_factory.mktemp("flip")
    written = {e.episode_id for e in _write(folder / "a.mcap", count=2)}
    data = bytearray((folder / "a.mcap").read_bytes())
    data[int(len(data) * where)] ^= 1 << bit
    (folder / "b.mcap").write_bytes(data)
    try:
        read = {e.episode_id for _, e in RawLogReader(folder / "b.mcap").episodes()}
    except UserError as error:
        _require_name(error)
        return
    assert read <= written


def test_a_finished_log_that_lost_an_episode_says_so(tmp_path):
    _write(tmp_path / "a.mcap")
    pointer = list(RawLogReader(tmp_path / "a.mcap").pointers())[1]
    data = bytearray((tmp_path / "a.mcap").read_bytes())
    data[pointer.offset] = 0x7F  # An opcode that no reader knows.
    (tmp_path / "b.mcap").write_bytes(data)
    with pytest.raises(DamagedLogError, match="holds 3 episodes and says it holds 4"):
        list(RawLogReader(tmp_path / "b.mcap").pointers())


@pytest.mark.parametrize("content", [b"", b"hello, not a log", bytes(range(100, 164))])
def test_what_is_no_log_is_refused_by_name(tmp_path, content):
    (tmp_path / "x.mcap").write_bytes(content)
    with pytest.raises(DamagedLogError, match="not an MCAP file"):
        RawLogReader(tmp_path / "x.mcap")
