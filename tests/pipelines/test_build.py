"""Versions are exact, resumable and readable: real logs, real Beam, real TFDS."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.files import sha256_file
from thresher.episodes.metadata import Success
from thresher.episodes.raw_log import RawLogWriter
from thresher.episodes.tfds_record import decode_record
from thresher.episodes.version import open_version
from thresher.pipelines import prove, stage
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.stage import local_options
from thresher.pipelines.write import read_records
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode

RECIPE = Recipe("tiny", "1.0.0", "Tiny episodes.", plan=PlanConfig(num_shards=2))


def write_logs(folder: Path, files: int = 3, each: int = 20) -> Path:
    folder.mkdir(parents=True)
    for file in range(files):
        with RawLogWriter(folder / f"{file}.mcap", TINY_SPEC) as log:
            for number in range(file * each, (file + 1) * each):
                log.write(
                    tiny_episode(
                        number,
                        success=number % 4 == 0,
                        terminal=number % 5 > 0,
                        scene=f"scene {number // 2}",
                    )
                )
    return folder


def _build(root: Path, logs: Path, **changes) -> Build:
    return Build(
        recipe=dataclasses.replace(RECIPE, **changes),
        root=logs,
        target=root / "tiny" / "1.0.0",
        options=local_options(1),
    )


def _digests(folder: Path) -> dict[str, str]:
    return json.loads((folder / "checksums.json").read_text())["files"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return write_logs(tmp_path_factory.mktemp("raw") / "logs")


@pytest.fixture(scope="module")
def version(logs, tmp_path_factory):
    return build_version(_build(tmp_path_factory.mktemp("data"), logs))


def test_training_is_balanced_and_every_exclusion_has_its_reason(version):
    (before, after) = version.lineage["success_ratio"][:2]
    assert before["name"] == "train, collected"
    assert before["failures"] > 2 * before["successes"]
    assert after["successes"] == after["failures"] == before["successes"]
    assert version.lineage["episodes"]["indexed"] == 60
    dropped = version.lineage["excluded"]["rebalance"]["surplus"]
    assert dropped + version.index.num_rows == 60


def test_a_record_is_found_by_the_offset_in_the_index(version):
    for row in version.index.to_pylist()[:5]:
        with open(version.path / row["shard_file"], "rb") as shard:
            shard.seek(row["record_offset"] + 12)
            record = shard.read(row["record_length"])
        assert decode_record(record, TINY_SPEC).episode_id == row["episode_id"]


def test_checksums_are_those_of_the_files(version):
    for name, facts in _digests(version.path).items():
        assert sha256_file(version.path / name) == facts["sha256"]


def test_records_say_which_log_they_came_from(version, logs):
    row = version.index.to_pylist()[0]
    (record, *_) = read_records(version.path / row["shard_file"])
    provenance = decode_record(record, TINY_SPEC).metadata.provenance
    assert provenance.source_digest == sha256_file(logs / provenance.source_file)


def test_two_workers_write_the_same_bytes_as_one(version, logs, tmp_path):
    build = dataclasses.replace(_build(tmp_path, logs), options=local_options(2))
    assert build_version(build).digest == version.digest


def test_the_same_build_again_gives_the_version_that_is_there(version, logs):
    build = dataclasses.replace(_build(Path(), logs), target=version.path)
    assert build_version(build).digest == version.digest


def test_other_content_under_the_same_version_is_refused(version, logs, tmp_path):
    other = write_logs(tmp_path / "logs", files=1)
    build = dataclasses.replace(_build(Path(), other), target=version.path)
    with pytest.raises(UserError, match="built from other raw logs"):
        build_version(build)
    recipe = dataclasses.replace(RECIPE, rebalance=None)
    build = Build(recipe, logs, version.path, local_options(1))
    with pytest.raises(UserError, match="built from other recipe"):
        build_version(build)


def test_a_killed_build_goes_on_and_gives_the_same_bytes(version, logs, tmp_path):
    script = f"""
        import os, signal
        from pathlib import Path
        from thresher.pipelines import write
        from thresher.pipelines.build import build_version
        from thresher.tests.pipelines.test_build import _build

        wrote = write.encode_calls = 0
        real = write.planned_episode
        def planned(row, source, spec):
            write.encode_calls += 1
            if write.encode_calls == 20:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(row, source, spec)
        write.planned_episode = planned
        build_version(_build(Path({str(tmp_path)!r}), Path({str(logs)!r})))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-800:]
    target = tmp_path / "tiny" / "1.0.0"
    assert not target.exists()
    with pytest.raises(UserError, match="no dataset version"):
        open_version(target)
    assert build_version(_build(tmp_path, logs)).digest == version.digest
    assert [p.name for p in target.parent.iterdir()] == ["1.0.0"]


def test_a_shard_that_is_not_as_planned_is_found_and_written_again(
    version, logs, tmp_path, monkeypatch
):
    real, damaged = prove.prove, []

    def damage_once(unit):
        if not damaged:
            damaged.append(unit)
            data = bytearray(unit.file.read_bytes())
            data[len(data) // 2] ^= 1
            unit.file.write_bytes(data)
            assert real(unit)[0]
        return real(unit)

    monkeypatch.setattr(prove, "prove", damage_once)
    assert build_version(_build(tmp_path, logs)).digest == version.digest
    assert damaged


class _LosingTransform(stage.RunUnits):
    """A runner's worst habits: it drops elements, doubles them and reorders them."""

    def expand(self, units):
        import apache_beam as beam

        def shuffle(group):
            return sorted(group[1], key=lambda unit: str(unit.path))[::-1][1:] * 2

        keyed = units | beam.Map(lambda unit: (0, unit))
        bad = keyed | beam.GroupByKey() | beam.FlatMap(shuffle)
        return bad | beam.Map(stage._run)


def test_a_runner_that_drops_doubles_and_reorders_is_reconciled(
    version, logs, tmp_path, monkeypatch
):
    monkeypatch.setattr(stage, "RunUnits", _LosingTransform)
    monkeypatch.setattr(stage, "MAX_ROUNDS", 4)
    with pytest.raises(UserError, match=r"1 pieces of work are still missing"):
        build_version(_build(tmp_path, logs))
    monkeypatch.undo()
    assert build_version(_build(tmp_path, logs)).digest == version.digest


def test_a_damaged_episode_is_left_out_with_its_reason(logs, tmp_path):
    folder = write_logs(tmp_path / "logs", files=2)
    data = bytearray((folder / "1.mcap").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / "1.mcap").write_bytes(data)
    broken = build_version(_build(tmp_path, folder))
    assert broken.lineage["excluded"]["contract"] == {"unreadable": 1}
    assert broken.lineage["episodes"]["indexed"] == 40


def test_where_nothing_is_left_the_reasons_are_told(logs, tmp_path):
    with pytest.raises(UserError) as told:
        build_version(_build(tmp_path, logs, where="num_steps > 1000"))
    for part in ("60 that were indexed", "where: filtered (60)", "of 0.mcap", "> 1000"):
        assert part in str(told.value)


def test_logs_without_an_episode_are_told(tmp_path):
    with RawLogWriter(tmp_path / "0.mcap", TINY_SPEC):
        pass
    with pytest.raises(UserError, match="the sources hold none"):
        build_version(_build(tmp_path / "data", tmp_path))


def test_copies_of_an_episode_are_written_once(tmp_path):
    folder = write_logs(tmp_path / "logs", files=1)
    (folder / "copy.mcap").write_bytes((folder / "0.mcap").read_bytes())
    built = build_version(_build(tmp_path, folder))
    assert built.lineage["excluded"]["duplicate"] == {"duplicate": 20}


def test_endings_arrive_as_they_were_recorded(version):
    import tensorflow_datasets as tfds

    seen = set()
    builder = tfds.builder_from_directory(version.path)
    for episode in builder.as_dataset(split="train"):
        outcome = episode["episode_metadata"]["outcome"]["success"].numpy().decode()
        steps = list(episode["steps"])
        terminal = bool(steps[-1]["is_terminal"])
        rewards = [float(step["reward"]) for step in steps]
        discounts = [float(step["discount"]) for step in steps]
        assert rewards == [0, 0, 1.0 if outcome == Success.YES else 0, 0]
        assert discounts == [1, 1, 0 if terminal else 1, 0]
        seen.add((outcome, terminal))
    assert len(seen) == 4


def test_no_logs_and_logs_of_two_kinds_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        build_version(_build(tmp_path, tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no raw log"):
        build_version(_build(tmp_path, tmp_path / "empty"))
    folder = write_logs(tmp_path / "logs", files=1)
    slower = dataclasses.replace(TINY_SPEC, step_seconds=0.2)
    with RawLogWriter(folder / "slow.mcap", slower) as log:
        log.write(tiny_episode(1))
    with pytest.raises(UserError, match="hold different episodes"):
        build_version(_build(tmp_path, folder))


def test_a_version_loads_where_thresher_is_not_installed(version):
    script = f"""
        import sys
        sys.meta_path = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
        sys.path_hooks = [h for h in sys.path_hooks if "ditable" not in repr(h)]
        import tensorflow_datasets as tfds
        builder = tfds.builder_from_directory({str(version.path)!r})
        print(sum(1 for _ in builder.as_dataset(split="train")))
        try:
            import thresher
        except ImportError:
            print("alone")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=version.path
    )
    train = version.index["split"].to_pylist().count("train")
    assert done.stdout.split() == [str(train), "alone"]
