"""Layouts without a real sample: written by their library, ingested by their example.

Each file is what the format's documentation describes, made tiny, and the mapping in
docs/examples is the one that users are given.
"""

from __future__ import annotations

import io
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thresher.episodes.contract import violations
from thresher.episodes.raw_log import RawLogReader
from thresher.pipelines.ingest.ingest import ingested_logs
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.tests.pipelines.ingest.tables import DATA
from thresher.tests.pipelines.ingest.tiny_logs import (
    episodes_of,
    ingest_here,
    write_mapping,
)

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
STEPS = 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _pixels(rng, height, width):
    # A few blocks of colour: noise would only make the files large.
    blocks = rng.integers(40, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.NEAREST))


def _ingest(path, mapping, tmp_path):
    out = tmp_path / "out"
    report = ingest_here(path, mapping, out)
    spec = RawLogReader(ingested_logs(out)[0]).spec
    found = episodes_of(out)
    for episode in found:
        assert violations(episode, spec) == []
    return found, report


def _robomimic(root, rng):
    h5py = pytest.importorskip("h5py")
    with h5py.File(root / "x.hdf5", "w") as file:
        file.create_group("data").attrs["env_args"] = json.dumps({"env_name": "Lift"})
        for number, success in enumerate([True, False]):
            demo = file.create_group(f"data/demo_{number}")
            demo["actions"] = rng.uniform(-1, 1, (STEPS, 7))
            demo["obs/agentview_image"] = [_pixels(rng, 84, 84) for _ in range(STEPS)]
            demo["obs/robot0_eef_pos"] = rng.normal(size=(STEPS, 3))
            last = np.arange(STEPS) == STEPS - 1
            demo["rewards"] = (last & success).astype(float)
            demo["dones"] = (last & success).astype(int)
    return root / "x.hdf5"


def _aloha(root, rng):
    h5py = pytest.importorskip("h5py")
    for number in range(2):
        files = []
        for _ in range(STEPS):
            buffer = io.BytesIO()
            Image.fromarray(_pixels(rng, 480, 640)).save(buffer, "JPEG")
            files.append(np.frombuffer(buffer.getvalue(), np.uint8))
        padded = np.zeros((STEPS, max(map(len, files)) + 9), np.uint8)
        for row, file in enumerate(files):
            padded[row, : len(file)] = file
        with h5py.File(root / f"episode_{number}.hdf5", "w") as file:
            file["observations/qpos"] = rng.normal(size=(STEPS, 14))
            file["observations/images/cam_high"] = padded
            file["action"] = rng.normal(size=(STEPS, 14))
            file["compress_len"] = np.array([[len(f) for f in files]])
    return root


def _droid(root, rng):
    h5py = pytest.importorskip("h5py")
    for number in range(2):
        folder = root / f"run{number}"
        folder.mkdir()
        with h5py.File(folder / "trajectory.h5", "w") as file:
            file.attrs.update({"success": number == 0, "current_task": "wipe"})
            robot = file.create_group("observation/robot_state")
            robot["joint_positions"] = rng.normal(size=(STEPS, 7))
            robot["gripper_position"] = rng.uniform(size=STEPS)
            file["action/joint_velocity"] = rng.normal(size=(STEPS, 7))
            file["action/gripper_position"] = rng.uniform(size=STEPS)
            clock = 1_690_000_000_000 + np.arange(STEPS) * 67
            file["observation/timestamp/robot_state/read_start"] = clock
    return root


def _d4rl(root, rng):
    h5py = pytest.importorskip("h5py")
    with h5py.File(root / "x.hdf5", "w") as file:
        rows = 2 * STEPS
        file["observations"] = rng.normal(size=(rows, 11)).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, (rows, 3)).astype(np.float32)
        file["rewards"] = rng.normal(size=rows).astype(np.float32)
        file["terminals"] = np.arange(rows) == STEPS - 1
        file["timeouts"] = np.arange(rows) == rows - 1
    return root / "x.hdf5"


def _csv_pictures(root, rng):
    lines = ["episode,time,x,command,ok,picture"]
    for episode in range(2):
        for step in range(STEPS):
            name = f"{episode}_{step}.png"
            Image.fromarray(_pixels(rng, 4, 6)).save(root / name)
            lines.append(f"{episode},{0.1 * step},{step},{step},{episode},{name}")
    (root / "x.csv").write_text("\n".join(lines) + "\n")
    return root / "x.csv"


EXAMPLES_OF = {
    "robomimic": (_robomimic, ["yes", "no"]),
    "aloha": (_aloha, ["unknown"] * 2),
    "droid": (_droid, ["yes", "no"]),
    "d4rl": (_d4rl, ["unknown"] * 2),
    "csv_pictures": (_csv_pictures, ["no", "yes"]),
}


@pytest.mark.parametrize("name", sorted(EXAMPLES_OF))
def test_an_example_ingests_what_its_format_writes(tmp_path, rng, name):
    make, outcomes = EXAMPLES_OF[name]
    (tmp_path / "in").mkdir()
    path = make(tmp_path / "in", rng)
    found, report = _ingest(path, EXAMPLES / f"{name}.yaml", tmp_path)
    assert report.total()["quarantined"] == 0
    # Each row is a step with a valid action, so one more observation ends it.
    assert [episode.num_steps for episode in found] == [STEPS + 1] * 2
    assert [episode.metadata.outcome.success.value for episode in found] == outcomes


def test_rewards_and_endings_of_d4rl_arrive_on_their_step(tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "in").mkdir()
    path = _d4rl(tmp_path / "in", rng)
    found, _ = _ingest(path, EXAMPLES / "d4rl.yaml", tmp_path)
    with h5py.File(path) as file:
        rewards = file["rewards"][:]
    for number, episode in enumerate(found):
        rows = slice(number * STEPS, (number + 1) * STEPS)
        np.testing.assert_array_equal(episode.array("reward")[:-1], rewards[rows])
    assert [bool(e.array("is_terminal")[-1]) for e in found] == [True, False]
    assert [float(e.array("discount")[-2]) for e in found] == [0.0, 1.0]


def test_minari_is_ingested_with_its_final_observation(tmp_path, rng, monkeypatch):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    states = rng.normal(size=(STEPS + 1, 39))
    buffer = EpisodeBuffer(
        observations=states,
        actions=rng.uniform(-1, 1, (STEPS, 28)).astype(np.float32),
        rewards=list(range(STEPS)),
        terminations=[False] * (STEPS - 1) + [True],
        truncations=[False] * STEPS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minari.create_dataset_from_buffers(
            "tiny/door-v0",
            [buffer],
            observation_space=spaces.Box(-9, 9, (39,), np.float64),
            action_space=spaces.Box(-1, 1, (28,), np.float32),
        )
    path = tmp_path / "tiny" / "door-v0"
    (episode,), _ = _ingest(path, EXAMPLES / "minari.yaml", tmp_path)
    np.testing.assert_array_equal(episode.observation("state"), states)
    assert episode.array("reward").tolist() == [0, 1, 2, 3, 0]
    assert bool(episode.array("is_terminal")[-1])


def test_envlogger_is_ingested_with_actions_on_their_observation(tmp_path):
    envlogger = pytest.importorskip("envlogger")
    import dm_env
    from dm_env import specs

    class Catch(dm_env.Environment):
        def reset(self):
            self.count = 0
            return dm_env.restart(np.zeros((10, 5), np.float32))

        def step(self, action):
            self.count += 1
            board = np.full((10, 5), self.count, np.float32)
            if self.count == STEPS:
                return dm_env.termination(1.0, board)
            return dm_env.transition(0.0, board)

        def observation_spec(self):
            return specs.Array((10, 5), np.float32)

        def action_spec(self):
            return specs.DiscreteArray(3)

    log = tmp_path / "in"
    log.mkdir()
    with envlogger.EnvLogger(Catch(), data_directory=str(log)) as env:
        env.reset()
        for action in range(STEPS):
            env.step(np.int64(action))
    (episode,), _ = _ingest(log, EXAMPLES / "envlogger.yaml", tmp_path)
    assert episode.array("action").tolist() == [0, 1, 2, 3, 0]
    assert episode.array("reward").tolist() == [0, 0, 0, 1, 0]
    assert episode.array("is_terminal").tolist() == [False] * STEPS + [True]
    boards = episode.observation("board")[:, 0, 0]
    assert boards.tolist() == list(range(STEPS + 1))


LEROBOT_V3 = """
name: tiny_so100
robot: so100
behaviour: {kind: teleoperated}
step_seconds: 0.1
alignment: sar
features:
  observation/image:
    {from: observation.images.top, encoding: png, shape: [64, 64, 3]}
  observation/state: {from: observation.state, shape: [3]}
action: {from: action, shape: [2]}
reward: {field: next.reward}
ending: {field: next.done}
success: {field: next.reward, at: last, success_values: [1]}
language: {attribute: task}
"""


@pytest.mark.parametrize("kind", ["video", "image"])
def test_lerobot_v3_is_ingested(tmp_path, kind):
    root = shutil.copytree(DATA / f"lerobot_v3_{kind}", tmp_path / "in")
    found, report = _ingest(root, write_mapping(tmp_path, LEROBOT_V3), tmp_path)
    assert report.total()["quarantined"] == 0
    assert [episode.num_steps for episode in found] == [7, 5, 6]
    assert [episode.metadata.language for episode in found] == [
        "push the block",
        "lift the block",
        "push the block",
    ]
    for episode in found:
        assert float(episode.array("reward")[-2]) == 1.0
        assert bool(episode.array("is_terminal")[-1])


def test_a_damaged_episode_is_set_aside_and_others_go_on(tmp_path, rng):
    (tmp_path / "in").mkdir()
    _aloha(tmp_path / "in", rng)
    broken = tmp_path / "in" / "episode_0.hdf5"
    broken.write_bytes(broken.read_bytes()[:3000])
    found, report = _ingest(tmp_path / "in", EXAMPLES / "aloha.yaml", tmp_path)
    assert len(found) == 1
    (told,) = [r for r in report.recordings if r.error or r.damage]
    assert "episode_0.hdf5" in told.error + told.damage


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_example_is_a_mapping(path):
    assert load_mapping(path).spec.observation
