"""The same Minari data become the same episodes in each storage."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import yaml

from thresher.episodes.metadata import Success
from thresher.pipelines.ingest.minari_set import MinariTable
from thresher.pipelines.ingest.suggest import suggest
from thresher.tests.pipelines.ingest.tiny_logs import (
    episodes_of,
    ingest_here,
    write_mapping,
)

minari = pytest.importorskip("minari")
pytest.importorskip("h5py")

STORAGES = ("hdf5", "arrow", "parquet")
STEPS = 4
MAPPING = """
name: small
step_seconds: 0.1
alignment: n_plus_one
features: {observation/q: {from: observations/q, shape: [3]}}
action: {from: actions, shape: [2]}
success: {field: infos/succ, at: last}
reward: {field: rewards}
"""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Returns by storage a dataset with small pictures and an info of one value."""
    from gymnasium import spaces

    folder = tmp_path_factory.mktemp("minari")
    space = spaces.Dict(
        {
            "q": spaces.Box(-1, 1, (3,), np.float64),
            "img": spaces.Box(0, 255, (8, 10, 3), np.uint8),
            "mode": spaces.Discrete(3),
        }
    )
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        warnings.simplefilter("ignore")
        for storage in STORAGES:
            minari.create_dataset_from_buffers(
                f"small/{storage}-v0",
                [_episode(seed) for seed in range(2)],
                observation_space=space,
                action_space=spaces.Box(-1, 1, (2,), np.float32),
                data_format=storage,
            )
    return {storage: folder / "small" / f"{storage}-v0" for storage in STORAGES}


def _episode(seed):
    from minari.data_collector import EpisodeBuffer

    rng = np.random.default_rng(seed)
    last = np.arange(STEPS) == STEPS - 1
    return EpisodeBuffer(
        observations={
            "q": rng.uniform(-1, 1, (STEPS + 1, 3)),
            "img": rng.integers(0, 256, (STEPS + 1, 8, 10, 3), dtype=np.uint8),
            "mode": rng.integers(0, 3, STEPS + 1),
        },
        actions=rng.uniform(-1, 1, (STEPS, 2)).astype(np.float32),
        rewards=list(rng.normal(size=STEPS)),
        terminations=list(last),
        truncations=[False] * STEPS,
        infos={
            "succ": np.arange(STEPS + 1) == STEPS,
            "pose": rng.normal(size=(STEPS + 1, 2, 3)),
        },
        seed=seed,
    )


def _suggested(path):
    mapping = yaml.safe_load(suggest(path))
    del mapping["name"]
    # HDF5 storage keeps small pictures as JPEG, the others their pixels.
    assert mapping["features"]["observation/img"].pop("encoding") in ("jpeg", "png")
    return mapping


@pytest.mark.parametrize("storage", ["arrow", "parquet"])
def test_the_same_mapping_is_suggested_for_the_same_data(datasets, storage):
    suggested = _suggested(datasets[storage])
    assert suggested == _suggested(datasets["hdf5"])
    assert suggested["reward"] == {"field": "rewards"}
    assert suggested["ending"] == {"field": "terminations"}
    assert suggested["success"] == {"field": "infos/succ", "at": "any"}


@pytest.mark.parametrize("storage", ["arrow", "parquet"])
def test_fields_are_told_alike(datasets, storage):
    def told(path):
        fields = MinariTable(path, {}).contents().fields
        return {
            field.name: (field.type, field.shape, field.is_image, field.note)
            for field in fields
            if field.name != "observations/img"
        }

    assert told(datasets[storage]) == told(datasets["hdf5"])


@pytest.mark.parametrize("storage", STORAGES)
def test_a_suggestion_loses_neither_rewards_nor_pictures(datasets, storage, tmp_path):
    mapping = write_mapping(tmp_path, suggest(datasets[storage]))
    ingest_here(datasets[storage], mapping, tmp_path / "out")
    episodes = episodes_of(tmp_path / "out")
    assert len(episodes) == 2
    for seed, episode in enumerate(episodes):
        wanted = _episode(seed)
        rewards = np.asarray(wanted.rewards, np.float32)
        np.testing.assert_array_equal(episode.array("reward")[:-1], rewards)
        assert episode.array("is_terminal").tolist() == [False] * STEPS + [True]
        pixels = episode.observation("img").decode()
        assert pixels.shape == (STEPS + 1, 8, 10, 3)
        if storage != "hdf5":
            np.testing.assert_array_equal(pixels, wanted.observations["img"])


@pytest.mark.parametrize("storage", STORAGES)
def test_success_may_be_an_info_of_one_value(datasets, storage, tmp_path):
    mapping = write_mapping(tmp_path, MAPPING)
    ingest_here(datasets[storage], mapping, tmp_path / "out")
    found = [e.metadata.outcome.success for e in episodes_of(tmp_path / "out")]
    assert found == [Success.YES] * 2
