"""What is left out is left out for a reason, and by rules that can be moved."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.images import EncodedImages, encode_images
from thresher.episodes.metadata import Success
from thresher.episodes.raw_log import RawLogWriter
from thresher.episodes.version import EXCLUDED
from thresher.pipelines.build import build_version
from thresher.pipelines.checks import Check
from thresher.pipelines.overview import overview
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.recipe import SourceConfig
from thresher.pipelines.split import SplitConfig
from thresher.pipelines.verify import verify
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode
from thresher.tests.pipelines.test_build import _build, write_logs


def _changed(episode, **steps):
    named = {name.replace("__", "/"): column for name, column in steps.items()}
    return dataclasses.replace(episode, steps={**episode.steps, **named})


def _relabelled(episode, **metadata):
    changed = dataclasses.replace(episode.metadata, **metadata)
    return dataclasses.replace(episode, metadata=changed)


def _frames(count, value):
    return encode_images(np.full((count, 8, 6, 3), value, np.uint8), "png")


def _build_of(root, episodes, **recipe):
    folder = root / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with RawLogWriter(folder / "log.mcap", TINY_SPEC) as log:
        for episode in episodes:
            log.write(episode)
    recipe = {"rebalance": None, **recipe}
    return build_version(_build(root, folder, **recipe))


def _good(count=6, first=0):
    return [
        tiny_episode(n, success=n % 2 == 0, scene=f"s{n}")
        for n in range(first, first + count)
    ]


def test_dark_frozen_and_overexposed_episodes_are_set_aside_with_what_was_seen(
    tmp_path,
):
    long = tiny_episode(50, transitions=6)
    bad = {
        "dark": _changed(tiny_episode(51), observation__image=_frames(4, 1)),
        "overexposed": _changed(tiny_episode(52), observation__image=_frames(4, 254)),
        "frozen": _changed(long, observation__image=_frames(7, 99)),
    }
    # All frames of the first two are the same, too, but there are only four.
    version = _build_of(tmp_path, [*_good(), *bad.values()])
    rows = {r["episode_id"]: r for r in version.excluded.to_pylist()}
    assert set(rows) == {episode.episode_id for episode in bad.values()}
    for check, episode in bad.items():
        row = rows[episode.episode_id]
        assert row["stage"] == "checks"
        assert row["reason"].startswith(f"{check}: ")
    assert "mean is 1.0 of 255, below 4" in rows[bad["dark"].episode_id]["reason"]
    assert "7 frames in a row" in rows[bad["frozen"].episode_id]["reason"]
    card = (version.path / "README.md").read_text()
    assert "| checks | frozen | 1 |" in card


def test_a_rule_releases_what_a_check_set_aside(tmp_path):
    dark = [
        _relabelled(
            _changed(tiny_episode(n), observation__image=_frames(4, 1)), robot=robot
        )
        for n, robot in ((60, "night rover"), (61, "gantry"))
    ]
    # As the guide writes it, though SQL would have the word in quotes.
    rule = "check = 'dark' and robot = 'night rover'"
    version = _build_of(tmp_path, [*_good(), *dark], release=(rule,))
    assert version.lineage["episodes"]["released"] == 1
    assert version.lineage["excluded"]["checks"] == {"dark": 1}
    (row,) = [r for r in version.index.to_pylist() if r["robot"] == "night rover"]
    assert row["flags"][0].startswith("dark: ")


def test_what_cannot_be_written_is_never_released(tmp_path):
    broken = _changed(
        tiny_episode(70), observation__image=EncodedImages((b"",) * 4, "png")
    )
    version = _build_of(tmp_path, [*_good(), broken], release=("true",))
    assert version.lineage["excluded"]["contract"] == {"missing_frames": 1}


def test_a_contract_violation_that_can_be_written_is_released_by_a_rule(tmp_path):
    outcome = dataclasses.replace(tiny_episode(71).metadata.outcome, success=Success.NO)
    contradicting = _relabelled(tiny_episode(71), outcome=outcome)
    episodes = [*_good(), contradicting]
    kept_out = _build_of(tmp_path / "a", episodes)
    assert kept_out.lineage["excluded"]["contract"] == {"outcome": 1}
    let_in = _build_of(tmp_path / "b", episodes, release=("\"check\" = 'outcome'",))
    assert let_in.index.num_rows == kept_out.index.num_rows + 1


def test_a_flag_keeps_the_episode_and_off_says_nothing(tmp_path):
    short = tiny_episode(80, transitions=1)
    flagged = _build_of(tmp_path / "a", [*_good(), short])
    (row,) = [r for r in flagged.index.to_pylist() if r["num_steps"] == 2]
    assert row["flags"] == ["too_short: 1 actions, fewer than 2"]
    assert flagged.lineage["flags"] == {"too_short": 1}
    off = {"too_short": Check("off", 2.0)}
    quiet = _build_of(tmp_path / "b", [*_good(), short], checks=off)
    assert quiet.lineage["flags"] == {}
    strict = {"too_short": Check("reject", 2.0)}
    gone = _build_of(tmp_path / "c", [*_good(), short], checks=strict)
    assert gone.lineage["excluded"]["checks"] == {"too_short": 1}


def test_labellers_that_disagree_and_returns_far_out_are_flagged(tmp_path):
    other = _relabelled(tiny_episode(90), other_labels={"camera": Success.NO})
    rng = np.random.default_rng(0)
    varied = []
    for number in range(20):
        episode = tiny_episode(200 + number, success=False, scene=f"v{number}")
        reward = episode.array("reward").copy()
        reward[1] = 500.0 if number == 7 else rng.normal(0.3, 0.05)
        outcome = dataclasses.replace(
            episode.metadata.outcome,
            success=Success.UNKNOWN,
            episode_return=float(reward.sum(dtype=np.float64)),
        )
        episode = _relabelled(_changed(episode, reward=reward), outcome=outcome)
        varied.append(_relabelled(episode, task="score"))
    version = _build_of(tmp_path, [*_good(), other, *varied])
    flags = version.lineage["flags"]
    assert flags["label_disagreement"] == 1
    assert flags["outlier_return"] == 1
    (row,) = [r for r in version.index.to_pylist() if r["episode_return"] > 400]
    assert "return 500 is" in row["flags"][0]


def test_near_duplicates_are_counted_and_dropped_if_asked(tmp_path):
    first = tiny_episode(300, transitions=4, scene="a")
    frames = first.steps["observation/image"].frames
    middle = tiny_episode(301, transitions=4).steps["observation/image"].frames[2]
    twin = _changed(
        first,
        observation__image=EncodedImages((*frames[:2], middle, *frames[3:]), "png"),
    )
    assert twin.episode_id != first.episode_id
    told = _build_of(tmp_path / "a", [*_good(), first, twin])
    assert told.lineage["episodes"]["near_duplicates"] == 1
    assert told.lineage["flags"] == {"near duplicate": 1}
    assert told.lineage["episodes"]["near_duplicates_across_splits"] == 0
    dropped = _build_of(tmp_path / "b", [*_good(), first, twin], near_duplicates="drop")
    assert dropped.index.num_rows == told.index.num_rows - 1
    assert dropped.lineage["excluded"]["near duplicate"] == {"near duplicate": 1}


def test_a_condition_is_told_in_the_quarantine(tmp_path):
    version = _build_of(tmp_path, _good(), where="success and robot == 'gantry'")
    assert set(version.index["success"].to_pylist()) == {"yes"}
    reasons = set(version.excluded["reason"].to_pylist())
    assert reasons == {"filtered: not success and robot == 'gantry'"}


def test_each_source_has_a_condition_of_its_own(tmp_path):
    for name, first in (("one", 0), ("two", 10)):
        (tmp_path / name).mkdir()
        with RawLogWriter(tmp_path / name / "x.mcap", TINY_SPEC) as log:
            for episode in _good(first=first):
                log.write(episode)
    sources = (
        SourceConfig(logs="one", where="success"),
        SourceConfig(logs="two", where="not success"),
    )
    build = _build(tmp_path, tmp_path, sources=sources, rebalance=None)
    rows = build_version(build).index.to_pylist()
    assert {(row["source"], row["success"]) for row in rows} == {(0, "yes"), (1, "no")}


def test_two_sources_take_different_episodes_of_the_same_logs(tmp_path):
    (tmp_path / "logs").mkdir()
    with RawLogWriter(tmp_path / "logs" / "x.mcap", TINY_SPEC) as log:
        for episode in _good(12):
            log.write(episode)
    (tmp_path / "link").symlink_to(tmp_path / "logs")
    sources = (
        SourceConfig(logs="logs", where="success", weight=1),
        SourceConfig(logs="link", where="not success", weight=3),
    )
    split = SplitConfig(shares={"train": 1.0})
    build = _build(
        tmp_path, tmp_path, sources=sources, rebalance=None, mix="weights", split=split
    )
    rows = build_version(build).index.to_pylist()
    assert Counter((row["source"], row["success"]) for row in rows) == {
        (0, "yes"): 6,
        (1, "no"): 6,
    }


def test_logs_of_one_name_size_and_time_are_two(tmp_path):
    for name, first in (("one", 0), ("two", 20)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "x.mcap"
        with RawLogWriter(path, TINY_SPEC) as log:
            for episode in _good(first=first):
                log.write(episode)
        with open(path, "ab") as file:
            file.write(b"\0" * (100_000 - path.stat().st_size))
        os.utime(path, (1, 1))
    sources = (SourceConfig(logs="one"), SourceConfig(logs="two"))
    build = _build(tmp_path, tmp_path, sources=sources, rebalance=None)
    assert build_version(build).index.num_rows == 12


def test_a_log_that_was_cut_off_is_in_the_quarantine(tmp_path):
    logs = write_logs(tmp_path / "logs", files=2)
    data = (logs / "1.mcap").read_bytes()
    (logs / "1.mcap").write_bytes(data[: len(data) // 2])
    version = build_version(_build(tmp_path, logs, rebalance=None))
    assert 20 < version.index.num_rows < 40
    (row,) = pq.read_table(version.path / EXCLUDED).to_pylist()
    assert row["file"] == "1.mcap" and row["offset"] == len(data) // 2
    assert "the log has no end" in row["reason"]
    assert version.lineage["excluded"]["contract"] == {"unreadable": 1}


def test_a_limit_keeps_the_first_of_the_plan(tmp_path):
    everything = _build_of(tmp_path / "a", _good(20))
    plan = PlanConfig(num_shards=2, max_examples_per_split=3)
    some = _build_of(tmp_path / "b", _good(20), plan=plan)
    for split in set(some.index["split"].to_pylist()):
        first = [
            r["episode_id"] for r in everything.index.to_pylist() if r["split"] == split
        ]
        kept = [r["episode_id"] for r in some.index.to_pylist() if r["split"] == split]
        assert kept == first[:3]


def _shown_share(version):
    line = next(line for line in overview(version) if line.startswith("train"))
    return line.split()[-1]


@pytest.mark.parametrize("method", ["downsample", "duplicate", "weights"])
@pytest.mark.parametrize("strata", [(), ("task", "robot")])
def test_what_is_told_of_a_limited_version_is_what_is_in_it(tmp_path, method, strata):
    version = _build_of(
        tmp_path,
        _good(40),
        rebalance=RebalanceConfig(target=0.8, method=method, strata=strata),
        plan=PlanConfig(max_examples_per_split=7),
    )
    rows = [r for r in version.index.to_pylist() if r["split"] == "train"]
    assert len(rows) == 7
    mass = {
        said: sum(r["sampling_weight"] for r in rows if r["success"] == said)
        for said in ("yes", "no")
    }
    counts = Counter(row["success"] for row in rows)
    (stratum,) = version.lineage["rebalanced"]
    assert stratum["after"] == [counts["yes"], counts["no"]]
    assert stratum["achieved"] == pytest.approx(mass["yes"] / sum(mass.values()))
    assert sum(stratum["before"]) > 20
    assert f"{stratum['achieved']:.1%}" == _shown_share(version)
    *_, told = [
        stage
        for stage in version.lineage["success_ratio"]
        if stage["name"].startswith("train")
    ]
    assert told["name"] == "train, limited"
    assert [told["successes"], told["failures"]] == stratum["after"]
    assert "at most 7 examples" in " ".join(overview(version))
    assert "at most 7 examples" in (version.path / "README.md").read_text()
    assert verify(version.path) == []


def test_a_limit_tells_what_is_left_of_a_mix(tmp_path):
    for name, first in (("one", 0), ("two", 100)):
        (tmp_path / name).mkdir()
        with RawLogWriter(tmp_path / name / "x.mcap", TINY_SPEC) as log:
            for episode in _good(20, first=first):
                log.write(episode)
    sources = (SourceConfig(logs="one", weight=1), SourceConfig(logs="two", weight=3))
    plan = PlanConfig(max_examples_per_split=6)
    build = _build(
        tmp_path, tmp_path, sources=sources, rebalance=None, mix="duplicate", plan=plan
    )
    version = build_version(build)
    rows = [r for r in version.index.to_pylist() if r["split"] == "train"]
    counts = Counter(row["source"] for row in rows)
    told = version.lineage["mixed"]
    assert [source["after"] for source in told] == [counts[0], counts[1]]
    assert [source["achieved"] for source in told] == [counts[0] / 6, counts[1] / 6]


def test_a_limit_without_rebalancing_is_not_called_that(tmp_path):
    plan = PlanConfig(max_examples_per_split=3)
    version = _build_of(tmp_path, _good(20), plan=plan)
    names = [stage["name"] for stage in version.lineage["success_ratio"]]
    assert "train, limited" in names
    assert "train, rebalanced" not in names


def test_a_group_in_two_splits_is_an_error_that_names_it(tmp_path):
    from thresher.pipelines.split import SplitConfig

    episodes = [
        _relabelled(episode, environment={"object_set": kind}, scene_id="same")
        for episode, kind in zip(_good(2), ("train", "eval"))
    ]
    split = SplitConfig(held_out=("object_set", "eval"))
    with pytest.raises(UserError, match="scene_id 'same' stands in splits"):
        _build_of(tmp_path, episodes, split=split)


def test_logs_that_are_added_move_no_episode_to_another_split(tmp_path):
    first = _build_of(tmp_path / "a", _good(30))
    copies = [
        _relabelled(e, scene_id="elsewhere", start_time_ns=10**15) for e in _good(9)
    ]
    second_root = tmp_path / "b"
    (second_root / "logs").mkdir(parents=True)
    # The new log comes first by name, and holds copies under another group.
    with RawLogWriter(second_root / "logs" / "aaa.mcap", TINY_SPEC) as log:
        for episode in [*copies, *_good(20, first=100)]:
            log.write(episode)
    second = _build_of(second_root, _good(30))
    splits = dict(
        zip(second.index["episode_id"].to_pylist(), second.index["split"].to_pylist())
    )
    for row in first.index.to_pylist():
        assert splits[row["episode_id"]] == row["split"]


def test_near_duplicates_in_two_splits_are_told(tmp_path):
    from thresher.pipelines.split import SplitConfig

    episodes = []
    for number, kind in ((400, "train"), (401, "eval")):
        first = tiny_episode(400, transitions=4)
        frames = first.steps["observation/image"].frames
        middle = tiny_episode(number, transitions=4).steps["observation/image"].frames
        images = EncodedImages((*frames[:2], middle[2], *frames[3:]), "png")
        changed = _changed(first, observation__image=images)
        environment = {"object_set": kind}
        episodes.append(_relabelled(changed, environment=environment, scene_id=kind))
    split = SplitConfig(held_out=("object_set", "eval"))
    version = _build_of(tmp_path, [*_good(), *episodes], split=split)
    assert version.lineage["episodes"]["near_duplicates_across_splits"] == 1
    card = (version.path / "README.md").read_text()
    assert "1 near duplicates stand in more than one split" in card
