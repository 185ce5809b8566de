"""An episode: immutable columns of steps, and what is true about them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from thresher.episodes.images import EncodedImages
from thresher.episodes.metadata import EpisodeMetadata
from thresher.episodes.spec import Column


@dataclasses.dataclass(frozen=True)
class Episode:
    """One episode in RLDS alignment.

    Step t holds observation_t, the action taken on it, and the reward and discount
    that followed. The last step holds the final observation; its action, reward and
    discount are zero and mean nothing.

    Attributes:
      steps: A column of N steps for every feature of the spec, by slash path: arrays
        [N, …] (made read-only) or encoded images.
      metadata: What is true about the whole episode.
    """

    steps: Mapping[str, Column]
    metadata: EpisodeMetadata

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.steps.items()}
        if not lengths or len(set(lengths.values())) != 1:
            raise ValueError(f"columns of an episode differ in length: {lengths}")
        for column in self.steps.values():
            if isinstance(column, np.ndarray):
                column.flags.writeable = False
        object.__setattr__(self, "steps", MappingProxyType(dict(self.steps)))

    @property
    def num_steps(self) -> int:
        """Steps with the final observation: one more than there are actions."""
        return len(next(iter(self.steps.values())))

    @property
    def num_transitions(self) -> int:
        """Actions taken."""
        return self.num_steps - 1

    def observation(self, name: str) -> Column:
        """Returns the column of an observation feature by its short name."""
        return self.steps[f"observation/{name}"]

    def array(self, name: str) -> np.ndarray:
        """Returns a column that is an array by its full name; see `steps`."""
        column = self.steps[name]
        assert isinstance(column, np.ndarray), f"{name} holds encoded images"
        return column

    @functools.cached_property
    def episode_id(self) -> str:
        """32 hexadecimal digits of the SHA-256 of all columns.

        A copy of an episode has the same id, whoever recorded it under what name;
        relabelling its metadata keeps it, changing any value of a step does not.
        """
        digest = hashlib.sha256()
        for name in sorted(self.steps):
            _update_with_column(digest, name, self.steps[name])
        return digest.hexdigest()[:32]


@functools.cache
def _kind(dtype: np.dtype) -> str:
    """Returns a type's name, which NumPy puts together anew each time it is asked."""
    return str(dtype)


def _update_with_column(digest: hashlib._Hash, name: str, column: Column) -> None:
    if isinstance(column, EncodedImages):
        digest.update(f"{name} {column.encoding} {len(column)};".encode())
        parts = column.frames
    elif column.dtype.kind in "OU":
        digest.update(f"{name} str {column.shape};".encode())
        parts = tuple(str(value).encode() for value in column.flat)
    else:
        digest.update(f"{name} {_kind(column.dtype)} {column.shape};".encode())
        digest.update(np.ascontiguousarray(column).data)
        return
    # Lengths keep ('ab', 'c') apart from ('a', 'bc').
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
