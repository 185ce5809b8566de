"""What TFDS alone takes for an episode whose frames are passed through as they are.

It encodes the example and serialises it, and does nothing else: no reading, no check,
no file. A builder that goes through TFDS cannot be faster.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from thresher.benchmarks.plane_inputs import Inputs, episodes_of
from thresher.benchmarks.plane_runs import Results
from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages

_EPISODES = 500


def measure_floor(inputs: Inputs, results: Results, repeats: int) -> None:
    """Measures processor time an episode."""
    for repeat in range(repeats):
        results.get(f"floor/{repeat}", partial(_encoded, inputs))


def _encoded(inputs: Inputs) -> dict[str, Any]:
    import io

    import tensorflow_datasets as tfds

    from thresher.benchmarks.peers.tfds_grasping import tfds_grasping_dataset_builder

    builder = tfds_grasping_dataset_builder.Builder(
        data_dir=inputs.work / "floor", config="generator"
    )
    features = builder.info.features
    serializer = tfds.core.example_serializer.ExampleSerializer(
        features.get_serialized_info()
    )
    examples: list[dict[str, Any]] = [
        {"steps": list(_steps(episode)), "episode_metadata": {"file_path": "x"}}
        for episode in islice(episodes_of(inputs.logs), _EPISODES)
    ]
    began = time.process_time()
    for example in examples:
        for step in example["steps"]:
            step["observation"]["image"] = io.BytesIO(step["observation"]["image"])
        serializer.serialize_example(features.encode_example(example))
    return {"each": (time.process_time() - began) / len(examples)}


def _steps(episode: Episode) -> Iterator[dict[str, Any]]:
    """Yields the steps as the peer's builder makes them, frames encoded."""
    images = episode.steps["observation/image"]
    assert isinstance(images, EncodedImages)
    names = [name for name in episode.steps if not name.startswith("observation/")]
    seen = [name for name in episode.steps if name.startswith("observation/")]
    for number in range(episode.num_steps):
        step: dict[str, Any] = {n: episode.array(n)[number] for n in names}
        step["observation"] = {
            name.split("/")[-1]: episode.array(name)[number]
            for name in seen
            if name != "observation/image"
        }
        step["observation"]["image"] = images.frames[number]
        step["language_instruction"] = "grasp any object"
        yield step
