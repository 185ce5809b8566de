"""Versions travel whole: checked on the way, sealed last, never over another."""

from __future__ import annotations

import shutil

import fsspec
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.version import CHECKSUMS
from thresher.pipelines.build import build_version
from thresher.pipelines.transfer import copy_version
from thresher.pipelines.verify import verify
from thresher.tests.pipelines.test_build import _build, write_logs


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    root = tmp_path_factory.mktemp("transfer")
    return build_version(_build(root, write_logs(root / "logs")))


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
    with pytest.raises(UserError, match=f"{shard.name} is missing"):
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
