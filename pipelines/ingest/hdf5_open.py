"""An HDF5 file that is open while somebody asks, with what was learned of it."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from thresher.pipelines.ingest.hdf5_file import Tree, attributes_of, open_hdf5, tree
from thresher.pipelines.ingest.hdf5_layouts import filter_keys

# An open dataset takes some kilobytes of the library.
_MOST_DATASETS = 2000


class OpenHdf5:
    """One HDF5 file for many questions.

    Listing episodes looks into each, and reading them looks again. While the listing
    goes on, reading uses the same open file and what was found in it. With the last
    question the file is closed, so that nobody waits for its lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = 0
        self._opening = contextlib.ExitStack()
        self._file: Any = None
        self._forget()

    def _forget(self) -> None:
        self._trees: OrderedDict[str, Tree] = OrderedDict()
        self._datasets = 0
        self._attributes: dict[str, dict[str, Any]] = {}
        self._filter_keys: Optional[Mapping[str, Sequence[str]]] = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """Gives the open `h5py.File`.

        Raises:
          UserError: h5py is not installed.
          DamagedRecordingError: It is no HDF5 file, or a damaged one.
        """
        if not self._users:
            self._file = self._opening.enter_context(open_hdf5(self._path))
        self._users += 1
        try:
            yield self._file
        finally:
            self._users -= 1
            if not self._users:
                self._forget()
                self._opening.close()

    def tree(self, group: str) -> Tree:
        """Returns what is in a group and below; see `hdf5_file.tree`."""
        path = "/" + group.strip("/")
        if path in self._trees:
            self._trees.move_to_end(path)
            return self._trees[path]
        found = tree(self._file, self._file[path])
        self._trees[path] = found
        self._datasets += len(found.datasets)
        while self._datasets > _MOST_DATASETS and len(self._trees) > 1:
            _, oldest = self._trees.popitem(last=False)
            self._datasets -= len(oldest.datasets)
        return found

    def attributes(self, group: str) -> Mapping[str, Any]:
        """Returns a group's own attributes."""
        if group not in self._attributes:
            self._attributes[group] = dict(attributes_of(self._file[group]))
        return self._attributes[group]

    def filter_keys(self) -> Mapping[str, Sequence[str]]:
        """Returns robomimic's filter keys: names of episodes by name of the subset."""
        if self._filter_keys is None:
            self._filter_keys = filter_keys(self._file)
        return self._filter_keys
