"""What a TFDS dataset's `features.json` says, as the leaves of its records.

TensorFlow is not needed for it, nor for decoding: each class below names its bytes in
`tensorflow_datasets/core/features`, whose serialised form is followed here.
"""

from __future__ import annotations

import dataclasses
import io
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Optional

import numpy as np

from thresher.episodes.example_wire import FeatureBytes
from thresher.episodes.spec import Column
from thresher.pipelines.ingest.picture_columns import encoded_column
from thresher.pipelines.ingest.table_rules import Budget

_DEEPEST = 32
# A camera's picture beyond this is a broken header.
_MOST_PIXELS = 64 << 20


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One array of a record.

    Attributes:
      path: Slash path in the record: 'steps/observation/image'.
      kind: TFDS's class: 'Tensor', 'Image', 'Text'.
      dtype: Of the values: 'float32', 'string'.
      shape: Of one value; None for an axis that varies.
      encoding: 'none', 'bytes' or 'zlib', of tensors.
      refused: Why it is not read; empty if it is.
    """

    path: str
    kind: str
    dtype: str
    shape: tuple[Optional[int], ...]
    encoding: str = "none"
    refused: str = ""


def leaves(said: Mapping[str, Any], path: str = "", depth: int = 0) -> Iterator[Leaf]:
    """Yields the leaves of a feature as `features.json` has it.

    Raises:
      ValueError: It is no such feature.
    """
    if depth > _DEEPEST:
        raise ValueError(f"features nest deeper than {_DEEPEST} at {path}")
    kind = str(said.get("pythonClassName", "")).rsplit(".", 1)[-1]
    if "featuresDict" in said:
        for name, inner in sorted(said["featuresDict"].get("features", {}).items()):
            yield from leaves(inner, f"{path}/{name}" if path else name, depth + 1)
    elif "sequence" in said and path == "steps":
        yield from leaves(said["sequence"]["feature"], path, depth + 1)
    elif "sequence" in said:
        yield Leaf(path, kind, "", (), refused="a sequence within a step")
    else:
        yield _leaf(said, path, kind)


def _leaf(said: Mapping[str, Any], path: str, kind: str) -> Leaf:
    if "tensor" in said:
        tensor = said["tensor"]
        encoding = str(tensor.get("encoding", "none")).lower()
        shape = _shape(tensor)
        refused = "" if shape.count(None) == 0 else "values of varying shape"
        return Leaf(path, kind, str(tensor["dtype"]), shape, encoding, refused)
    if "image" in said:
        image = said["image"]
        dtype = str(image.get("dtype") or "uint8")
        refused = (
            "" if dtype in ("uint8", "uint16", "float32") else f"images of {dtype}"
        )
        return Leaf(path, "Image", dtype, _shape(image), refused=refused)
    if "text" in said:
        return Leaf(path, "Text", "string", ())
    if "classLabel" in said:
        return Leaf(path, "ClassLabel", "int64", ())
    return Leaf(path, kind, "", (), refused=f"features of class {kind!r}")


def _shape(said: Mapping[str, Any]) -> tuple[Optional[int], ...]:
    sizes = (said.get("shape") or {}).get("dimensions") or ()
    return tuple(int(size) if int(size) >= 0 else None for size in sizes)


def decode(leaf: Leaf, entry: FeatureBytes, budget: Budget) -> Column:
    """Returns all values of a leaf in a record: [N, *shape] or N encoded images.

    Raises:
      ValueError: The bytes are not what `features.json` says.
    """
    budget.spend(len(entry.body), leaf.path)
    if leaf.kind == "Image":
        return _images(leaf, entry.as_bytes(), budget)
    if leaf.dtype in ("string", "object", "str"):
        texts = [value.decode("utf-8") for value in entry.as_bytes()]
        return _shaped(np.array(texts, dtype=object), leaf)
    dtype = np.dtype(leaf.dtype)
    if leaf.encoding != "none":
        return _shaped(_from_bytes(leaf, entry, dtype, budget), leaf)
    if entry.kind == "float":
        return _shaped(entry.as_floats().astype(dtype, copy=False), leaf)
    if entry.kind == "bytes":
        # Old TFDS kept uint8 tensors so.
        return _shaped(np.frombuffer(b"".join(entry.as_bytes()), dtype).copy(), leaf)
    whole = entry.as_ints()
    budget.spend(whole.nbytes, leaf.path)
    if dtype == np.uint64:
        return _shaped(whole.view(np.uint64), leaf)
    values = whole.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(values, whole):
        raise ValueError(f"{leaf.path} has numbers that are no {leaf.dtype}")
    return _shaped(values, leaf)


def _shaped(flat: np.ndarray, leaf: Leaf) -> np.ndarray:
    shape = [int(size or 0) for size in leaf.shape]
    width = int(np.prod(shape, dtype=np.int64)) if shape else 1
    if width == 0 or flat.size % width:
        raise ValueError(
            f"{leaf.path} has {flat.size} numbers, which are no rows of {shape}"
        )
    return flat.reshape(-1, *shape)


def _from_bytes(
    leaf: Leaf, entry: FeatureBytes, dtype: np.dtype, budget: Budget
) -> np.ndarray:
    blocks = entry.as_bytes()
    if leaf.encoding == "zlib":
        shape = [int(size or 0) for size in leaf.shape]
        wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        budget.spend(wanted * len(blocks), leaf.path)
        # One byte more than there may be tells a bomb without unpacking it.
        blocks = [zlib.decompressobj().decompress(b, wanted + 1) for b in blocks]
        if any(len(block) != wanted for block in blocks):
            raise ValueError(f"{leaf.path} unpacks to another size than {wanted} bytes")
    return np.frombuffer(b"".join(blocks), dtype).copy()


def _images(leaf: Leaf, files: list[bytes], budget: Budget) -> Column:
    if leaf.dtype == "uint8":
        return encoded_column(files)
    return np.stack([_deep_pixels(leaf, file, budget) for file in files])


def _deep_pixels(leaf: Leaf, file: bytes, budget: Budget) -> np.ndarray:
    """Returns pixels of more than 8 bits, which TFDS keeps in PNG files.

    Floats are kept bit by bit in the four channels of an RGBA picture.
    """
    from PIL import Image

    with Image.open(io.BytesIO(file)) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"{leaf.path}: {image.width} × {image.height} pixels")
        budget.spend(image.width * image.height * 4, leaf.path)
        pixels = np.asarray(image)
    if leaf.dtype == "float32":
        return np.ascontiguousarray(pixels).view(np.float32)
    return pixels.astype(np.uint16).reshape(*pixels.shape[:2], -1)
