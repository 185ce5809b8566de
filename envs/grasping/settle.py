"""Settles what a bank of scenes lacks, with one helper process for each processor.

The helpers are this module run as a program, rather than multiprocessing's: those would
run a caller's script again where it has no main guard, and may not be started by a
worker of somebody's pool.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from thresher.envs.grasping.scene_bank import SceneBank
from thresher.episodes.progress import progress

_POLL_SECONDS = 0.2


def prepare(bank: SceneBank) -> None:
    """Settles what is missing, on all processors, with a progress bar.

    Raises:
      RuntimeError: A helper process died; what it had settled stays.
    """
    missing = _missing(bank)
    if not missing:
        return
    workers = min(os.cpu_count() or 1, len(missing))
    total = len(bank.chunks)
    title = f"settle {bank.object_set} scenes (hundreds)"
    with (
        progress(title, total, total - len(missing)) as bar,
        _helpers(bank, [missing[i::workers] for i in range(workers)]) as helpers,
    ):
        while any(helper.poll() is None for helper in helpers):
            time.sleep(_POLL_SECONDS)
            bar.update(total - len(_missing(bank)))
    if _missing(bank):
        raise RuntimeError(
            f"settling ended {len(_missing(bank))} hundreds short (exit status "
            f"{[helper.returncode for helper in helpers]}); start again: what is "
            "settled stays"
        )


def main(arguments: Sequence[str]) -> None:
    """Settles some hundreds: OBJECT_SET NUM_OBJECTS SIZE HUNDRED..."""
    object_set, num_objects, size, *chunks = arguments
    bank = SceneBank(object_set, int(num_objects), int(size))
    for chunk in chunks:
        bank.settle_chunk(int(chunk))


def _missing(bank: SceneBank) -> list[int]:
    return [chunk for chunk in bank.chunks if not bank.chunk_file(chunk).exists()]


@contextlib.contextmanager
def _helpers(
    bank: SceneBank, shares: list[list[int]]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Starts a process for each share of a bank's hundreds; none outlives the block."""
    facts = [bank.object_set, str(bank.num_objects), str(bank.size)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    helpers = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, *facts, *map(str, share)], env=environment
        )
        for share in shares
    ]
    try:
        yield helpers
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
