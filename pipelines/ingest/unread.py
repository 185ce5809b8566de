"""Files that are known and not read, each with the reason and the way round it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.pickles import refuse_pickle

_PYBULLET = b"stepCount,timeStamp,"


def refuse_known(path: Path) -> None:
    """Refuses a file whose format is known but not read; returns for any other.

    Raises:
      UserError: It is a pickle, a PyBullet log, or an archive; with what to do.
    """
    refuse_pickle(path)
    if not path.is_file():
        return
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(_PYBULLET) and b"\n" in head:
        raise UserError(
            f"{path} is a PyBullet state log, whose records depend on the program that "
            "wrote it; read it with `readLogFile` of PyBullet's examples and write the "
            "rows as CSV, which is read"
        )
    if zipfile.is_zipfile(path) or head[257:262] == b"ustar" or head[:2] == b"\x1f\x8b":
        raise UserError(
            f"{path} is an archive; unpack it, and name the folder or file that comes "
            "out"
        )
