"""Columns of Parquet and Arrow tables as arrays, images and texts; nothing guessed."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.episodes.spec import Column
from thresher.pipelines.ingest.picture_columns import encoded_column, encoding_of
from thresher.pipelines.ingest.table_rules import Budget


def value_shape(kind: pa.DataType) -> Optional[tuple[int, ...]]:
    """Returns the shape of one value of a type; None where it varies."""
    if isinstance(kind, pa.ExtensionType):
        return value_shape(kind.storage_type)
    if pa.types.is_fixed_size_list(kind):
        inner = value_shape(kind.value_type)
        return None if inner is None else (kind.list_size, *inner)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return None
    return None if is_image_type(kind) or pa.types.is_binary(kind) else ()


def number_type(kind: pa.DataType) -> Optional[np.dtype]:
    """Returns the type of the numbers that values hold; None if they hold others."""
    while _is_list(kind):
        kind = kind.value_type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (is_number or pa.types.is_boolean(kind)):
        return None
    return np.dtype(kind.to_pandas_dtype())


def is_image_type(kind: pa.DataType) -> bool:
    """Whether a type is Hugging Face's image: a struct of bytes and a path."""
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def column_of(
    array: pa.Array, field: str, budget: Budget, first_row: int = 0
) -> Column:
    """Returns an Arrow array as a column: numbers [N, …], texts or encoded images.

    Args:
      array: Values of one field.
      field: Its name, for errors.
      budget: What the segment may hold.
      first_row: Number of the first value in the file, for errors.

    Raises:
      ValueError: A value is missing, rows differ in length, or no column fits.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
    budget.spend(array.nbytes, field)
    if isinstance(array.type, pa.ExtensionType):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    _refuse_missing(array, field, first_row)
    if is_image_type(array.type):
        array = array.field(array.type.get_field_index("bytes"))
        _refuse_missing(array, field, first_row)
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return encoded_column(array.to_pylist())
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        texts = np.empty(len(array), dtype=object)
        texts[:] = array.to_pylist()
        return texts
    return _numbers(array, field, first_row)


def is_image_array(array: pa.Array) -> bool:
    """Whether binary values are PNG or JPEG files, by the first one."""
    if not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)):
        return is_image_type(array.type)
    return bool(len(array)) and encoding_of(array[0].as_py() or b"") is not None


def _numbers(array: pa.Array, field: str, first_row: int) -> np.ndarray:
    shape = [len(array)]
    while _is_list(array.type):
        lengths = pc.list_value_length(array)
        if len(array):
            width = lengths[0].as_py()
            other = pc.index(pc.equal(lengths, width), False).as_py()
            if other >= 0:
                raise ValueError(
                    f"{field} has {lengths[other].as_py()} numbers at row "
                    f"{first_row + other // int(np.prod(shape[1:], dtype=int))}, "
                    f"{width} in the rows before"
                )
        else:
            width = array.type.list_size if hasattr(array.type, "list_size") else 0
        shape.append(width)
        array = array.flatten()
        _refuse_missing(array, field, first_row)
    kind = array.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        if pa.types.is_boolean(kind):
            return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(shape)
        raise ValueError(f"{field} holds {kind}, which is neither numbers nor texts")
    return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(shape)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
    )


def _refuse_missing(array: Any, field: str, first_row: int) -> None:
    if array.null_count:
        row = first_row + int(pc.index(pc.is_null(array), True).as_py())
        raise ValueError(f"{field} has no value at row {row}")
