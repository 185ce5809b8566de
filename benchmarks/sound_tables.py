"""Small sound tables of every kind, written by the formats' own libraries.

Each writer returns what a reader opens.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thresher.episodes.images import encode_image

# Steps of the two episodes that each kind has.
MINARI_STEPS = (4, 6)
ENVLOGGER_STEPS = 4
TF_AGENTS_STEPS = (3, 2)
TFDS_STEPS = (3, 5)

# As lerobot wrote them; it needs a newer Python than the others.
_LEROBOT = Path(__file__).parents[1] / "tests" / "pipelines" / "ingest" / "data"


def write_hdf5(path: Path) -> Path:
    """Writes demonstrations as robomimic lays them out, with all that HDF5 keeps."""
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift"})
        for number, steps in enumerate((4, 5)):
            demo = data.create_group(f"demo_{number}")
            demo.attrs.update({"num_samples": steps, "success": number == 0})
            demo["actions"] = rng.normal(size=(steps, 3))
            demo.create_dataset(
                "rewards", data=np.arange(steps), chunks=(2,), compression="gzip"
            )
            words = demo.create_dataset("words", (steps,), dtype=h5py.string_dtype())
            words[:] = [f"wörd {step}" for step in range(steps)]
            pixels = rng.integers(0, 256, (steps, 6, 8, 3), dtype=np.uint8)
            demo["obs/pixels"] = pixels
            kind = h5py.vlen_dtype(np.uint8)
            files = demo.create_dataset("obs/files", (steps,), dtype=kind)
            for step in range(steps):
                jpeg = encode_image(pixels[step], "jpeg")
                files[step] = np.frombuffer(jpeg, np.uint8)
    return path


def copy_lerobot(folder: Path, cameras: str) -> Path:
    """Copies a LeRobot v3.0 dataset whose frames are kept as 'video' or 'image'."""
    name = f"lerobot_v3_{cameras}"
    return Path(shutil.copytree(_LEROBOT / name, folder / name))


def write_csv(path: Path) -> Path:
    """Writes two episodes that a column tells apart."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["ep", "t", "x", "w"])
        writer.writerows(
            [["a", 0, 1.5, "go"], ["a", 1, 2.5, "on"], ["b", 0, 3.5, "up"]]
        )
    return path


def write_jsonl(path: Path) -> Path:
    """Writes two episodes of nested rows."""
    rows = [{"ep": k // 2, "t": k, "o": {"q": [k, 1.5]}} for k in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_minari(folder: Path, storage: str) -> Path:
    """Writes two episodes of numbers, pictures and pairs in a storage of Minari's."""
    import minari
    from gymnasium import spaces

    observations = spaces.Dict(
        {
            "pos": spaces.Box(-1, 1, (2, 3), np.float32),
            "cam": spaces.Box(0, 255, (32, 32, 3), np.uint8),
            "pair": spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1, (1,)))),
        }
    )
    rng = np.random.default_rng(0)
    with _minari_writes_to(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minari.create_dataset_from_buffers(
            "tiny/set-v0",
            [_minari_episode(rng, *pair) for pair in enumerate(MINARI_STEPS)],
            observation_space=observations,
            action_space=spaces.Box(-1, 1, (2,), np.float32),
            data_format=storage,
            algorithm_name="random",
            author="nobody",
        )
    return folder / "tiny" / "set-v0"


@contextlib.contextmanager
def _minari_writes_to(folder: Path) -> Iterator[None]:
    name = "MINARI_DATASETS_PATH"
    before = os.environ.get(name)
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _minari_episode(rng: np.random.Generator, seed: int, steps: int) -> Any:
    from minari.data_collector import EpisodeBuffer

    def numbers(*shape: int) -> np.ndarray:
        return rng.uniform(-1, 1, shape).astype(np.float32)

    return EpisodeBuffer(
        observations={
            "pos": numbers(steps + 1, 2, 3),
            "cam": rng.integers(0, 256, (steps + 1, 32, 32, 3), dtype=np.uint8),
            "pair": (rng.integers(0, 3, steps + 1), numbers(steps + 1, 1)),
        },
        actions=numbers(steps, 2),
        rewards=list(rng.normal(size=steps)),
        terminations=[False] * (steps - 1) + [True],
        truncations=[False] * steps,
        infos={"x": rng.normal(size=(steps + 1, 2))},
        seed=seed,
    )


def write_envlogger(folder: Path) -> Path:
    """Writes two episodes of a world that counts its steps."""
    import envlogger

    logger = envlogger.EnvLogger(
        _counting_world(),
        data_directory=str(folder),
        metadata={"robot": "counter"},
        step_fn=lambda timestep, action, env: {"time": 0.5 * env.count},
        episode_fn=lambda timestep, action, env: {"success": timestep.last()},
    )
    with logger as env:
        for _ in range(2):
            timestep = env.reset()
            while not timestep.last():
                timestep = env.step(np.full(3, env.count, np.float32))
    return folder


def _counting_world() -> Any:
    import dm_env
    from dm_env import specs

    class Counting(dm_env.Environment):
        def reset(self) -> dm_env.TimeStep:
            self.count = 0
            return dm_env.restart(self._seen())

        def step(self, action: np.ndarray) -> dm_env.TimeStep:
            self.count += 1
            if self.count == ENVLOGGER_STEPS:
                return dm_env.termination(1.0, self._seen())
            return dm_env.transition(0.1 * self.count, self._seen())

        def _seen(self) -> dict[str, Any]:
            return {
                "pos": np.array([self.count, 1.5], np.float32),
                "image": np.full((4, 5, 3), self.count, np.uint8),
                "deep": {"tick": np.int64(self.count)},
            }

        def observation_spec(self) -> dict[str, Any]:
            return {
                "pos": specs.Array((2,), np.float32),
                "image": specs.Array((4, 5, 3), np.uint8),
                "deep": {"tick": specs.Array((), np.int64)},
            }

        def action_spec(self) -> specs.BoundedArray:
            return specs.BoundedArray((3,), np.float32, -1, 1)

    return Counting()


def write_tf_agents(path: Path) -> Path:
    """Writes two whole episodes of trajectories, the last row of each its boundary."""
    return write_tf_agents_rows(path, *tf_agents_trajectories())


def write_tf_agents_rows(
    path: Path, spec: Any, rows: Iterable[Any], **options: Any
) -> Path:
    """Writes rows with TF-Agents' own encoder, and its spec beside them."""
    import tensorflow as tf
    from tf_agents.specs import tensor_spec
    from tf_agents.utils import example_encoding, example_encoding_dataset

    arrays = tensor_spec.to_nest_array_spec(spec)
    encode = example_encoding.get_example_serializer(arrays, **options)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(encode(row))
    example_encoding_dataset.encode_spec_to_file(f"{path}.spec", spec)
    return path


def tf_agents_trajectories() -> tuple[Any, list[Any]]:
    """Returns the spec and the rows of `write_tf_agents`."""
    import tensorflow as tf
    from tf_agents.trajectories import trajectory

    rng = np.random.default_rng(0)
    observation, action = tf_agents_specs()
    scalar = tf.TensorSpec((), tf.float32)
    kind = tf.TensorSpec((), tf.int32)
    spec = trajectory.Trajectory(kind, observation, action, (), kind, scalar, scalar)
    rows = []
    for steps in TF_AGENTS_STEPS:
        types = [0] + [1] * (steps - 1) + [2]
        for step, now in enumerate(types):
            rows.append(
                trajectory.Trajectory(
                    np.int32(now),
                    tf_agents_observation(rng, step),
                    rng.normal(size=2),
                    (),
                    np.int32(types[step + 1] if step < steps else 0),
                    np.float32(step),
                    np.float32(1),
                )
            )
    return spec, rows


def tf_agents_specs() -> tuple[dict[str, Any], Any]:
    """Returns those of an observation and an action."""
    import tensorflow as tf

    observation = {
        "image": tf.TensorSpec((8, 8, 3), tf.uint8),
        "state": tf.TensorSpec((2,), tf.float32),
        "tick": tf.TensorSpec((1,), tf.int64),
    }
    return observation, tf.TensorSpec((2,), tf.float64)


def tf_agents_observation(rng: np.random.Generator, tick: int) -> dict[str, np.ndarray]:
    return {
        "image": rng.integers(0, 256, (8, 8, 3), dtype=np.uint8),
        "state": rng.normal(size=2).astype(np.float32),
        "tick": np.array([tick], np.int64),
    }


def write_tfds(folder: Path) -> Path:
    """Has TFDS prepare an RLDS version with a feature of every kind."""
    import tensorflow_datasets as tfds

    rng = np.random.default_rng(0)
    episodes = [_tfds_episode(rng, steps) for steps in TFDS_STEPS]
    tfds.disable_progress_bar()
    # What it prints is of no use to who wants a small file.
    with contextlib.redirect_stdout(io.StringIO()):
        tfds.dataset_builders.store_as_tfds_dataset(
            "tiny",
            "1.0.0",
            _tfds_features(),
            {"train": list(enumerate(episodes))},
            data_dir=folder,
            disable_shuffling=True,
        )
    return folder / "tiny" / "1.0.0"


def _tfds_features() -> Any:
    from tensorflow_datasets import features

    step = {
        "observation": {
            "image": features.Image(shape=(8, 6, 3), encoding_format="jpeg"),
            "mask": features.Image(shape=(8, 6, 1), encoding_format="png"),
            "depth": features.Image(
                shape=(8, 6, 1), dtype=np.uint16, encoding_format="png"
            ),
            "range": features.Image(shape=(8, 6, 1), dtype=np.float32),
            "state": features.Tensor(shape=(2, 3), dtype=np.float32),
            "wide": features.Tensor(shape=(2,), dtype=np.float64, encoding="zlib"),
            "bytes": features.Tensor(shape=(4,), dtype=np.uint8, encoding="bytes"),
            "small": features.Tensor(shape=(3,), dtype=np.uint8),
        },
        "action": np.float32,
        "is_first": np.bool_,
        "count": np.int32,
        "kind": features.ClassLabel(names=["a", "b"]),
        "language_instruction": features.Text(),
        "boxes": features.Sequence(features.BBoxFeature()),
    }
    metadata = {
        "file_path": features.Text(),
        "number": np.int64,
        "pose": features.Tensor(shape=(3,), dtype=np.float32),
    }
    return features.FeaturesDict(
        {"steps": features.Dataset(step), "episode_metadata": metadata}
    )


def _tfds_episode(rng: np.random.Generator, steps: int) -> dict[str, Any]:
    return {
        "steps": [_tfds_step(rng, number) for number in range(steps)],
        "episode_metadata": {
            "file_path": f"run{steps}",
            "number": steps,
            "pose": np.arange(3, dtype=np.float32),
        },
    }


def _tfds_step(rng: np.random.Generator, number: int) -> dict[str, Any]:
    return {
        "observation": {
            "image": rng.integers(0, 256, (8, 6, 3), dtype=np.uint8),
            "mask": rng.integers(0, 256, (8, 6, 1), dtype=np.uint8),
            "depth": rng.integers(0, 65536, (8, 6, 1), dtype=np.uint16),
            "range": rng.normal(size=(8, 6, 1)).astype(np.float32),
            "state": rng.normal(size=(2, 3)).astype(np.float32),
            "wide": rng.normal(size=2),
            "bytes": rng.integers(0, 256, 4, dtype=np.uint8),
            "small": rng.integers(0, 256, 3, dtype=np.uint8),
        },
        "action": np.float32(number),
        "is_first": number == 0,
        "count": -number,
        "kind": number % 2,
        "language_instruction": f"söme words {number}",
        "boxes": [],
    }
