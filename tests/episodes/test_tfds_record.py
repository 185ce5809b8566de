"""Records are what TFDS itself would have written, and give the episode back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_datasets.core import example_serializer

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Provenance
from thresher.episodes.spec import EpisodeSpec
from thresher.episodes.tfds_features import features_dict
from thresher.episodes.tfds_record import (
    content_id,
    decode_record,
    encode_record,
    record_id,
)
from thresher.tests.episodes.test_spec import features
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode


def _as_tfds_writes_it(episode: Episode, spec: EpisodeSpec) -> tf.train.Example:
    def step(number):
        values: dict = {}
        for name, column in episode.steps.items():
            *folders, leaf = name.split("/")
            level = values
            for folder in folders:
                level = level.setdefault(folder, {})
            encoded = isinstance(column, EncodedImages)
            level[leaf] = column.frames[number] if encoded else column[number]
        return values

    metadata = episode.metadata.to_dict()
    metadata["episode_id"] = episode.episode_id
    metadata["environment"] = '{"friction": 0.8}'
    metadata["other_labels"] = "{}"
    metadata["behaviour"]["noise"] = '{"aim": 0.02}'
    metadata["outcome"]["success"] = metadata["outcome"]["success"].value
    metadata["behaviour"]["kind"] = metadata["behaviour"]["kind"].value
    example = {
        "steps": [step(n) for n in range(episode.num_steps)],
        "episode_metadata": metadata,
    }
    tfds_features = features_dict(spec)
    serializer = example_serializer.ExampleSerializer(
        tfds_features.get_serialized_info()
    )
    encoded = tfds_features.encode_example(example)
    return tf.train.Example.FromString(serializer.serialize_example(encoded))


def test_a_record_equals_that_of_tfds_own_serialiser():
    episode = tiny_episode()
    ours = tf.train.Example.FromString(encode_record(episode, TINY_SPEC))
    theirs = _as_tfds_writes_it(episode, TINY_SPEC)
    assert dict(ours.features.feature) == dict(theirs.features.feature)


@settings(max_examples=40, deadline=None)
@given(feature=features(), seed=st.integers(0, 1000), count=st.integers(2, 4))
def test_any_feature_reads_as_tfds_reads_it_and_comes_back(feature, seed, count):
    spec = EpisodeSpec("any", (feature,), 0.5)
    rng = np.random.default_rng(seed)
    steps = {f.name: f.sample(rng, count) for f in spec.all_features}
    episode = Episode(steps, tiny_episode().metadata)
    record = encode_record(episode, spec)
    assert decode_record(record, spec).episode_id == episode.episode_id
    assert content_id(record, spec) == episode.episode_id
    read = features_dict(spec).deserialize_example(record)
    for number, step in enumerate(read["steps"]):
        value = step["observation"]["x"].numpy()
        if feature.dtype == "str":
            value = np.vectorize(lambda b: b.decode(), otypes=[object])(value)
        np.testing.assert_array_equal(value, steps["observation/x"][number])


def test_episode_and_metadata_come_back():
    episode = tiny_episode(3, success=False, terminal=False)
    metadata = dataclasses.replace(
        episode.metadata, provenance=Provenance("a.mcap", "bytes 1-2", "ab", "c", "d")
    )
    episode = dataclasses.replace(episode, metadata=metadata)
    record = encode_record(episode, TINY_SPEC)
    read = decode_record(record, TINY_SPEC)
    assert read.metadata == episode.metadata
    assert read.episode_id == episode.episode_id == record_id(record)


@pytest.mark.parametrize("damage", [b"", b"\xff\xff", b"garbage"])
def test_what_is_no_record_is_refused(damage):
    with pytest.raises(ValueError, match="not a record of 'tiny'"):
        decode_record(damage, TINY_SPEC)
    with pytest.raises(ValueError, match="not a record of 'tiny'"):
        content_id(damage, TINY_SPEC)
