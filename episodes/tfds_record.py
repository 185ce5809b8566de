"""An episode as one TFDS record, and back.

The bytes are those that TFDS's own serialiser means: a `tf.train.Example` with one
entry for every leaf of the features, the steps of a leaf one after the other. Encoded
images pass through untouched, so writing costs no pixel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from thresher.episodes.episode import Episode
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import EpisodeMetadata
from thresher.episodes.spec import Column, EpisodeSpec, FeatureSpec

METADATA = "episode_metadata"
# Metadata whose keys differ from episode to episode: TFDS features are fixed.
JSON_FIELDS = ("environment", "behaviour/noise", "other_labels")


def is_bytes(feature: FeatureSpec) -> bool:
    """Whether TFDS keeps a feature's values as raw bytes.

    Examples hold numbers as float32 or int64: doubles would lose digits, and raw
    bytes would take eight times their room.
    """
    return feature.dtype == "float64" or (
        feature.dtype == "uint8" and not feature.is_image
    )


def encode_record(episode: Episode, spec: EpisodeSpec) -> bytes:
    """Returns the record of an episode; the same episode gives the same bytes."""
    example = tf.train.Example()
    entries = example.features.feature
    for feature in spec.all_features:
        _write(entries[f"steps/{feature.name}"], feature, episode.steps[feature.name])
    for path, value in _metadata_leaves(episode).items():
        _write_value(entries[f"{METADATA}/{path}"], value)
    return bytes(example.SerializeToString(deterministic=True))


def decode_record(record: bytes, spec: EpisodeSpec) -> Episode:
    """Returns the episode of a record.

    Raises:
      ValueError: The bytes are no such record.
    """
    try:
        entries = tf.train.Example.FromString(record).features.feature
        steps = {
            feature.name: _read(entries[f"steps/{feature.name}"], feature)
            for feature in spec.all_features
        }
        return Episode(steps, _read_metadata(entries))
    except Exception as error:
        raise ValueError(f"not a record of {spec.name!r}: {error}") from error


def record_id(record: bytes) -> str:
    """Returns the episode id that a record says it has; empty if it says none."""
    entries = tf.train.Example.FromString(record).features.feature
    values = entries[f"{METADATA}/episode_id"].bytes_list.value
    return values[0].decode() if values else ""


def _write(entry: tf.train.Feature, feature: FeatureSpec, column: Column) -> None:
    if isinstance(column, EncodedImages):
        entry.bytes_list.value.extend(column.frames)
    elif is_bytes(feature):
        entry.bytes_list.value.extend(step.tobytes() for step in column)
    elif feature.dtype == "str":
        entry.bytes_list.value.extend(str(text).encode() for text in column.flat)
    elif feature.dtype == "float32":
        entry.float_list.value.extend(column.reshape(-1).tolist())
    else:
        entry.int64_list.value.extend(column.reshape(-1).astype(np.int64).tolist())


def _read(entry: tf.train.Feature, feature: FeatureSpec) -> Column:
    if feature.is_image:
        return EncodedImages(tuple(entry.bytes_list.value), feature.encoding)
    if is_bytes(feature):
        joined = b"".join(entry.bytes_list.value)
        flat = np.frombuffer(joined, dtype=feature.dtype).copy()
    elif feature.dtype == "str":
        flat = np.array([v.decode() for v in entry.bytes_list.value], dtype=object)
    elif feature.dtype == "float32":
        flat = np.array(entry.float_list.value, dtype=np.float32)
    else:
        flat = np.array(entry.int64_list.value, dtype=np.int64).astype(feature.dtype)
    return flat.reshape(-1, *feature.shape)


def _metadata_leaves(episode: Episode) -> dict[str, Any]:
    leaves: dict[str, Any] = {"episode_id": episode.episode_id}

    def walk(prefix: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            path = f"{prefix}{key}"
            if path in JSON_FIELDS:
                leaves[path] = json.dumps(dict(value), sort_keys=True)
            elif isinstance(value, Mapping):
                walk(f"{path}/", value)
            else:
                leaves[path] = value

    walk("", episode.metadata.to_dict())
    return leaves


def _write_value(entry: tf.train.Feature, value: Any) -> None:
    if isinstance(value, (tuple, list)):
        entry.bytes_list.value.extend(str(item).encode() for item in value)
    elif isinstance(value, float):
        entry.float_list.value.append(value)
    elif isinstance(value, int):
        entry.int64_list.value.append(value)
    else:
        # str enums write their value, not their name.
        entry.bytes_list.value.append(getattr(value, "value", value).encode())


def _read_metadata(entries: Mapping[str, tf.train.Feature]) -> EpisodeMetadata:
    raw: dict[str, Any] = {"outcome": {}, "behaviour": {}, "provenance": {}}
    for key in entries:
        path = key[len(METADATA) + 1 :]
        if not key.startswith(METADATA) or path == "episode_id":
            continue
        value = _read_value(entries[key], path)
        head, _, tail = path.partition("/")
        if tail:
            raw[head][tail] = value
        else:
            raw[head] = value
    raw.setdefault("object_ids", ())
    return EpisodeMetadata.from_dict(raw)


def _read_value(entry: tf.train.Feature, path: str) -> Any:
    if path in JSON_FIELDS:
        return json.loads(entry.bytes_list.value[0])
    if path == "object_ids":
        return tuple(item.decode() for item in entry.bytes_list.value)
    kind = entry.WhichOneof("kind")
    value = getattr(entry, kind).value[0]
    return value.decode() if kind == "bytes_list" else value
