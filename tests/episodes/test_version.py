"""Only sealed versions open."""

from __future__ import annotations

import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.index import index_table, write_index
from thresher.episodes.version import open_version
from thresher.tests.episodes.tiny import TINY_SPEC


def _seal(folder):
    folder.mkdir(parents=True)
    (folder / "checksums.json").write_text("{}")
    (folder / "lineage.json").write_text('{"parents": []}')
    (folder / "spec.json").write_text(TINY_SPEC.to_json())
    write_index(index_table([]), folder / "episodes.parquet")
    return folder


def test_a_sealed_version_knows_its_name_spec_and_digest(tmp_path):
    version = open_version(_seal(tmp_path / "picks" / "1.2.0"))
    assert (version.name, version.version) == ("picks", "1.2.0")
    assert version.spec == TINY_SPEC
    assert len(version.digest) == 64


def test_a_version_without_its_seal_is_refused_with_what_is_missing(tmp_path):
    folder = _seal(tmp_path / "picks" / "1.0.0")
    (folder / "checksums.json").unlink()
    with pytest.raises(UserError, match=r"not a sealed version: checksums\.json"):
        open_version(folder)


def test_a_version_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="no dataset version at"):
        open_version(tmp_path / "picks" / "9.9.9")


def test_damaged_side_files_are_named(tmp_path):
    folder = _seal(tmp_path / "picks" / "1.0.0")
    (folder / "spec.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        open_version(folder)
