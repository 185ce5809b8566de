"""Pickles are refused: loading one runs whatever program its author put in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from thresher.episodes.errors import UserError

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_MEMBERS = 10_000
_HOW = (
    "convert it where you trust it, with a few lines of Python: load it there, write "
    "its arrays to HDF5 (file[f'episode_{k}/actions'] = …, one group an episode), and "
    "ingest that"
)


def refuse_pickle(path: Path) -> None:
    """Refuses a file that only unpickling could read; returns for any other.

    Judged by the bytes: a pickle under another name is one all the same.

    Raises:
      UserError: It is a pickle, or an archive with one in it; with the way to convert.
    """
    reason = pickle_in(path)
    if reason:
        raise UserError(
            f"{path} is {reason}: pickles are never loaded, since loading one runs the "
            f"program that is in it; {_HOW}"
        )


def pickle_in(path: Path) -> str:
    """Returns what kind of pickle a file is or holds; empty if none."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        head = file.read(64)
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(size - 1, 0))
        last = file.read(1)
    if head.startswith(_LEGACY_TORCH):
        return "a PyTorch file, which is a pickle"
    if head.startswith(_NPY):
        return _in_npy(path)
    if head.startswith(_ZIP):
        return _in_zip(path)
    # Protocol 2 and later start with their number; all end with a full stop.
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5 and last == b".":
        return f"a pickle of protocol {head[1]}"
    if path.suffix in (".pkl", ".pickle") or _is_old(head, last):
        return (
            "a pickle, by its name"
            if path.suffix in (".pkl", ".pickle")
            else ("a pickle of protocol 0")
        )
    if head.startswith(_GZIP) and ".pkl" in path.suffixes:
        return "a compressed pickle, by its name"
    return ""


def _is_old(head: bytes, last: bytes) -> bool:
    """Whether a file looks like protocol 0: text that starts with a mark and a type."""
    return last == b"." and head[:2] in (b"(d", b"(l", b"cn", b"cc", b"c_", b"(i")


def _in_npy(path: Path) -> str:
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
            _, _, dtype = read(file)
        except (ValueError, AttributeError, EOFError):
            return "a damaged NumPy file, which may hold a pickle"
    return "a NumPy file of objects, which is a pickle" if dtype.hasobject else ""


def _in_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:_MOST_MEMBERS]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ""
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return "a PyTorch file, which is a pickle"
    if any(name.endswith((".pkl", ".pickle")) for name in names):
        return "an archive with a pickle in it"
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz), whose arrays may be pickles"
    return ""
