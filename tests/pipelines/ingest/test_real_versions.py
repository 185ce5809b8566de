"""Real logs, through their mappings, become versions that plain TFDS loads.

They lie in ../shared/data beside the project and are skipped where that is absent.
"""

from __future__ import annotations

import numpy as np
import pytest

from thresher.pipelines.build import Build, build_version
from thresher.pipelines.recipe import Recipe, SourceConfig
from thresher.pipelines.stage import local_options
from thresher.tests.pipelines.ingest.test_real_logs import EXAMPLES, SAMPLES
from thresher.tests.pipelines.ingest.tiny_logs import SHARED

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real recordings (../shared/data) are not here"
)
# The first recording of each mapping.
FIRST = {name: (path, steps) for name, path, steps, _ in reversed(SAMPLES)}


@pytest.mark.parametrize("name", FIRST)
def test_a_version_of_a_real_log_is_loaded_by_plain_tfds(tmp_path, name):
    import tensorflow_datasets as tfds

    recording, steps = FIRST[name]
    source = SourceConfig(
        logs=str(SHARED / recording), mapping=str(EXAMPLES / f"{name}.yaml")
    )
    recipe = Recipe(name, "1.0.0", "A real log.", (source,), rebalance=None)
    target = tmp_path / "data" / name / "1.0.0"
    build_version(Build(recipe, tmp_path, target, local_options(1)))
    builder = tfds.builder_from_directory(str(target))
    loaded = [
        list(episode["steps"])
        for split in builder.info.splits
        for episode in tfds.as_numpy(builder.as_dataset(split=split))
    ]
    assert sorted(len(found) for found in loaded) == sorted(steps)
    for found in loaded:
        assert found[0]["is_first"]
        assert found[-1]["is_last"]
        assert np.all(found[-1]["reward"] == 0)
