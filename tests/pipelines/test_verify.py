"""Any flipped bit is found, and the episode it hit is named."""

from __future__ import annotations

import json
import shutil

import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.version import CHECKSUMS, EPISODES, open_version
from thresher.pipelines.build import build_version
from thresher.pipelines.verify import verify
from thresher.tests.pipelines.test_build import _build, write_logs


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    root = tmp_path_factory.mktemp("verify")
    return build_version(_build(root, write_logs(root / "logs")))


@pytest.fixture
def copy(version, tmp_path):
    return shutil.copytree(version.path, tmp_path / "copy")


def _flip(path, position, bit=1):
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= bit
    path.write_bytes(data)


def test_a_version_as_it_was_sealed_is_whole(version):
    assert verify(version.path) == []


def test_a_flipped_bit_in_any_file_is_found(version, copy):
    for name in sorted(path.name for path in version.path.iterdir()):
        if name == "run.json":
            continue
        for part in range(5):
            position = part * (copy / name).stat().st_size // 5
            _flip(copy / name, position, 1 << part)
            told = {damage.file for damage in verify(copy)}
            # A checksum file with another name in it tells of that name.
            assert name in told or (name == CHECKSUMS and told), (name, position)
            _flip(copy / name, position, 1 << part)
    assert verify(copy) == []


@pytest.mark.parametrize("where", ["head", "data", "tail"])
def test_the_episodes_that_were_hit_are_named(version, copy, where):
    rows = [row for row in version.index.to_pylist() if row["split"] == "train"]
    for row in rows[:1] + rows[-1:]:
        before = {"head": 3, "data": 12 + row["record_length"] // 2}
        after = 12 + row["record_length"] + 2
        _flip(copy / row["shard_file"], row["record_offset"] + before.get(where, after))
    damages = verify(copy)
    named = {episode for damage in damages for episode in damage.episodes}
    assert named == {rows[0]["episode_id"], rows[-1]["episode_id"]}
    assert rows[0]["episode_id"] in " ".join(map(str, damages))


def test_checksums_that_changed_are_told_from_a_shard_that_did(version, copy):
    shard = version.index["shard_file"][0].as_py()
    text = (copy / CHECKSUMS).read_text()
    digest = json.loads(text)["files"][shard]["sha256"]
    changed = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    (copy / CHECKSUMS).write_text(text.replace(digest, changed))
    (damage,) = verify(copy)
    assert damage.file == shard and not damage.episodes
    assert damage.problem.endswith(f"as sealed: perhaps what changed is {CHECKSUMS}")


def test_missing_cut_and_foreign_files_are_found(version, copy):
    shard = version.index["shard_file"][0].as_py()
    (copy / "README.md").unlink()
    (copy / "notes.txt").write_text("mine")
    with open(copy / shard, "r+b") as file:
        file.truncate(100)
    told = {damage.file: damage.problem for damage in verify(copy)}
    assert told["README.md"] == "is missing"
    assert told["notes.txt"] == "is no part of the version"
    assert told[shard].startswith("holds 100 bytes where ")
    assert set(told) == {"README.md", "notes.txt", shard}
    lost = next(damage.episodes for damage in verify(copy) if damage.file == shard)
    rows = [row for row in version.index.to_pylist() if row["shard_file"] == shard]
    assert lost == tuple(row["episode_id"] for row in rows)


def test_what_was_never_sealed_is_refused(copy):
    (copy / CHECKSUMS).unlink()
    with pytest.raises(UserError, match="no sealed version"):
        verify(copy)


def test_an_index_that_cannot_be_read_is_said_so(version, copy):
    size = (copy / EPISODES).stat().st_size
    for part in range(20):
        _flip(copy / EPISODES, part * size // 20, 255)
    with pytest.raises(UserError, match=r"side files of .* are damaged"):
        _ = open_version(copy).index
