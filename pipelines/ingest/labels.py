"""What a recording says about a whole episode: success, language, task, objects."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any, Optional

import numpy as np

from thresher.episodes.errors import unknown_name
from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import Success
from thresher.pipelines.ingest.mapping import Label, LogMapping
from thresher.pipelines.ingest.recording import Segment, Stream
from thresher.pipelines.ingest.ticks import RefusedSegment

_YES = ("yes", "true", "success", "succeeded", "successful", "1", "1.0")
_NO = ("no", "false", "failure", "failed", "fail", "0", "0.0")
_UNKNOWN = ("", "unknown", "none", "nan")


def path_attributes(name: str) -> dict[str, str]:
    """Returns what a recording's own path says, as attributes.

    Args:
      name: Its path below its source's root, with slashes.
    """
    path = PurePath(name)
    return {
        "path": name,
        "path.name": path.name,
        "path.stem": path.stem,
        "path.folder": path.parent.name,
    }


def text_of(label: Label, segment: Segment) -> str:
    """Returns a label as text; '' where its field says nothing in this segment.

    Raises:
      RefusedSegment: It has no such attribute, or its text is none.
    """
    value = _value(label, segment)
    if value is None:
        return ""
    if label.matches:
        return "true" if re.search(label.matches, str(value)) else "false"
    return _whole_text(label, value)


def texts_of(label: Label, segment: Segment) -> tuple[str, ...]:
    """Returns a label that may be a list, each as text.

    Raises:
      RefusedSegment: It has no such attribute, or a text is none.
    """
    value = _value(label, segment)
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(_whole_text(label, item) for item in value)
    return () if value is None else (_whole_text(label, value),)


def _whole_text(label: Label, value: Any) -> str:
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        source = label.field or label.attribute or "the mapping"
        raise RefusedSegment(
            f"label: {text[:40]!r} of {source} holds half of a character, which no "
            "text can; mend it, or take the label from elsewhere"
        ) from error
    return text


def success_of(label: Optional[Label], segment: Segment) -> Success:
    """Returns whether a segment says that it succeeded.

    Raises:
      RefusedSegment: It says something that means neither, or has no such attribute.
    """
    if label is None:
        return Success.UNKNOWN
    if label.field and label.at in ("any", "all"):
        return _judged_over_time(label, segment.streams.get(label.field))
    value = _value(label, segment)
    if label.matches and value is not None:
        return _of(bool(re.search(label.matches, str(value))))
    return Success.UNKNOWN if value is None else _judged(label, value)


def source_of_success(mapping: LogMapping) -> str:
    """Returns who says what success was."""
    label = mapping.success
    if label is None:
        return "none"
    if mapping.label_source:
        return mapping.label_source
    if label.field:
        return f"log:{label.field}"
    return f"recording:{label.attribute}" if label.attribute else "mapping"


def picked_labels(mapping: LogMapping, segment: Segment) -> dict[str, np.ndarray]:
    """Returns which values of label fields were looked at, by field."""
    picked: dict[str, np.ndarray] = {}
    for label in mapping.labels:
        stream = segment.streams.get(label.field)
        if stream is None or len(stream.times_ns) == 0:
            continue
        count = len(stream.times_ns)
        ends = {"first": [0], "last": [count - 1]}
        picked[label.field] = np.array(ends.get(label.at, range(count)))
    return picked


def _value(label: Label, segment: Segment) -> Any:
    if label.constant is not None:
        return label.constant
    if label.attribute:
        if label.attribute not in segment.attributes:
            error = unknown_name("attribute", label.attribute, segment.attributes)
            raise RefusedSegment(f"label: {error}")
        return _plain(segment.attributes[label.attribute])
    stream = segment.streams.get(label.field) if label.field else None
    if stream is None or len(stream.times_ns) == 0:
        return None
    if isinstance(stream.values, EncodedImages):
        raise RefusedSegment(f"label: {label.field} holds pictures")
    return _plain(stream.values[0 if label.at == "first" else -1])


def _plain(value: Any) -> Any:
    """Returns a scalar of NumPy's, or an array of one value, as that value."""
    is_one = isinstance(value, np.ndarray) and value.size == 1
    return value.item() if is_one or isinstance(value, np.generic) else value


def _judged_over_time(label: Label, stream: Optional[Stream]) -> Success:
    if stream is None or isinstance(stream.values, EncodedImages):
        return Success.UNKNOWN
    said = [_judged(label, _plain(value)) for value in stream.values]
    if Success.UNKNOWN in said or not said:
        return Success.UNKNOWN
    yes = [one == Success.YES for one in said]
    return _of(any(yes) if label.at == "any" else all(yes))


def _judged(label: Label, value: Any) -> Success:
    if isinstance(value, np.ndarray):
        return _unclear(label, value)
    if label.success_values or label.failure_values:
        if value in label.success_values:
            return Success.YES
        if value in label.failure_values or not label.failure_values:
            return Success.NO
        return Success.NO if not label.success_values else _unclear(label, value)
    word = str(value).strip().lower()
    if word in _YES:
        return Success.YES
    if word in _NO:
        return Success.NO
    return Success.UNKNOWN if word in _UNKNOWN else _unclear(label, value)


def _unclear(label: Label, value: Any) -> Success:
    source = label.field or label.attribute or "the mapping"
    raise RefusedSegment(
        f"label: success is {value!r} by {source}, which means neither; say "
        "success_values and failure_values"
    )


def _of(succeeded: bool) -> Success:
    return Success.YES if succeeded else Success.NO
