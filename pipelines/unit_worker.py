"""What a worker process runs: units from a pipe, one after another, until it closes.

Started by `unit_hosts`. It imports what its units need and no more: not Beam.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from thresher.pipelines.unit import run_unit


def main() -> None:
    """Runs what comes until the parent is gone."""
    with Connection(int(sys.argv[1])) as pipe:
        while True:
            try:
                unit = pipe.recv()
            except EOFError:
                return
            try:
                pipe.send(run_unit(unit))
            except BrokenPipeError:
                return


if __name__ == "__main__":
    main()
