"""Versions travel whole: checked on the way, sealed last, never over another."""

from __future__ import annotations

import os
import shutil

import fsspec
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.version import CHECKSUMS
from thresher.pipelines.build import build_version
from thresher.pipelines.transfer import copy_version
from thresher.pipelines.verify import verify
from thresher.tests.pipelines import hostile_folders as hostile
from thresher.tests.pipelines.test_build import _build, write_logs


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    root = tmp_path_factory.mktemp("transfer")
    return build_version(_build(root, write_logs(root / "logs")))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A version whose shards have the same names, most side files too."""
    root = tmp_path_factory.mktemp("other")
    return build_version(_build(root, write_logs(root / "logs", files=2)))


@pytest.fixture
def bucket():
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_a_version_goes_to_a_bucket_and_comes_back(version, bucket, tmp_path):
    sent = copy_version(str(version.path), "memory://bucket/tiny/1.0.0")
    assert sent == len(list(version.path.iterdir())) - 2  # run.json, checksums.json
    copy_version("memory://bucket/tiny/1.0.0", str(tmp_path / "back"))
    assert verify(tmp_path / "back") == []
    assert (tmp_path / "back" / CHECKSUMS).read_bytes() == (
        (version.path / CHECKSUMS).read_bytes()
    )


def test_an_interrupted_copy_is_no_version_and_goes_on(version, bucket, monkeypatch):
    from thresher.pipelines import transfer

    real, count = transfer._copy, []

    def interrupted(*arguments):
        count.append(arguments)
        if len(count) == 4:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(transfer, "_copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        copy_version(str(version.path), "memory://bucket/a")
    assert not bucket.exists(f"/bucket/a/{CHECKSUMS}")
    rest = copy_version(str(version.path), "memory://bucket/a")
    assert rest == len(list(version.path.iterdir())) - 2 - 3
    assert copy_version(str(version.path), "memory://bucket/a") == 0


def test_a_damaged_file_is_named_and_the_copy_not_sealed(version, bucket, tmp_path):
    damaged = shutil.copytree(version.path, tmp_path / "damaged")
    shard = sorted(damaged.glob("*.tfrecord-*"))[0]
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UserError, match=f"{shard.name} .* not as it was sealed"):
        copy_version(str(damaged), "memory://bucket/b")
    assert not bucket.exists(f"/bucket/b/{CHECKSUMS}")
    assert not bucket.exists(f"/bucket/b/{shard.name}")
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard.name} of .* is missing"):
        copy_version(str(damaged), "memory://bucket/b")


def test_another_version_is_never_overwritten(version, bucket):
    with bucket.open("/bucket/c/checksums.json", "wb") as file:
        file.write(b"{}")
    with pytest.raises(UserError, match="another version is at"):
        copy_version(str(version.path), "memory://bucket/c")


def test_what_is_no_version_and_what_cannot_be_reached_is_said(tmp_path):
    with pytest.raises(UserError, match="is no sealed version"):
        copy_version(str(tmp_path), "memory://bucket/d")
    with pytest.raises(UserError, match="cannot be reached"):
        copy_version("nosuch://bucket", str(tmp_path))


def _interrupted(version, target, monkeypatch, after=4):
    """Leaves what a copy leaves that was stopped while it wrote a file."""
    from thresher.pipelines import transfer

    real, count = transfer._copy, []

    def interrupted(here, there, name, facts):
        count.append(name)
        if len(count) == after:
            there.write(f".{name}.part", iter([b"half a file"]))
            raise KeyboardInterrupt
        real(here, there, name, facts)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_copy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            copy_version(str(version.path), str(target))


def test_a_copy_goes_on_only_with_the_version_that_it_was_begun_with(
    version, other, tmp_path, monkeypatch
):
    target = tmp_path / "copy"
    _interrupted(version, target, monkeypatch)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    with pytest.raises(UserError, match="an interrupted copy of another version"):
        copy_version(str(other.path), str(target))
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    copy_version(str(version.path), str(target))
    assert verify(target) == []


def test_a_copied_file_that_changed_is_copied_again(version, tmp_path, monkeypatch):
    for sealed in (False, True):
        target = tmp_path / str(sealed)
        if sealed:
            copy_version(str(version.path), str(target))
        else:
            _interrupted(version, target, monkeypatch)
        file = sorted(p for p in target.iterdir() if not p.name.startswith("."))[-1]
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        count = copy_version(str(version.path), str(target))
        assert verify(target) == []
        assert not sealed or count == 1


def test_files_that_were_copied_by_other_means_are_taken_if_they_are_whole(
    version, tmp_path
):
    shard = sorted(version.path.glob("*.tfrecord-*"))[0]
    shutil.copy(shard, tmp_path)
    copied = copy_version(str(version.path), str(tmp_path))
    assert copied == len(list(version.path.iterdir())) - 3
    assert verify(tmp_path) == []


@pytest.mark.parametrize("name", ["README.md", "notes.txt", ".hidden"])
def test_files_of_the_user_are_never_overwritten(version, tmp_path, name):
    (tmp_path / name).write_text("my own notes")
    with pytest.raises(UserError, match=f"holds {name}, which is"):
        copy_version(str(version.path), str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "my own notes"


def test_a_sealed_copy_with_another_file_in_it_is_refused(version, tmp_path):
    copy_version(str(version.path), str(tmp_path))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which is no file of"):
        copy_version(str(version.path), str(tmp_path))


_CHECKSUMS = {
    "empty": b"",
    "cut": b"{",
    "a list": b"[]",
    "no files": b'{"files": 5}',
    "no text": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "not a number": b'{"files": {"a": {"bytes": NaN, "sha256": ""}}}',
}
_FACTS = {"bytes": 1, "sha256": "0" * 64}


@pytest.mark.parametrize("content", _CHECKSUMS.values(), ids=_CHECKSUMS)
def test_checksums_that_no_seal_writes_are_told(version, tmp_path, content):
    source = shutil.copytree(version.path, tmp_path / "hostile")
    (source / CHECKSUMS).write_bytes(content)
    with pytest.raises(UserError, match=f"{CHECKSUMS} of .* is not as a seal writes"):
        copy_version(str(source), str(tmp_path / "target"))
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "files",
    [
        {"../outside": _FACTS},
        {CHECKSUMS: _FACTS},
        {f".{CHECKSUMS}.part": _FACTS},
        {"a": {**_FACTS, "bytes": -1}},
        {"a": {**_FACTS, "bytes": float("nan")}},
    ],
)
def test_checksums_that_name_no_files_of_the_version_are_told(version, tmp_path, files):
    source = shutil.copytree(version.path, tmp_path / "hostile")
    hostile.write_checksums(source, files)
    with pytest.raises(UserError, match=f"{CHECKSUMS} of .* is not as a seal writes"):
        copy_version(str(source), str(tmp_path / "target"))
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["features.json", CHECKSUMS])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (hostile.fifo, "is no plain file"),
        (hostile.folder_there, "is no plain file"),
        (hostile.link_to("/etc/passwd"), "is a link to somewhere else"),
        (hostile.link_to("/dev/zero"), "is a link to somewhere else"),
    ],
)
def test_nothing_but_plain_files_is_read(version, tmp_path, name, make, told):
    source = shutil.copytree(version.path, tmp_path / "hostile")
    hostile.replaced(name, make)(source)
    with pytest.raises(UserError, match=f"{name} of .* {told}"):
        copy_version(str(source), str(tmp_path / "target"))
    assert list((tmp_path / "target").glob(".features.json*")) == []


def test_a_file_that_grew_is_told_before_it_is_copied(version, tmp_path):
    source = shutil.copytree(version.path, tmp_path / "hostile")
    os.truncate(source / "features.json", 1 << 40)
    with pytest.raises(UserError, match="has another size"):
        copy_version(str(source), str(tmp_path / "target"))


@pytest.mark.parametrize("name", [".features.json.part", "features.json", CHECKSUMS])
def test_nothing_is_written_through_a_link_at_the_target(version, tmp_path, name):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / name).symlink_to(outside)
    with pytest.raises(UserError, match=f"holds {name}, which is a link"):
        copy_version(str(version.path), str(tmp_path / "target"))
    assert outside.read_text() == "precious"


def test_targets_that_cannot_be_folders_are_told(version, tmp_path):
    (tmp_path / "file").write_text("")
    for target, told in {
        "/proc/x": "/proc/x cannot be made",
        str(tmp_path / "file"): "is no folder",
        str(tmp_path / "file" / "below"): "cannot be used",
        "": "an empty name is no folder",
    }.items():
        with pytest.raises(UserError, match=told):
            copy_version(str(version.path), target)


def test_a_version_is_not_copied_into_itself(version):
    before = sorted(version.path.iterdir())
    for target in (version.path, version.path / "sub", version.path.parent):
        with pytest.raises(UserError, match="lie in one another"):
            copy_version(str(version.path), str(target))
    assert sorted(version.path.iterdir()) == before
