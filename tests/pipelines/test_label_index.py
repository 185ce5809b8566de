"""Labels that come later reach index, records and rewards, and contradict nothing."""

from __future__ import annotations

import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import RawLogWriter
from thresher.episodes.tfds_record import decode_record
from thresher.pipelines.build import build_version
from thresher.pipelines.derive import Derivation, derive_version
from thresher.pipelines.recipe import SourceConfig
from thresher.pipelines.runners import local_options
from thresher.pipelines.shard_files import shard_records
from thresher.pipelines.verify import verify
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode
from thresher.tests.pipelines.test_build import _build


@pytest.fixture
def root(tmp_path):
    (tmp_path / "logs").mkdir()
    with RawLogWriter(tmp_path / "logs" / "a.mcap", TINY_SPEC) as log:
        for number in range(8):
            log.write(tiny_episode(number, success=number < 4, scene=f"s{number}"))
    return tmp_path


def _labels(root, *lines):
    header = "source_id,success,language,labeller"
    (root / "labels.csv").write_text("\n".join([header, *lines]) + "\n")


def _build_labelled(root, name="tiny", **recipe):
    import dataclasses

    build = _build(
        root,
        root,
        sources=(SourceConfig(logs="logs"),),
        labels=("labels.csv",),
        rebalance=None,
        name=name,
        **recipe,
    )
    return build_version(dataclasses.replace(build, target=root / name / "1.0.0"))


def _episodes(version):
    return {
        episode.metadata.source_id: episode
        for shard in version.path.glob("*.tfrecord-*")
        for _, record in shard_records(shard)
        for episode in [decode_record(record, version.spec)]
    }


def test_language_and_labels_are_in_index_and_record_and_steps_stay(root):
    _labels(root, "tiny/000001,yes,lift the cup,ann")
    version = _build_labelled(root)
    (row,) = [r for r in version.index.to_pylist() if r["source_id"] == "tiny/000001"]
    episode = _episodes(version)["tiny/000001"]
    assert row["language"] == episode.metadata.language == "lift the cup"
    assert row["label_source"] == episode.metadata.outcome.label_source == "human:ann"
    assert episode.metadata.other_labels == {"simulator": "yes"}
    assert episode.episode_id == row["episode_id"] == tiny_episode(1).episode_id
    assert version.lineage["labels"]["episodes"] == 1
    assert verify(version.path) == []


def test_a_label_against_the_reward_is_set_aside_unless_rewards_follow(root):
    _labels(root, "tiny/000001,no,,ann", "tiny/000006,yes,,ann")
    kept = _build_labelled(root)
    assert kept.lineage["excluded"]["contract"] == {"outcome": 2}
    followed = _build_labelled(root, name="second", label_rewards="from-success")
    episodes = _episodes(followed)
    assert len(episodes) == 8
    assert episodes["tiny/000001"].array("reward").tolist() == [0, 0, 0, 0]
    assert episodes["tiny/000006"].array("reward").tolist() == [0, 0, 1, 0]
    rows = {row["source_id"]: row for row in followed.index.to_pylist()}
    for name, episode in episodes.items():
        assert rows[name]["episode_id"] == episode.episode_id
        assert rows[name]["episode_return"] == episode.array("reward").sum()


def test_unknown_ids_and_contradictions_are_named(root):
    _labels(root, "tiny/999999,yes,,ann", "tiny/000002,no,,ann", "tiny/000002,yes,,bob")
    version = _build_labelled(root)
    told = version.lineage["labels"]
    assert "tiny/999999" in told["unknown"][0]
    assert "tiny/000002" in told["conflicts"][0]
    (row,) = [r for r in version.index.to_pylist() if r["source_id"] == "tiny/000002"]
    assert row["success"] == "unknown"


def test_other_labels_under_the_same_version_are_refused(root):
    _labels(root, "tiny/000001,yes,a,ann")
    version = _build_labelled(root)
    assert _build_labelled(root).digest == version.digest
    _labels(root, "tiny/000001,yes,b,ann")
    with pytest.raises(UserError, match=r"labels\.csv differs"):
        _build_labelled(root)


def test_a_relabelled_version_can_be_derived_from(root):
    _labels(root, "tiny/000006,yes,,ann")
    version = _build_labelled(root, label_rewards="from-success")
    asked = Derivation([version.path], where="success")
    found = derive_version(asked, local_options(1))
    assert found.index.num_rows == 5


def test_a_missing_annotation_file_is_named(root):
    with pytest.raises(UserError, match=r"no annotation file .*labels\.csv"):
        _build_labelled(root)
