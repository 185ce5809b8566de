"""An episode as one TFDS record, and back.

The bytes are those that TFDS's own serialiser means: a `tf.train.Example` with one
entry for every leaf of the features, the steps of a leaf one after the other. Encoded
images pass through untouched, so writing costs no pixel.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from thresher.episodes.episode import Episode
from thresher.episodes.example_wire import (
    FeatureBytes,
    bytes_feature,
    encode_example,
    float_feature,
    int_feature,
    parse_example,
)
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import (
    Behaviour,
    BehaviourKind,
    EpisodeMetadata,
    Outcome,
    Success,
)
from thresher.episodes.spec import Column, EpisodeSpec, FeatureSpec

METADATA = "episode_metadata"
# Metadata whose keys differ from episode to episode: TFDS features are fixed.
JSON_FIELDS = ("environment", "behaviour/noise", "other_labels")
# Stands where nobody looks: the id is that of the steps alone.
_UNREAD = EpisodeMetadata(
    source_id="",
    task="",
    robot="",
    scene_id="",
    object_ids=(),
    language="",
    start_time_ns=0,
    environment={},
    outcome=Outcome(Success.UNKNOWN, 0.0, ""),
    behaviour=Behaviour(BehaviourKind.UNKNOWN, "", ""),
)


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
    features = {
        f"steps/{feature.name}": _encode(feature, episode.steps[feature.name])
        for feature in spec.all_features
    }
    for path, value in _metadata_leaves(episode).items():
        features[f"{METADATA}/{path}"] = _encode_value(value)
    return encode_example(features)


def decode_record(record: bytes, spec: EpisodeSpec) -> Episode:
    """Returns the episode of a record.

    Raises:
      ValueError: The bytes are no such record.
    """
    try:
        entries = parse_example(record)
        return Episode(_decode_steps(entries, spec), _read_metadata(entries))
    # Whatever a hostile record breaks on the way, it is no record.
    except Exception as error:
        raise ValueError(f"not a record of {spec.name!r}: {error!r}") from error


def content_id(record: bytes, spec: EpisodeSpec) -> str:
    """Returns the id that the steps in a record really have; metadata are not read.

    Raises:
      ValueError: The bytes are no such record.
    """
    try:
        return Episode(_decode_steps(parse_example(record), spec), _UNREAD).episode_id
    except Exception as error:
        raise ValueError(f"not a record of {spec.name!r}: {error!r}") from error


def record_id(record: bytes) -> str:
    """Returns the episode id that a record says it has; empty if it says none."""
    entry = parse_example(record).get(f"{METADATA}/episode_id")
    values = entry.as_bytes() if entry else []
    return values[0].decode() if values else ""


def _decode_steps(
    entries: Mapping[str, FeatureBytes], spec: EpisodeSpec
) -> dict[str, Column]:
    return {
        feature.name: _decode(entries[f"steps/{feature.name}"], feature)
        for feature in spec.all_features
    }


def _encode(feature: FeatureSpec, column: Column) -> bytes:
    if isinstance(column, EncodedImages):
        return bytes_feature(column.frames)
    if is_bytes(feature):
        return bytes_feature(step.tobytes() for step in column)
    if feature.dtype == "str":
        return bytes_feature(str(text).encode() for text in column.flat)
    if feature.dtype == "float32":
        return float_feature(column.reshape(-1))
    return int_feature(column.reshape(-1).astype(np.int64))


def _decode(entry: FeatureBytes, feature: FeatureSpec) -> Column:
    if feature.is_image:
        return EncodedImages(tuple(entry.as_bytes()), feature.encoding)
    if is_bytes(feature):
        flat = np.frombuffer(b"".join(entry.as_bytes()), dtype=feature.dtype).copy()
    elif feature.dtype == "str":
        flat = np.array([value.decode() for value in entry.as_bytes()], dtype=object)
    elif feature.dtype == "float32":
        flat = entry.as_floats()
    else:
        flat = entry.as_ints().astype(feature.dtype)
    return flat.reshape(-1, *feature.shape)


def _metadata_leaves(episode: Episode) -> dict[str, Any]:
    leaves: dict[str, Any] = {"episode_id": episode.episode_id}

    def walk(prefix: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            path = f"{prefix}{key}"
            if path in JSON_FIELDS:
                leaves[path] = json.dumps(dict(value), sort_keys=True)
            elif dataclasses.is_dataclass(value):
                walk(f"{path}/", vars(value))
            else:
                leaves[path] = value

    # `to_dict` would copy every value, at a quarter of what the whole record costs.
    walk("", vars(episode.metadata))
    return leaves


def _encode_value(value: Any) -> bytes:
    if isinstance(value, (tuple, list)):
        return bytes_feature(str(item).encode() for item in value)
    if isinstance(value, float):
        return float_feature(np.array([value]))
    if isinstance(value, int):
        return int_feature(np.array([value]))
    # str enums write their value, not their name.
    return bytes_feature([getattr(value, "value", value).encode()])


def _read_metadata(entries: Mapping[str, FeatureBytes]) -> EpisodeMetadata:
    raw: dict[str, Any] = {"outcome": {}, "behaviour": {}, "provenance": {}}
    for key, entry in entries.items():
        path = key[len(METADATA) + 1 :]
        if not key.startswith(METADATA) or path == "episode_id":
            continue
        value = _read_value(entry, path)
        head, _, tail = path.partition("/")
        if tail:
            raw[head][tail] = value
        else:
            raw[head] = value
    raw.setdefault("object_ids", ())
    return EpisodeMetadata.from_dict(raw)


def _read_value(entry: FeatureBytes, path: str) -> Any:
    if path in JSON_FIELDS:
        return json.loads(entry.as_bytes()[0])
    if path == "object_ids":
        return tuple(item.decode() for item in entry.as_bytes())
    if entry.kind == "bytes":
        return entry.as_bytes()[0].decode()
    numbers = entry.as_floats() if entry.kind == "float" else entry.as_ints()
    return numbers[0].item()
