"""A recording is hashed while it is read: the same digest, and never far ahead."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from thresher.pipelines.ingest import digest_beside
from thresher.pipelines.ingest.digest_beside import DigestBeside
from thresher.pipelines.ingest.sources import digest_of

MIB = 1 << 20


def _threads_of(recording):
    return [t for t in threading.enumerate() if t is recording._thread]


def _wait_until(holds):
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.bag"
    path.write_bytes(bytes(range(256)) * 4096 * 8)
    return path


def test_a_file_has_its_sha256(file):
    with DigestBeside(file, lambda: 0) as digest:
        assert digest.result() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_folder_has_the_digest_of_its_names_and_files(tmp_path, file):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "empty").touch()
    with DigestBeside(tmp_path, lambda: 0) as digest:
        assert digest.result() == digest_of(tmp_path)


def test_it_stays_a_little_ahead_of_the_reader(file, monkeypatch):
    monkeypatch.setattr(digest_beside, "LEAD_BYTES", 2 * MIB)
    read = 0
    with DigestBeside(file, lambda: read) as digest:
        _wait_until(lambda: digest._hashed == 3 * MIB)
        time.sleep(0.1)
        assert digest._hashed == 3 * MIB
        read = 2 * MIB
        _wait_until(lambda: digest._hashed == 5 * MIB)
        assert digest.result() == digest_of(file)


def test_who_gives_up_does_not_wait_for_it(file, monkeypatch):
    monkeypatch.setattr(digest_beside, "LEAD_BYTES", 0)
    with pytest.raises(KeyboardInterrupt):
        with DigestBeside(file, lambda: 0) as digest:
            raise KeyboardInterrupt
    assert digest._hashed < file.stat().st_size
    assert not _threads_of(digest)


def test_a_file_that_went_away_is_told_at_the_end(tmp_path):
    with DigestBeside(tmp_path / "gone", lambda: 0) as digest:
        pass
    assert digest_of(tmp_path) == digest._digest or digest._error is None
    (tmp_path / "x").mkdir()
    with DigestBeside(tmp_path / "x", lambda: 0) as digest:
        assert digest.result() == digest_of(tmp_path / "x")
