"""A log of converted episodes ends with the digest of what they were converted from."""

from __future__ import annotations

import dataclasses

import mcap.reader
import pytest

from thresher.episodes.episode import Episode
from thresher.episodes.log_source import SOURCE_METADATA, source_digest
from thresher.episodes.metadata import Provenance
from thresher.episodes.raw_log import DamagedLogError, RawLogReader, RawLogWriter
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode

DIGEST = "5f" * 32
CONVERTED = Provenance(source_file="a.bag", converter="thresher.ingest ros1 bag")


def _write(path, digest=DIGEST, provenance=CONVERTED):
    with RawLogWriter(path, TINY_SPEC) as writer:
        for number in range(3):
            episode = tiny_episode(number)
            metadata = dataclasses.replace(episode.metadata, provenance=provenance)
            writer.write(Episode(episode.steps, metadata))
        if digest:
            writer.tell_source(digest)


def _digests(path):
    episodes = [episode for _, episode in RawLogReader(path).episodes()]
    return [episode.metadata.provenance.source_digest for episode in episodes]


def test_converted_episodes_get_the_digest_that_stands_at_the_end(tmp_path):
    _write(tmp_path / "a.mcap")
    assert source_digest(tmp_path / "a.mcap") == DIGEST
    assert _digests(tmp_path / "a.mcap") == [DIGEST] * 3


def test_one_episode_read_by_its_pointer_gets_it_too(tmp_path):
    _write(tmp_path / "a.mcap")
    pointer = list(RawLogReader(tmp_path / "a.mcap").pointers())[1]
    episode = RawLogReader(tmp_path / "a.mcap").read(pointer)
    assert episode.metadata.provenance.source_digest == DIGEST


def test_other_tools_find_it(tmp_path):
    _write(tmp_path / "a.mcap")
    with open(tmp_path / "a.mcap", "rb") as file:
        records = {
            m.name: m.metadata for m in mcap.reader.make_reader(file).iter_metadata()
        }
    assert records[SOURCE_METADATA]["sha256"] == DIGEST


@pytest.mark.parametrize(
    ("digest", "provenance", "wanted"),
    [
        ("", CONVERTED, ""),
        (DIGEST, Provenance(), ""),
        (DIGEST, dataclasses.replace(CONVERTED, source_digest="ab" * 32), "ab" * 32),
    ],
)
def test_nobody_else_gets_one(tmp_path, digest, provenance, wanted):
    _write(tmp_path / "a.mcap", digest, provenance)
    assert _digests(tmp_path / "a.mcap") == [wanted] * 3


def test_a_log_without_its_end_says_nothing_of_it_and_is_read(tmp_path):
    path = tmp_path / "a.mcap"
    _write(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert _digests(path) == [""] * 3


def test_a_digest_with_a_flipped_bit_is_not_believed(tmp_path):
    path = tmp_path / "a.mcap"
    _write(path)
    data = path.read_bytes()
    assert data.count(DIGEST.encode()) == 1
    path.write_bytes(data.replace(DIGEST.encode(), DIGEST.encode()[:-1] + b"e"))
    with pytest.raises(
        DamagedLogError, match="digest of its source fails its checksum"
    ):
        _digests(path)


@pytest.mark.parametrize("start", [1, 2**40])
def test_an_index_that_leads_nowhere_is_told(tmp_path, start):
    path = tmp_path / "a.mcap"
    _write(path)
    data = bytearray(path.read_bytes())
    # The footer's second number: where the groups of the index begin.
    data[-20:-12] = start.to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(DamagedLogError, match="its index"):
        _digests(path)
