"""Makes a feature's column out of a stream's values, exactly or not at all."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import Column, FeatureSpec
from thresher.pipelines.ingest.mapping import MappedFeature
from thresher.pipelines.ingest.picture import PictureError, conform, sniff
from thresher.pipelines.ingest.recording import Stream
from thresher.pipelines.ingest.whole_numbers import array_of, joined

_WITH_COMMA = re.compile(r"\s*[-+]?\d+(,\d+)?([eE][-+]?\d+)?\s*", re.ASCII)


class ColumnError(ValueError):
    """Values that cannot be the column a mapping says, with what to write instead."""


def stream_of(field: str, times_ns: Any, values: Sequence[Any]) -> Stream:
    """Returns a stream of messages' values.

    Args:
      field: Its name, for errors.
      times_ns: [N].
      values: N numbers, texts, arrays of one shape, or image files.

    Raises:
      ColumnError: Values of different kinds or shapes.
    """
    times = np.asarray(times_ns, dtype=np.int64)
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1:
        raise ColumnError(f"{field} holds {' and '.join(sorted(kinds))} by turns")
    if kinds == {"pictures"}:
        return Stream(times, EncodedImages(tuple(values), sniff(values[0])))
    if kinds == {"texts"}:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return Stream(times, texts)
    shapes = sorted({np.shape(value) for value in values})
    if len(shapes) > 1:
        raise ColumnError(
            f"{field} has {list(shapes[0])} values in one message and "
            f"{list(shapes[1])} in another; take the entries that are always there, as "
            f"in {field}[0:3]"
        )
    return Stream(times, array_of(values))


def _kind(value: Any) -> str:
    if isinstance(value, bytes):
        return "pictures"
    return "texts" if isinstance(value, str) else "numbers"


def picked_column(
    feature: MappedFeature, streams: Sequence[tuple[Stream, Any]]
) -> Column:
    """Returns a feature's column out of picked values of its streams.

    Args:
      feature: The feature.
      streams: For each of its fields the stream and [T] positions to pick.

    Raises:
      ColumnError: What is picked cannot be the feature, with the remedy.
    """
    spec = feature.spec
    if spec.is_image:
        return _pictures(feature, *streams[0])
    arrays = [_array(spec, stream)[picked] for stream, picked in streams]
    return shaped(feature, arrays)


def _array(spec: FeatureSpec, stream: Stream) -> np.ndarray:
    values = stream.values
    if isinstance(values, EncodedImages):
        raise ColumnError(
            f"{spec.name}: its field holds {values.encoding} pictures; add encoding: "
            f"{values.encoding} and shape: [height, width, 3]"
        )
    is_text = values.dtype.kind in "OUS"
    if is_text != (spec.dtype == "str"):
        remedy = _remedy(values) if is_text else "holds numbers; say dtype: float32"
        raise ColumnError(f"{spec.name}: its field {remedy}")
    return values


def _remedy(texts: np.ndarray) -> str:
    told = [str(text) for text in texts.reshape(-1)]
    commas = [text for text in told if "," in text]
    if not commas or not all(_WITH_COMMA.fullmatch(text) for text in told):
        return "holds texts; say dtype: str"
    return (
        f"holds texts ({commas[0]!r}); if they are numbers of a text table, read it "
        "with option decimal: comma, else say dtype: str"
    )


def shaped(feature: MappedFeature, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Returns [T, *shape] of the feature's type from the parts of its fields.

    Args:
      feature: The feature.
      arrays: For each field [T, …].

    Raises:
      ColumnError: Another number of entries, or numbers its type cannot hold.
    """
    spec = feature.spec
    count = len(arrays[0])
    flat = [array.reshape(count, math.prod(array.shape[1:])) for array in arrays]
    whole = flat[0] if len(flat) == 1 else joined(flat, axis=1)
    if whole.shape[1] != math.prod(spec.shape):
        found = list(arrays[0].shape[1:]) if len(arrays) == 1 else [whole.shape[1]]
        raise ColumnError(
            f"{spec.name}: its fields ({', '.join(feature.source.fields)}) give "
            f"{found} a step where the mapping says {list(spec.shape)}; write shape: "
            f"{found}"
        )
    if spec.dtype == "str":
        texts = np.empty(whole.shape, dtype=object)
        texts[...] = whole
        _check_texts(spec, texts)
        return texts.reshape(count, *spec.shape)
    return _cast(spec, _scaled(feature, whole)).reshape(count, *spec.shape)


def _check_texts(spec: FeatureSpec, texts: np.ndarray) -> None:
    for step, text in enumerate(texts.flat):
        try:
            str(text).encode()
        except UnicodeEncodeError as error:
            raise ColumnError(
                f"{spec.name}: {str(text)[:40]!r} at step {step // texts.shape[1]} "
                "holds half of a character, which no text can; mend it, or leave the "
                "field out"
            ) from error


def _scaled(feature: MappedFeature, values: np.ndarray) -> np.ndarray:
    scale, offset = feature.source.scale, feature.source.offset
    instead = feature.source.not_finite
    if instead is not None and values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, np.float64(instead))
    if scale == 1.0 and offset == 0.0:
        return values
    for name, numbers in (("scale", scale), ("offset", offset)):
        if isinstance(numbers, tuple) and len(numbers) != values.shape[1]:
            raise ColumnError(
                f"{feature.spec.name}: {name} has {len(numbers)} numbers for "
                f"{values.shape[1]} entries"
            )
    return _times_plus(feature.spec, values, np.asarray(scale), np.asarray(offset))


def _times_plus(
    spec: FeatureSpec, values: np.ndarray, scale: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    exact = values.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = exact.astype(values.dtype) != values
        scaled = exact * scale + offset
    if values.dtype.kind in "iu" and np.dtype(spec.dtype).kind != "f":
        _refuse_first(
            spec, values, rounded, "is scaled as a float64, which does not hold it"
        )
    overflows = np.isfinite(exact) & ~np.isfinite(scaled)
    _refuse_first(spec, values, overflows, "is more than any number when scaled")
    return scaled


def _refuse_first(
    spec: FeatureSpec, values: np.ndarray, wrong: np.ndarray, rule: str
) -> None:
    if wrong.any():
        value = values[wrong].reshape(-1)[0]
        raise ColumnError(f"{spec.name}: {value} {rule}; mend scale and offset")


def differences(spec: FeatureSpec, column: np.ndarray) -> np.ndarray:
    """Returns [T - 1, …] of the next step's values less each step's.

    Raises:
      ColumnError: The feature's type cannot hold one.
    """
    before, after = column[:-1], column[1:]
    with np.errstate(over="ignore", invalid="ignore"):
        changed = np.diff(column, axis=0)
    if column.dtype.kind == "f":
        wrong = ~np.isfinite(changed) & np.isfinite(before) & np.isfinite(after)
    else:
        # What is too large for its type comes out on the other side of zero.
        wrong = ((changed > 0) != (after > before)) | (
            (changed < 0) != (after < before)
        )
    if wrong.any():
        raise ColumnError(
            f"{spec.name}: {after[wrong][0]} less {before[wrong][0]} is no "
            f"{spec.dtype}; say a dtype that holds differences, such as float32"
        )
    return changed


def _cast(spec: FeatureSpec, values: np.ndarray) -> np.ndarray:
    """Returns numbers as the feature's type; floats may round, nothing else may."""
    wanted = np.dtype(spec.dtype)
    if values.dtype.kind == "O":
        raise ColumnError(f"{spec.name}: its field holds more than numbers")
    # Not-a-number and overflow are told by the comparison, not by a warning.
    with np.errstate(invalid="ignore", over="ignore"):
        cast = values.astype(wanted)
        is_float = wanted.kind == "f"
        # What was infinite in the log is for not_finite and the contract to judge.
        wrong = np.isinf(cast) & np.isfinite(values) if is_float else cast != values
    if wrong.any():
        value = values[wrong].reshape(-1)[0]
        instead = "float64" if is_float else "float32"
        raise ColumnError(
            f"{spec.name}: {value} is no {spec.dtype}; say dtype: {instead}, "
            "or scale it"
        )
    return cast


def _pictures(feature: MappedFeature, stream: Stream, picked: Any) -> EncodedImages:
    spec = feature.spec
    values = stream.values
    if not isinstance(values, EncodedImages):
        values = _encoded(spec, values)
    made: dict[int, bytes] = {}
    for position in dict.fromkeys(picked.tolist()):
        try:
            made[position] = conform(
                values.frames[position],
                spec.encoding,
                spec.shape,
                resize=feature.resize,
            )
        except PictureError as error:
            raise ColumnError(f"{spec.name}: picture {position} {error}") from error
    return EncodedImages(tuple(made[p] for p in picked.tolist()), spec.encoding)


def _encoded(spec: FeatureSpec, values: np.ndarray) -> EncodedImages:
    from thresher.episodes.images import encode_images

    if values.dtype != np.uint8 or values.ndim != 4:
        raise ColumnError(
            f"{spec.name}: its field holds {values.dtype} of {list(values.shape[1:])} "
            "and no pictures; leave encoding out, and say dtype and shape"
        )
    return encode_images(values, "png")
