"""Libraries that only some readers need, loaded when they do, or told how to get.

Each function returns a module; all raise UserError where it does not load.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from thresher.episodes.errors import UserError


@functools.cache
def load_h5py() -> Any:
    """Returns h5py."""
    with _needed("h5py"):
        import h5py
    return h5py


def load_av() -> Any:
    """Returns PyAV, silenced: what FFmpeg logs is raised as errors all the same.

    At any level but none, FFmpeg's threads wait for Python's lock to log, while a
    container that is closed in the middle of its video holds that lock and waits for
    them.
    """
    with _needed("av"):
        import av
        import av.logging
    av.logging.set_level(None)
    return av


def load_envlogger_reader() -> Any:
    """Returns EnvLogger's module `reader`."""
    with _needed("envlogger"):
        from envlogger import reader
    return reader


@contextlib.contextmanager
def _needed(package: str) -> Iterator[None]:
    try:
        yield
    # A library built for another NumPy or protobuf fails in more ways than one.
    except (ImportError, AttributeError, TypeError, RuntimeError) as error:
        raise UserError(
            f"reading this format needs {package!r}, which does not load ({error}); "
            "install it with: pip install 'thresher[logs]'"
        ) from error
