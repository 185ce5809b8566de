"""Rows of an HDF5 dataset as a column: only those asked for, nothing padded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from thresher.episodes.images import EncodedImages
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.hdf5_file import unwritten
from thresher.pipelines.ingest.optional import load_h5py
from thresher.pipelines.ingest.picture_columns import (
    PictureOption,
    encoded_column,
    encoding_of,
    looks_like_pixels,
    unpadded,
)
from thresher.pipelines.ingest.table_rules import MAX_ROWS, Budget, new_array

# Enough for whole chunks of camera frames, little beside the budget.
_BLOCK_BYTES = 32 << 20
_TEXTS_AT_ONCE = 1024
_BYTES_OF_TEXT = 64


def row_count(dataset: Any, transposed: bool) -> int:
    """Returns how many rows there are; they run along the last axis if transposed."""
    return int(dataset.shape[-1 if transposed and dataset.ndim > 1 else 0])


def row_shape(dataset: Any, transposed: bool) -> tuple[int, ...]:
    """Returns the shape of one row."""
    shape = dataset.shape[:-1] if transposed and dataset.ndim > 1 else dataset.shape[1:]
    return tuple(int(size) for size in shape)


def is_picture(dataset: Any) -> bool:
    """Whether rows are pictures: pixels, or image files by the first one's bytes."""
    h5py = load_h5py()
    if looks_like_pixels(dataset.shape, dataset.dtype):
        return True
    varying = h5py.check_vlen_dtype(dataset.dtype) == np.uint8
    padded = dataset.dtype == np.uint8 and dataset.ndim == 2
    if not (varying or padded) or not len(dataset):
        return False
    head = dataset[0] if varying else dataset[0, :16]
    return encoding_of(bytes(np.asarray(head, np.uint8)[:16])) is not None


def read_column(
    dataset: Any,
    rows: Optional[tuple[int, int]],
    transposed: bool,
    pictures: PictureOption,
    budget: Budget,
    lengths: Optional[np.ndarray] = None,
) -> Column:
    """Returns rows of a dataset: [N, …] numbers, N texts, or N encoded images.

    Args:
      dataset: The h5py dataset, found sound by `dataset_problem`.
      rows: First and after the last; None for all.
      transposed: Rows run along the last axis.
      pictures: How raw pixels are kept.
      budget: What the segment may hold.
      lengths: ALOHA's `compress_len`, [cameras, N]: bytes of each image file.

    Raises:
      ValueError: What is there is not what is declared.
      DamagedRecordingError: It is more than the budget.
    """
    h5py = load_h5py()
    total = row_count(dataset, transposed)
    first, stop = rows or (0, total)
    if stop - first > MAX_ROWS or stop > total:
        raise ValueError(
            f"{dataset.name} has {total:,} rows; {MAX_ROWS:,} are the most"
        )
    missing = unwritten(dataset)
    if missing:
        raise ValueError(f"{dataset.name} was never written whole: {missing}")
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return _texts(dataset, first, stop, budget)
    if is_picture(dataset):
        if looks_like_pixels(dataset.shape, dataset.dtype):
            return pictures.keep(
                _frames(dataset, first, stop), budget, str(dataset.name)
            )
        return _files(dataset, first, stop, budget, lengths)
    if h5py.check_vlen_dtype(dataset.dtype) == np.uint8:
        raise ValueError(f"{dataset.name} holds bytes that are no PNG or JPEG files")
    return _numbers(dataset, first, stop, transposed, budget)


def _numbers(
    dataset: Any, first: int, stop: int, transposed: bool, budget: Budget
) -> np.ndarray:
    shape = (stop - first, *row_shape(dataset, transposed))
    size = math.prod(shape) * dataset.dtype.itemsize
    budget.spend(size, str(dataset.name))
    native = dataset.dtype.newbyteorder("=")
    if transposed and dataset.ndim > 1:
        values = np.asarray(dataset[..., first:stop])
        return np.ascontiguousarray(np.moveaxis(values, -1, 0).astype(native))
    values = new_array(shape, native)
    dataset.read_into(values, first)
    return values


def _texts(dataset: Any, first: int, stop: int, budget: Budget) -> np.ndarray:
    if dataset.ndim != 1:
        raise ValueError(f"{dataset.name} holds texts of shape {list(dataset.shape)}")
    texts = np.empty(stop - first, dtype=object)
    for start in range(first, stop, _TEXTS_AT_ONCE):
        end = min(start + _TEXTS_AT_ONCE, stop)
        declared = (end - start) * max(dataset.dtype.itemsize, _BYTES_OF_TEXT)
        budget.spend(declared, str(dataset.name))
        some = [str(text) for text in dataset.asstr()[start:end]]
        # How long those of varying length are is only known now.
        budget.spend(max(sum(map(len, some)) - declared, 0), str(dataset.name))
        texts[start - first : end - first] = some
    return texts


def _frames(dataset: Any, first: int, stop: int) -> Iterator[np.ndarray]:
    step = max(1, _BLOCK_BYTES // max(1, int(np.prod(dataset.shape[1:]))))
    if dataset.chunks:
        # Whole chunks, or each would be decompressed once a block.
        step = max(step // dataset.chunks[0], 1) * dataset.chunks[0]
    for start in range(first, stop, step):
        yield from dataset[start : min(start + step, stop)]


def _files(
    dataset: Any, first: int, stop: int, budget: Budget, lengths: Optional[np.ndarray]
) -> EncodedImages:
    frames = []
    width = dataset.shape[1] if dataset.ndim == 2 else 1
    step = max(1, _BLOCK_BYTES // max(1, width))
    for start in range(first, stop, step):
        block = dataset[start : min(start + step, stop)]
        for offset, row in enumerate(block):
            frame = _file_of(np.asarray(row, np.uint8), start + offset, lengths)
            budget.spend(len(frame), str(dataset.name))
            frames.append(frame)
    return encoded_column(frames)


def _file_of(row: np.ndarray, index: int, lengths: Optional[np.ndarray]) -> bytes:
    try:
        frame = unpadded(row.tobytes())
    except ValueError as error:
        raise ValueError(f"row {index}: {error}") from error
    if lengths is not None and len(frame) not in lengths[:, index]:
        raise ValueError(
            f"row {index}: the image file has {len(frame)} bytes; compress_len says "
            f"{lengths[:, index].tolist()}"
        )
    return frame
