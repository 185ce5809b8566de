"""Demonstrations that others published, each with its mapping in docs/examples.

They lie in ../shared/data beside the project and are skipped where that is absent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thresher.episodes.contract import violations
from thresher.episodes.images import EncodedImages
from thresher.episodes.raw_log import RawLogReader
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.ingest.formats import find_format
from thresher.pipelines.ingest.ingest import ingested_logs
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.split import SplitConfig
from thresher.pipelines.stage import local_options
from thresher.tests.pipelines.ingest.tables import sample
from thresher.tests.pipelines.ingest.tiny_logs import episodes_of, ingest_here

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
ROBOSUITE = "robosuite_1.0.1/robosuite/models/assets/demonstrations"
SAWYER = "robosuite_0.3.0/robosuite/models/assets/demonstrations/SawyerLift/demo.hdf5"
MOCAP = "dm_control_mocap/dm_control/locomotion/mocap/test_trajectories.h5"
ANTMAZE = (
    "tf_agents_antmaze/tf_agents/examples/cql_sac/kumar20/dataset/test_data/"
    "antmaze-medium-play-v0_0.tfrecord"
)
# Mapping, recording, format, steps of each episode, episodes set aside.
SAMPLES = {
    "robosuite_panda": (f"{ROBOSUITE}/lift/panda/demo.hdf5", "hdf5", [413], 0),
    "robosuite_stack": (f"{ROBOSUITE}/stack/panda/demo.hdf5", "hdf5", [533], 0),
    "robosuite_sawyer": (SAWYER, "hdf5", [1059, 838], 0),
    "mocap_human": (MOCAP, "hdf5", [10, 10], 0),
    "unitree_g1_lerobot": ("lerobot_v21_unitree_g1", "lerobot", [261], 99),
    "bridge_rlds": ("octo_bridge_rlds/bridge_dataset/1.0.0", "tfds", [11] * 5, 0),
    "antmaze_tf_agents": (ANTMAZE, "tf_agents", [8], 11),
    "turtle_csv": ("plotjuggler/datasamples/turtle.csv", "delimited", [201], 0),
}
NAMES = sorted(SAMPLES)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """Ingests a sample once, however many tests look at it."""
    done = {}

    def ingested(name):
        path = sample(SAMPLES[name][0])
        if name not in done:
            out = tmp_path_factory.mktemp(name)
            done[name] = out, ingest_here(path, EXAMPLES / f"{name}.yaml", out)
        return done[name]

    return ingested


@pytest.mark.parametrize("name", NAMES)
def test_a_real_table_becomes_sound_episodes_and_its_rows_reconcile(ingested, name):
    path, kind, steps, set_aside = SAMPLES[name]
    out, report = ingested(name)
    assert find_format(sample(path)).name == kind
    found = episodes_of(out)
    assert [episode.num_steps for episode in found] == steps
    total = report.total()
    assert total["quarantined"] == set_aside
    assert total["read"] == total["used"] + sum(total["dropped"].values())
    spec = RawLogReader(ingested_logs(out)[0]).spec
    for episode in found:
        assert violations(episode, spec) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_version_of_it_loads_with_plain_tfds(ingested, name, tmp_path):
    import tensorflow_datasets as tfds

    out, _ = ingested(name)
    recipe = Recipe(
        name,
        "1.0.0",
        "A real table.",
        plan=PlanConfig(num_shards=1),
        split=SplitConfig(shares={"train": 1.0}),
        rebalance=None,
    )
    target = tmp_path / name / "1.0.0"
    version = build_version(Build(recipe, out, target, local_options(1)))
    written = {episode.episode_id: episode for episode in episodes_of(out)}
    loaded = tfds.builder_from_directory(str(version.path)).as_dataset(split="train")
    seen = 0
    for record in tfds.as_numpy(loaded):
        source = written[record["episode_metadata"]["episode_id"].decode()]
        actions = [_flat(step["action"]) for step in record["steps"]]
        wanted = [_flat(_action(source, step)) for step in range(source.num_steps)]
        np.testing.assert_array_equal(actions, wanted)
        seen += 1
    assert seen == len(written)


def _action(episode, step):
    parts = {
        name.partition("/")[2]: column[step]
        for name, column in episode.steps.items()
        if name.split("/")[0] == "action"
    }
    return parts.get("", parts)


def _flat(value):
    if isinstance(value, dict):
        return np.concatenate([np.ravel(value[name]) for name in sorted(value)])
    return np.ravel(value)


def test_the_last_action_of_bridge_is_kept(ingested):
    """Rows of Open X-Embodiment are all steps with valid actions, the last too."""
    from thresher.pipelines.ingest.tfds_set import TfdsTable

    out, _ = ingested("bridge_rlds")
    table = TfdsTable(sample(SAMPLES["bridge_rlds"][0]), {})
    for pointer, episode in zip(table.pointers(), episodes_of(out)):
        segment = table.read(pointer, ["action", "observation/image_0"])
        rows = segment.streams["action"].values
        np.testing.assert_array_equal(episode.array("action")[:-1], rows)
        images = segment.streams["observation/image_0"].values
        assert isinstance(images, EncodedImages)
        assert episode.steps["observation/image"].frames[:-1] == images.frames
        assert episode.metadata.language == "flip pot upright which is in sink"


def test_declared_files_that_are_missing_are_named_and_the_others_read(ingested):
    _, report = ingested("unitree_g1_lerobot")
    reasons = [
        reason
        for entry in report.recordings[0].quarantined
        for reason in entry["reasons"]
    ]
    assert sum(".parquet is missing" in reason for reason in reasons) == 97
    assert sum("the video is missing" in reason for reason in reasons) == 2


def test_demonstrations_say_who_acted_and_where_they_come_from(ingested):
    for name, kind in (
        ("robosuite_sawyer", "teleoperated"),
        ("unitree_g1_lerobot", "teleoperated"),
        ("antmaze_tf_agents", "learned"),
    ):
        out, _ = ingested(name)
        for episode in episodes_of(out):
            assert episode.metadata.behaviour.kind.value == kind
            assert episode.metadata.provenance.source_file
            assert len(episode.metadata.provenance.source_digest) == 64
            assert episode.metadata.provenance.position
