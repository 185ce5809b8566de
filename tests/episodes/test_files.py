"""Files are whole or absent, and disks are asked before work begins."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from thresher.episodes import files
from thresher.episodes.errors import UserError
from thresher.episodes.files import (
    atomic_write,
    exchange,
    require_free_space,
    require_writable,
    sha256_file,
)


def test_a_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path):
    atomic_write(tmp_path / "deep" / "a.json", "old")
    atomic_write(tmp_path / "deep" / "a.json", b"new")
    assert (tmp_path / "deep" / "a.json").read_bytes() == b"new"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]


class _NoSuchCall:
    def __init__(self, *_, **__):
        pass


@pytest.mark.parametrize("can", [True, False])
def test_two_folders_change_their_places(tmp_path, monkeypatch, can):
    if not can:
        monkeypatch.setattr(files.ctypes, "CDLL", _NoSuchCall)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    exchange(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "new"
    assert (tmp_path / "new" / "file").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "old"]


def test_a_folder_that_is_not_there_changes_places_with_nothing(tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(FileNotFoundError, match="old"):
        exchange(tmp_path / "new", tmp_path / "old")


def test_digest_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 10**6)
    expected = hashlib.sha256(b"abc" * 10**6).hexdigest()
    assert sha256_file(tmp_path / "a") == expected


def test_too_little_space_is_refused_with_both_numbers(tmp_path):
    require_free_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(UserError, match="1,000,000,000,000,000,000 bytes are needed"):
        require_free_space(tmp_path, 10**18)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write in"):
        require_writable(tmp_path / "file" / "folder")


@pytest.mark.parametrize("address", ["s3://bucket/x", "gs://b/x", "file:///tmp/x"])
def test_an_address_is_no_folder(tmp_path, address):
    with pytest.raises(UserError, match=r"is an address.*thresher copy"):
        require_writable(tmp_path / Path(address).as_posix().lstrip("/"))
    assert not list(tmp_path.iterdir())
    require_writable(tmp_path / "a:b" / "12:30")
