"""LeRobot datasets of both layouts, as lerobot wrote them, and what may be wrong."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.lerobot import LeRobotReader, LeRobotTable
from thresher.pipelines.ingest.recording import DamagedRecordingError
from thresher.tests.pipelines.ingest.tables import (
    DATA,
    all_fields,
    assert_equal,
    read_all,
    sample,
    values,
)
from thresher.tests.pipelines.ingest.test_video import write_video

CAMERA = "observation.images.top"
LENGTHS = (6, 4, 5)
TASKS = ("push the block", "lift the block", "push the block")


@pytest.fixture
def v3(tmp_path):
    return shutil.copytree(DATA / "lerobot_v3_video", tmp_path / "v3")


@pytest.fixture
def v21(tmp_path):
    """The same three episodes as `make_lerobot_v3.py` writes, in v2.1's layout."""
    root = tmp_path / "v21"
    info = json.loads((DATA / "lerobot_v3_video/meta/info.json").read_text())
    info.update(
        codebase_version="v2.1",
        data_path="data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        video_path="videos/chunk-{episode_chunk:03d}/{video_key}/"
        "episode_{episode_index:06d}.mp4",
    )
    rows = pq.read_table(DATA / "lerobot_v3_video/data/chunk-000/file-000.parquet")
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    (root / f"videos/chunk-000/{CAMERA}").mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    lines = []
    start = 0
    for episode, (length, task) in enumerate(zip(LENGTHS, TASKS)):
        name = f"episode_{episode:06d}"
        table = rows.slice(start, length)
        pq.write_table(table, root / f"data/chunk-000/{name}.parquet")
        steps = [(70 * episode + 10 * step) / 8 for step in range(length)]
        write_video(root / f"videos/chunk-000/{CAMERA}/{name}.mp4", steps)
        lines.append({"episode_index": episode, "tasks": [task], "length": length})
        start += length
    _write_lines(root / "meta/episodes.jsonl", lines)
    tasks = [
        {"task_index": number, "task": task}
        for number, task in enumerate(dict.fromkeys(TASKS))
    ]
    _write_lines(root / "meta/tasks.jsonl", tasks)
    return root


def _write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _change_info(root, **changes):
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _read(root, number, fields=("observation.state",), **options):
    table = LeRobotTable(root, options)
    return table.read(list(table.pointers())[number], list(fields))


@pytest.mark.parametrize("layout", ["v3", "v21", "image"])
def test_every_episode_is_what_was_recorded(layout, request):
    root = (
        DATA / "lerobot_v3_image"
        if layout == "image"
        else request.getfixturevalue(layout)
    )
    table = LeRobotTable(root, {})
    assert table.contents().episodes == 3
    segments = read_all(table)
    for episode, segment in enumerate(segments):
        steps = np.arange(LENGTHS[episode])
        assert segment.position == f"episode {episode}"
        assert_equal(segment, "observation.state", [[episode, s, 0.5] for s in steps])
        assert_equal(segment, "action", [[episode, -s] for s in steps])
        assert_equal(segment, "next.reward", steps == steps[-1])
        assert_equal(segment, "next.done", steps == steps[-1])
        assert_equal(segment, "task", [TASKS[episode]] * len(steps))
        levels = values(segment, CAMERA).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(levels, 20 + 70 * episode + 10 * steps, atol=2)
        assert segment.attributes["task"] == TASKS[episode]
        assert segment.attributes["robot"] == "so100"
        times = segment.streams["action"].times_ns
        np.testing.assert_allclose(times, steps * 1e8, atol=10)


def test_pictures_that_are_files_pass_through():
    root = DATA / "lerobot_v3_image"
    (table,) = [pq.read_table(root / "data/chunk-000/file-000.parquet")]
    wanted = [row["bytes"] for row in table.column(CAMERA).to_pylist()[6:10]]
    segment = _read(root, 1, [CAMERA])
    assert list(segment.streams[CAMERA].values.frames) == wanted


def test_frames_are_kept_as_asked(v3):
    assert _read(v3, 0, [CAMERA], images="jpeg").streams[CAMERA].values.encoding == (
        "jpeg"
    )
    raw = _read(v3, 0, [CAMERA], images="raw").streams[CAMERA].values
    assert raw.shape == (6, 64, 64, 3)
    assert_equal(_read(v3, 0, [CAMERA]), CAMERA, raw)


def test_an_episode_that_is_not_touched_by_damage_is_read(v21):
    (v21 / "data/chunk-000/episode_000001.parquet").unlink()
    (v21 / f"videos/chunk-000/{CAMERA}/episode_000002.mp4").write_bytes(b"")
    table = LeRobotTable(v21, {})
    assert any(
        "1 declared files are missing" in note for note in table.contents().notes
    )
    first, second, third = table.pointers()
    fields = ["action", CAMERA]
    assert len(table.read(first, fields).streams) == 2
    with pytest.raises(
        DamagedRecordingError, match=r"episode 1: data/.*_000001\.parquet is missing"
    ):
        table.read(second, fields)
    with pytest.raises(DamagedRecordingError, match=r"_000002\.mp4.*has 0 bytes"):
        table.read(third, fields)
    assert len(table.read(third, ["action"]).streams) == 1


def test_a_video_that_is_missing_is_named(v3):
    shutil.rmtree(v3 / "videos")
    with pytest.raises(DamagedRecordingError, match=r"file-000\.mp4.*video is missing"):
        _read(v3, 0, [CAMERA])
    assert _read(v3, 0).position == "episode 0"


def test_rows_that_disagree_with_the_metadata_are_a_reason(v21):
    path = v21 / "meta/episodes.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["length"] = 9
    _write_lines(path, rows)
    with pytest.raises(
        DamagedRecordingError, match="episode 1.*holds 4 rows.*the metadata say 9"
    ):
        _read(v21, 1)
    assert len(values(_read(v21, 2), "observation.state")) == 5


def test_a_video_of_another_length_or_size_is_a_reason(v21):
    path = v21 / f"videos/chunk-000/{CAMERA}/episode_000000.mp4"
    write_video(path, range(5))
    with pytest.raises(DamagedRecordingError, match="has 5 frames, its table 6 rows"):
        _read(v21, 0, [CAMERA])
    write_video(path, range(6), side=32)
    with pytest.raises(DamagedRecordingError, match=r"32 × 32, info\.json says"):
        _read(v21, 0, [CAMERA])


def test_counts_that_disagree_are_told_in_the_contents(v3):
    _change_info(v3, total_episodes=7, total_frames=99)
    notes = " ".join(LeRobotTable(v3, {}).contents().notes)
    assert "info.json says 7 episodes, meta lists 3" in notes
    assert "info.json says 99 frames, meta sums 15" in notes


def test_a_declared_column_that_is_missing_is_named(v21):
    path = v21 / "data/chunk-000/episode_000000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["action"]), path)
    with pytest.raises(DamagedRecordingError, match="has no column action"):
        _read(v21, 0, ["action"])
    assert len(_read(v21, 0).streams) == 1


def test_values_that_are_missing_or_of_other_length_name_the_row(v21):
    path = v21 / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("action")
    for rows, reason in (
        ([[1.0, 2.0]] * 3 + [None] + [[1.0, 2.0]] * 2, "no value at row 3"),
        ([[1.0, 2.0]] * 4 + [[1.0]] + [[1.0, 2.0]], "1 numbers at row 4, 2 in"),
    ):
        column = pa.array(rows, pa.list_(pa.float32()))
        pq.write_table(table.set_column(place, "action", column), path)
        with pytest.raises(DamagedRecordingError, match=f"action has {reason}"):
            _read(v21, 0, ["action"])


def test_a_clock_with_nan_names_the_row(v21):
    path = v21 / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(path)
    clock = pa.array([0, 0.1, np.nan, 0.3, 0.4, 0.5], pa.float32())
    place = table.schema.get_field_index("timestamp")
    pq.write_table(table.set_column(place, "timestamp", clock), path)
    with pytest.raises(DamagedRecordingError, match="the clock is nan s at row 2"):
        _read(v21, 0)


def test_a_task_that_is_in_no_list_is_a_reason(v21):
    _write_lines(v21 / "meta/tasks.jsonl", [{"task_index": 1, "task": "other"}])
    with pytest.raises(DamagedRecordingError, match="task_index 0 is in no list"):
        _read(v21, 0)


def test_depth_coded_as_video_is_refused(v3):
    info = json.loads((v3 / "meta/info.json").read_text())
    info["features"][CAMERA]["info"]["is_depth_map"] = True
    _change_info(v3, features=info["features"])
    with pytest.raises(DamagedRecordingError, match="depth map"):
        _read(v3, 0, [CAMERA])


def test_paths_must_not_leave_the_folder(v21):
    _change_info(v21, data_path="../../x{episode_index:06d}.parquet")
    with pytest.raises(DamagedRecordingError, match="leaves the folder"):
        _read(v21, 0)
    _change_info(v21, data_path="{episode_index.__class__}{nobody}")
    with pytest.raises(DamagedRecordingError, match="names 'nobody'"):
        _read(v21, 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"codebase_version": "v1.6"}, r"'v1\.6'.*v2\.1, v3\.0 are read.*convert"),
        ({"fps": 0}, "fps is 0"),
        ({"features": [1]}, r"info\.json"),
        ({"features": {"q": [1]}}, r"info\.json: the feature 'q' is no object"),
        ({"features": {"q": {"shape": "wide"}}}, "shape of 'q' is 'wide'"),
        ({"features": {"q": {"shape": [None]}}}, r"shape of 'q' is \[None\]"),
        ({"features": {"q": {"shape": 3}}}, "shape of 'q' is 3"),
        ({"features": {"q": {"info": [3]}}}, r"info of 'q' is \[3\]"),
        ({"features": {"q": {"video_info": 1.5}}}, "video_info of 'q' is 1.5"),
        ({"data_path": "x" * 300}, "a name of 300 bytes"),
        ({"video_path": "x/" * 3000}, "a path of .* bytes"),
    ],
)
def test_an_info_that_cannot_be_is_told(v3, changes, reason):
    """Some found by fuzzing what the JSON says, which flipped bytes hardly change."""
    _change_info(v3, **changes)
    with pytest.raises(UserError, match=reason):
        LeRobotTable(v3, {}).contents()


@pytest.mark.parametrize("rows", [{"task_index": [0]}, {"words": ["push"]}])
def test_tasks_without_words_or_numbers_are_told(v3, rows):
    pq.write_table(pa.table(rows), v3 / "meta/tasks.parquet")
    with pytest.raises(DamagedRecordingError, match=r"tasks\.parquet"):
        LeRobotTable(v3, {}).contents()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"codebase_version": "v3.0"}'])
def test_a_broken_info_is_told_with_its_path(v3, content):
    (v3 / "meta/info.json").write_text(content)
    with pytest.raises(UserError, match=r"info\.json"):
        LeRobotTable(v3, {}).contents()


def test_a_broken_line_of_episodes_is_told_with_its_number(v21):
    path = v21 / "meta/episodes.jsonl"
    path.write_text(path.read_text().replace('"length": 4}', '"length": '))
    with pytest.raises(DamagedRecordingError, match=r"episodes\.jsonl, line 2"):
        LeRobotTable(v21, {}).contents()


def test_an_unknown_field_or_folder_is_told(v3, tmp_path):
    with pytest.raises(UserError, match=r"did you mean 'observation\.state'"):
        _read(v3, 0, ["observation.stat"])
    assert not LeRobotTable.recognises(tmp_path)
    with pytest.raises(DamagedRecordingError, match=r"no meta/info\.json"):
        LeRobotTable(tmp_path, {})


@pytest.mark.skipif(
    int(pa.__version__.split(".")[0]) < 25, reason="older Arrow refuses or reads them"
)
@pytest.mark.parametrize(
    ("dataset", "damage"),
    [
        ("lerobot_v3_image", {4955: 34, 8850: 32}),
        ("lerobot_v3_image", {2328: 172, 5638: 164, 7364: 9}),
        ("lerobot_v3_video", {2514: 9, 2744: 34, 3527: 128}),
    ],
)
def test_parquet_that_ends_the_process_costs_no_more_than_the_file(
    tmp_path, dataset, damage
):
    """Found by fuzzing: Arrow 25 ends the process over some damaged statistics."""
    root = shutil.copytree(DATA / dataset, tmp_path / "x")
    path = root / "data/chunk-000/file-000.parquet"
    data = bytearray(path.read_bytes())
    for position, value in damage.items():
        data[position] = value
    path.write_bytes(data)
    table = LeRobotTable(root, {})
    fields = all_fields(table)
    for pointer in table.pointers():
        with pytest.raises(DamagedRecordingError, match="crashes the library"):
            table.read(pointer, fields)


def test_the_real_unitree_set_is_read_as_pyarrow_reads_it():
    root = sample("lerobot_v21_unitree_g1")
    table = LeRobotTable(root, {"images": "jpeg"})
    contents = table.contents()
    assert contents.episodes == 100
    assert any("196 declared files are missing" in note for note in contents.notes)
    pointers = {pointer.position: pointer for pointer in table.pointers()}
    segment = table.read(pointers["episode 82"], all_fields(table))
    rows = pq.read_table(root / "data/chunk-000/episode_000082.parquet")
    assert_equal(segment, "action", np.array(rows.column("action").to_pylist(), "f4"))
    assert len(segment.streams["observation.images.cam_high"].values) == 260
    assert segment.attributes["task"] == "Pick up the yellow bottle on the table."
    with pytest.raises(DamagedRecordingError, match=r"episode_000088\.mp4"):
        table.read(pointers["episode 88"], ["observation.images.cam_high"])
    assert len(table.read(pointers["episode 88"], ["action"]).streams) == 1
    with pytest.raises(DamagedRecordingError, match="is missing"):
        table.read(pointers["episode 3"], ["action"])


def test_the_reader_without_a_guard_says_the_same(v3):
    for guarded, plain in zip(
        read_all(LeRobotTable(v3, {})), read_all(LeRobotReader(v3, {}))
    ):
        assert guarded.attributes == plain.attributes
        for name in plain.streams:
            assert_equal(guarded, name, values(plain, name))
