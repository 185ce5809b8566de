"""TFDS features of an episode spec: how any TFDS user sees the records."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from thresher.episodes.spec import EpisodeSpec, FeatureSpec
from thresher.episodes.tfds_record import is_bytes


def features_dict(spec: EpisodeSpec) -> tfds.features.FeaturesDict:
    """Returns {steps: Dataset of steps, episode_metadata: nested fields}.

    'observation/image' becomes steps → observation → image; documentation and units
    go with each feature.
    """
    steps: dict[str, Any] = {}
    for feature in spec.all_features:
        *folders, leaf = feature.name.split("/")
        level = steps
        for folder in folders:
            level = level.setdefault(folder, {})
        level[leaf] = _feature(feature)
    return tfds.features.FeaturesDict(
        {
            "steps": tfds.features.Dataset(steps),
            "episode_metadata": _metadata_features(),
        }
    )


def _feature(feature: FeatureSpec) -> tfds.features.FeatureConnector:
    doc = tfds.features.Documentation(
        desc=feature.doc, value_range=_range(feature) or None
    )
    if feature.is_image:
        return tfds.features.Image(
            shape=feature.shape, encoding_format=feature.encoding, doc=doc
        )
    if feature.dtype == "str" and not feature.shape:
        return tfds.features.Text(doc=doc)
    dtype = np.str_ if feature.dtype == "str" else np.dtype(feature.dtype)
    encoding = (
        tfds.features.Encoding.BYTES
        if is_bytes(feature)
        else tfds.features.Encoding.NONE
    )
    return tfds.features.Tensor(
        shape=feature.shape, dtype=dtype, encoding=encoding, doc=doc
    )


def _range(feature: FeatureSpec) -> str:
    bounds = (
        ""
        if feature.minimum is None and feature.maximum is None
        else f"[{feature.minimum}, {feature.maximum}]"
    )
    names = f"({', '.join(feature.labels)})" if feature.labels else ""
    return " ".join(
        part for part in (bounds, feature.unit, feature.frame, names) if part
    )


def _metadata_features() -> dict[str, Any]:
    def text(doc: str) -> tfds.features.Text:
        return tfds.features.Text(doc=doc)

    def number(dtype: Any, doc: str) -> tfds.features.Scalar:
        return tfds.features.Scalar(dtype=dtype, doc=doc)

    return {
        "episode_id": text("Digest of all steps: a copy has the same."),
        "source_id": text("Unique within its source."),
        "task": text("What was to be done."),
        "robot": text("Which robot."),
        "scene_id": text("The arrangement of the world at the start."),
        "object_ids": tfds.features.Sequence(text("Objects in the scene.")),
        "language": text("Instruction in natural language."),
        "start_time_ns": number(np.int64, "Start on the recorder's clock, ns."),
        "environment": text("Parameters the world drew, as JSON."),
        "outcome": {
            "success": text("yes, no or unknown."),
            "episode_return": number(np.float32, "Undiscounted sum of rewards."),
            "label_source": text("Who says so."),
            "confidence": number(np.float32, "Probability that the label is right."),
        },
        "behaviour": {
            "kind": text("scripted, teleoperated, learned, intervention, random."),
            "policy_id": text("Name of the behaviour policy."),
            "policy_version": text("Which one of that name."),
            "noise": text("Exploration noise by name, as JSON."),
        },
        "provenance": {
            "source_file": text("File the episode came from."),
            "position": text("Where in it."),
            "source_digest": text("SHA-256 of the source's bytes."),
            "converter": text("What made an episode of it."),
            "converter_revision": text("Which revision of that."),
        },
        "other_labels": text("Success as further labellers see it, as JSON."),
    }
