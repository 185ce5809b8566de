"""What a worker process runs: units from a pipe, one after another, until it closes.

Started by `unit_hosts`. It imports what its units need and no more: not Beam. It ends
with its parent, also in the middle of a unit: whoever starts the same work again must
not find somebody else at it.
"""

from __future__ import annotations

import os
import pickle
import select
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Optional

from thresher.pipelines.unit import Kind, Refusal, run_unit


def main() -> None:
    """Runs what comes until the parent is gone."""
    with Connection(int(sys.argv[1])) as pipe:
        threading.Thread(target=_end_with, args=(pipe.fileno(),), daemon=True).start()
        while True:
            try:
                sent = pipe.recv_bytes()
            except EOFError:
                return
            try:
                pipe.send(_run(sent))
            except BrokenPipeError:
                return


def _end_with(parent: int) -> None:
    """Ends this process when nobody holds the other end of a pipe any more."""
    hung_up = select.poll()
    # What hung up is told unasked; nothing else is of interest here.
    hung_up.register(parent, 0)
    hung_up.poll()
    os._exit(1)


def _run(sent: bytes) -> Optional[Refusal]:
    try:
        unit = pickle.loads(sent)
    except Exception:  # noqa: BLE001
        # Importing what a unit needs may raise anything; the parent should hear of it.
        return Refusal(Kind.CRASHED, traceback.format_exc(), kept=False)
    return run_unit(unit)


if __name__ == "__main__":
    main()
