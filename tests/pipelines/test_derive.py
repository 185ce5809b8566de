"""Derived versions copy records by offset: filtered, rebalanced, mixed, re-aligned."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter

import numpy as np
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.raw_log import RawLogWriter
from thresher.episodes.tfds_record import decode_record
from thresher.episodes.version import open_version
from thresher.pipelines import write
from thresher.pipelines.ancestry import ancestry
from thresher.pipelines.build import build_version
from thresher.pipelines.derive import Derivation, derive_version
from thresher.pipelines.diff import diff
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.runners import local_options
from thresher.pipelines.shard_files import RecordReader, shard_records
from thresher.pipelines.split import SplitConfig
from thresher.pipelines.verify import verify
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode
from thresher.tests.pipelines.test_build import _build, write_logs


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def parent(data):
    logs = write_logs(data / "logs")
    return build_version(_build(data, logs, rebalance=None))


@pytest.fixture(scope="module")
def other(data):
    folder = data / "more"
    folder.mkdir()
    with RawLogWriter(folder / "more.mcap", TINY_SPEC) as log:
        for number in range(100, 140):
            episode = tiny_episode(
                number, success=number % 2 == 0, scene=f"other scene {number}"
            )
            log.write(episode)
    build = _build(data, folder, rebalance=None, name="second")
    target = data / "second" / "1.0.0"
    return build_version(dataclasses.replace(build, target=target))


def derive(*parents, **asked):
    paths = [parent.path for parent in parents]
    return derive_version(Derivation(parents=paths, **asked), local_options(1))


def _records(version):
    return {
        row["episode_id"]: _record(version, row) for row in version.index.to_pylist()
    }


def _record(version, row):
    reader = RecordReader(version.path / row["shard_file"])
    return reader.record(row["record_offset"], row["record_length"])


def test_a_filtered_version_holds_the_parents_bytes_and_decodes_nothing(
    parent, tmp_path, monkeypatch
):
    def refuse(*_):
        raise AssertionError("an episode was decoded")

    monkeypatch.setattr(write, "decode_record", refuse)
    monkeypatch.setattr("thresher.pipelines.prove.content_id", refuse)
    found = derive(parent, where="success and length > 2", data_dir=tmp_path)
    assert set(found.index["success"].to_pylist()) == {"yes"}
    ours, theirs = _records(found), _records(parent)
    assert ours
    assert all(ours[name] == theirs[name] for name in ours)
    assert found.lineage["excluded"]["where"] == {"filtered": 45}
    assert verify(found.path) == []


def test_more_shards_of_parents_than_may_be_open_are_copied(
    parent, other, tmp_path, monkeypatch
):
    monkeypatch.setattr(write, "_OPEN_FILES", 1)
    write._open_shard.cache_clear()
    found = derive(parent, other, where="num_steps > 0", name="both", data_dir=tmp_path)
    ours = _records(found)
    theirs = {**_records(parent), **_records(other)}
    assert len({row["shard_file"] for row in parent.index.to_pylist()}) > 1
    assert ours == {name: theirs[name] for name in ours}
    assert len(ours) > parent.index.num_rows


def test_splits_stay_what_they_were(parent, tmp_path):
    found = derive(parent, where="num_steps > 1", data_dir=tmp_path)
    splits = dict(
        zip(parent.index["episode_id"].to_pylist(), parent.index["split"].to_pylist())
    )
    for row in found.index.to_pylist():
        assert splits[row["episode_id"]] == row["split"]


def test_a_rebalanced_version_is_that_which_a_build_would_have_made(
    parent, data, tmp_path
):
    found = derive(parent, rebalance=RebalanceConfig(), data_dir=tmp_path)
    built = build_version(_build(tmp_path / "built", data / "logs"))
    assert (
        found.index["episode_id"].to_pylist() == built.index["episode_id"].to_pylist()
    )
    assert _records(found) == _records(built)
    # Shards divide otherwise, so sums are rounded in another order.
    for name, facts in built.statistics["train"].items():
        ours = found.statistics["train"][name]
        assert ours["count"] == facts["count"]
        for key in ("mean", "std", "min", "max"):
            np.testing.assert_allclose(ours[key], facts[key], rtol=1e-12)


def test_repeated_episodes_are_there_as_often_as_the_index_says(parent, tmp_path):
    config = RebalanceConfig(method="duplicate")
    found = derive(parent, rebalance=config, data_dir=tmp_path)
    train = [row for row in found.index.to_pylist() if row["split"] == "train"]
    successes = sum(row["success"] == "yes" for row in train)
    assert successes * 2 == len(train)
    written = [
        decode_record(record, TINY_SPEC).episode_id
        for shard in sorted(found.path.glob("*-train.tfrecord-*"))
        for _, record in shard_records(shard)
    ]
    assert written == [row["episode_id"] for row in train]
    assert max(row["copy"] for row in train) == 2
    (stratum,) = found.lineage["rebalanced"]
    assert (stratum["before"], stratum["after"]) == ([15, 45], [45, 45])


def test_weights_drop_nothing_and_are_passed_on(parent, tmp_path):
    config = RebalanceConfig(method="weights", target=0.5)
    found = derive(parent, rebalance=config, data_dir=tmp_path)
    assert found.index.num_rows == parent.index.num_rows
    rows = found.index.to_pylist()
    mass = {"yes": 0.0, "no": 0.0}
    for row in rows:
        mass[row["success"]] += row["sampling_weight"]
    assert mass["yes"] == pytest.approx(mass["no"])
    told = diff(parent, found)
    assert set(told.reweighted) == set(found.index["episode_id"].to_pylist())
    assert "60 episodes with another sampling weight" in next(told.sentences())
    again = derive(found, where="num_steps > 1", data_dir=tmp_path)
    assert dict(
        zip(
            again.index["episode_id"].to_pylist(),
            again.index["sampling_weight"].to_pylist(),
        )
    ) == {row["episode_id"]: row["sampling_weight"] for row in rows}


@pytest.mark.parametrize("mix", ["downsample", "duplicate", "weights"])
def test_parents_get_the_shares_that_were_asked_for(parent, other, tmp_path, mix):
    found = derive(parent, other, weights=[1, 3], mix=mix, data_dir=tmp_path)
    shares = {s["source"].split("/")[-2]: s for s in found.lineage["mixed"]}
    assert shares["second"]["asked"] == 0.75
    assert shares["second"]["achieved"] == pytest.approx(0.75, abs=0.02)
    assert [p["name"] for p in found.lineage["parents"]] == ["tiny", "second"]
    # Each parent keeps its own ratio of success.
    train = [r for r in found.index.to_pylist() if r["split"] == "train"]
    for source, ratio in ((0, 0.25), (1, 0.5)):
        mine = [row for row in train if row["source"] == source]
        mass = sum(row["sampling_weight"] for row in mine)
        won = sum(r["sampling_weight"] for r in mine if r["success"] == "yes")
        assert won / mass == pytest.approx(ratio, abs=0.1)


def test_mixed_and_rebalanced_each_parent_comes_to_the_target(parent, other, tmp_path):
    found = derive(
        parent,
        other,
        weights=[1, 1],
        rebalance=RebalanceConfig(target=0.4, method="weights"),
        data_dir=tmp_path,
    )
    train = [r for r in found.index.to_pylist() if r["split"] == "train"]
    masses = np.zeros((2, 2))
    for row in train:
        masses[row["source"], int(row["success"] == "yes")] += row["sampling_weight"]
    np.testing.assert_allclose(masses / masses.sum(), [[0.3, 0.2], [0.3, 0.2]], 1e-9)


def test_what_does_not_fit_is_refused_in_one_message(parent, other, tmp_path):
    with pytest.raises(UserError, match="1 weights for 2 versions"):
        derive(parent, other, weights=[1], data_dir=tmp_path)
    with pytest.raises(UserError, match=r'"sucess" not found'):
        derive(parent, where="sucess", data_dir=tmp_path)
    with pytest.raises(UserError, match="no episode is left"):
        derive(parent, where="num_steps > 1000", data_dir=tmp_path)
    with pytest.raises(UserError, match="no success among"):
        derive(
            parent,
            where="success = 'no'",
            rebalance=RebalanceConfig(),
            data_dir=tmp_path,
        )


def test_a_split_that_parents_lack_is_not_rebalanced_in_silence(tmp_path):
    split = SplitConfig(shares={"val": 0.5, "check": 0.5})
    build = _build(tmp_path, write_logs(tmp_path / "logs"), rebalance=None, split=split)
    only_val = derive(build_version(build), where="split = 'val'")
    message = r"split 'train' to .* 0\.5: no episode is in it, only in val \(\d+\)"
    with pytest.raises(UserError, match=message):
        derive(only_val, rebalance=RebalanceConfig())
    there = RebalanceConfig(split="val", strata=())
    val = derive(only_val, rebalance=there)
    success = val.index["success"].to_pylist()
    assert success.count("yes") == success.count("no") > 0


@pytest.mark.parametrize("place", ["shared_copy", "other/deep/1.0.0"])
def test_beside_a_version_that_lies_elsewhere_nothing_is_written(
    parent, tmp_path, place
):
    shutil.copytree(parent.path, tmp_path / "in" / place)
    elsewhere = open_version(tmp_path / "in" / place)
    with pytest.raises(UserError, match=r"not lie in a folder 'tiny'.*--data-dir"):
        derive(elsewhere, where="success")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    found = derive(elsewhere, where="success", data_dir=tmp_path / "out")
    assert found.path == tmp_path / "out" / "tiny" / "1.0.0"


def test_a_damaged_parent_is_named_and_nothing_appears(parent, tmp_path):
    copy = shutil.copytree(parent.path, tmp_path / "tiny" / "1.0.0")
    row = parent.index.to_pylist()[0]
    shard = copy / row["shard_file"]
    data = bytearray(shard.read_bytes())
    data[row["record_offset"] + 40] ^= 1
    shard.write_bytes(data)
    with pytest.raises(UserError, match=f"{row['episode_id']} cannot be copied"):
        derive_version(Derivation([copy], where="num_steps > 1"), local_options(1))
    assert not (tmp_path / "tiny" / "2.0.0").exists()


def test_numbers_go_up_and_ancestors_are_told(parent, data):
    second = derive(parent, where="success")
    assert second.path == data / "tiny" / "2.0.0"
    third = derive(second, where="length > 1")
    assert third.version == "3.0.0"
    lines = list(ancestry(third))
    assert [line.strip().split(" (")[0] for line in lines[:3]] == [
        "tiny 3.0.0",
        "tiny 2.0.0",
        "tiny 1.0.0",
    ]
    assert "60 episodes of 3 raw logs" in lines[3]


def test_an_ancestor_that_is_gone_or_another_is_said_so(parent, tmp_path):
    found = derive(parent, where="success", data_dir=tmp_path)
    assert any("not here" in line for line in ancestry(found)) is False
    lineage = json.loads((found.path / "lineage.json").read_text())
    lineage["parents"][0]["source"] = "tiny/9.0.0"
    changed = dataclasses.replace(found, lineage=lineage)
    assert "not here" in list(ancestry(changed))[1]
    lineage["parents"][0].update(source=str(parent.path), digest="0" * 64)
    assert "another version" in list(ancestry(changed))[1]


def test_array_records_and_tfrecords_become_each_other(parent, tmp_path):
    plan = PlanConfig(file_format="array_record")
    found = derive(parent, plan=plan, version="1.0.0", data_dir=tmp_path)
    assert _records(found) == _records(parent)
    assert verify(found.path) == []
    back = derive(found, version="2.0.0", data_dir=tmp_path)
    assert _records(back) == _records(parent)


def test_the_same_array_record_bytes_come_from_every_derivation(parent, tmp_path):
    plan = PlanConfig(file_format="array_record", num_shards=2)
    digests = {
        derive(parent, plan=plan, version="1.0.0", data_dir=tmp_path / str(n)).digest
        for n in range(2)
    }
    # The parent lies elsewhere each time, but is named by its absolute path.
    assert len(digests) == 1


def test_oxe_alignment_keeps_the_last_action_and_reward(parent, tmp_path):
    found = derive(parent, alignment="oxe", name="tiny_oxe", data_dir=tmp_path)
    assert found.spec.alignment == "oxe"
    assert found.index.num_rows == parent.index.num_rows
    by_source = {row["source_id"]: row for row in found.index.to_pylist()}
    theirs = _records(parent)
    for row in parent.index.to_pylist():
        mine = by_source[row["source_id"]]
        assert mine["split"] == row["split"]
        before = decode_record(theirs[row["episode_id"]], parent.spec)
        after = decode_record(_record(found, mine), found.spec)
        assert after.num_steps == before.num_transitions
        assert np.any(after.array("action")[-1])
        assert after.array("reward").sum() == before.array("reward").sum()
        assert after.array("is_last").tolist() == [False] * (after.num_steps - 1) + [
            True
        ]
        assert after.array("is_terminal")[-1] == before.array("is_terminal")[-1]
        assert set(after.array("language_instruction")) == {"pick something up"}
    assert verify(found.path) == []


def _flip(shard, row):
    data = bytearray(shard.read_bytes())
    data[row["record_offset"] + 40] ^= 1
    shard.write_bytes(data)


def _cut(shard, row):
    shard.write_bytes(shard.read_bytes()[: row["record_offset"] + 40])


def _remove(shard, row):
    shard.unlink()


@pytest.mark.parametrize("damage", [_flip, _cut, _remove])
def test_a_damaged_parent_is_not_converted_without_what_is_lost(
    parent, tmp_path, damage
):
    copy = shutil.copytree(parent.path, tmp_path / "tiny" / "1.0.0")
    rows = [r for r in parent.index.to_pylist() if r["split"] == "train"]
    row = next(r for r in rows if r["position"] == (0 if damage is _remove else 3))
    shard = copy / row["shard_file"]
    damage(shard, row)
    asked = Derivation([copy], alignment="oxe", name="tiny_oxe", version="1.0.0")
    told = f"episode {row['episode_id']} .*{shard.name} of .*`thresher verify"
    with pytest.raises(UserError, match=told):
        derive_version(asked, local_options(1))
    assert not (tmp_path / "tiny_oxe" / "1.0.0").exists()
    # Put right, with the old time: nothing is remembered of the damaged one.
    shutil.copy2(parent.path / shard.name, shard)
    found = derive_version(asked, local_options(1))
    assert found.index.num_rows == parent.index.num_rows


def test_a_shard_that_the_parent_does_not_name_is_not_converted(
    parent, other, tmp_path
):
    copy = shutil.copytree(parent.path, tmp_path / "tiny" / "1.0.0")
    foreign = sorted(other.path.glob("*-train.tfrecord-*"))[0]
    shutil.copy(foreign, copy / "tiny-train.tfrecord-00007-of-00009")
    asked = Derivation([copy], alignment="oxe", name="tiny_oxe", version="1.0.0")
    found = derive_version(asked, local_options(1))
    assert found.index.num_rows == parent.index.num_rows


def test_a_valid_record_in_the_place_of_another_is_not_converted(
    parent, other, tmp_path
):
    copy = shutil.copytree(parent.path, tmp_path / "tiny" / "1.0.0")
    shard = sorted(copy.glob("*-train.tfrecord-*"))[0]
    foreign = sorted(other.path.glob("*-train.tfrecord-*"))[0]
    shard.write_bytes(foreign.read_bytes())
    asked = Derivation([copy], alignment="oxe", name="tiny_oxe", version="1.0.0")
    with pytest.raises(UserError, match=f"{shard.name} of .* is not as it was sealed"):
        derive_version(asked, local_options(1))


@pytest.fixture(scope="module")
def repeated(parent, tmp_path_factory):
    config = RebalanceConfig(method="duplicate", target=0.6)
    data = tmp_path_factory.mktemp("repeated")
    return derive(parent, rebalance=config, version="1.0.0", data_dir=data)


def _counts(version):
    """Returns how often each episode is in a split, told by its source."""
    rows = version.index.to_pylist()
    return Counter((row["source_id"], row["split"], row["success"]) for row in rows)


_KEEP_REPETITIONS = (
    {"alignment": "oxe"},
    {"plan": PlanConfig(file_format="array_record")},
    {"where": "length > 0"},
)


@pytest.mark.parametrize("asked", _KEEP_REPETITIONS)
def test_repetitions_stay_where_nothing_else_is_asked(repeated, tmp_path, asked):
    found = derive(repeated, name="again", data_dir=tmp_path, **asked)
    assert max(_counts(repeated).values()) > 1
    assert _counts(found) == _counts(repeated)
    copies = Counter(row["copy"] for row in found.index.to_pylist())
    assert copies == Counter(row["copy"] for row in repeated.index.to_pylist())
    assert found.lineage["excluded"] == {}
    assert verify(found.path) == []


def test_repetitions_of_the_first_parent_that_has_an_episode_count(
    parent, repeated, tmp_path
):
    first = derive(repeated, parent, name="a", data_dir=tmp_path)
    assert _counts(first) == _counts(repeated)
    second = derive(parent, repeated, name="b", data_dir=tmp_path)
    assert _counts(second) == _counts(parent)


def test_repetitions_go_where_episodes_are_rebalanced_or_mixed_anew(
    parent, other, repeated, tmp_path
):
    config = RebalanceConfig()
    ours = derive(repeated, rebalance=config, name="a", data_dir=tmp_path)
    theirs = derive(parent, rebalance=config, name="b", data_dir=tmp_path)
    assert _counts(ours) == _counts(theirs)
    ours = derive(repeated, other, weights=[1, 1], name="c", data_dir=tmp_path)
    theirs = derive(parent, other, weights=[1, 1], name="d", data_dir=tmp_path)
    assert _counts(ours) == _counts(theirs)


def test_weights_stay_in_another_alignment(parent, tmp_path):
    config = RebalanceConfig(method="weights", target=0.6)
    weighted = derive(parent, rebalance=config, name="weighted", data_dir=tmp_path)
    found = derive(weighted, alignment="oxe", name="oxe", data_dir=tmp_path)
    ours, theirs = (
        {row["source_id"]: row["sampling_weight"] for row in version.index.to_pylist()}
        for version in (found, weighted)
    )
    assert len(set(ours.values())) > 1
    assert ours == theirs


@pytest.mark.parametrize("linked", [False, True])
def test_a_version_is_not_replaced_by_one_that_is_made_from_it(
    parent, tmp_path, linked
):
    folder = tmp_path / "tiny" / "1.0.0"
    given = shutil.copytree(parent.path, folder)
    if linked:
        given = tmp_path / "elsewhere"
        given.symlink_to(folder)
    asked = Derivation(
        [given], data_dir=tmp_path, name="tiny", version="1.0.0", where="success"
    )
    for overwrite in (False, True):
        again = dataclasses.replace(asked, overwrite=overwrite)
        with pytest.raises(UserError, match="which it is made from"):
            derive_version(again, local_options(1))
    assert open_version(folder).digest == parent.digest
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
