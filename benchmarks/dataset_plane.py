"""The dataset plane, measured beside TFDS: rates, memory, derivation, growth.

    python -m thresher.benchmarks.dataset_plane all --work runs/dataset_plane

Steps measure one thing each and go on where they were interrupted: records are kept in
the work folder, and what is there is not measured again. `page` writes
docs/results/dataset_plane.md from them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from thresher.benchmarks.plane_derive import (
    measure_derive,
    measure_queries,
    measure_verify,
)
from thresher.benchmarks.plane_floor import measure_floor
from thresher.benchmarks.plane_growth import measure_growth, measure_plans
from thresher.benchmarks.plane_inputs import made_inputs
from thresher.benchmarks.plane_memory import measure_memory
from thresher.benchmarks.plane_page import write_page
from thresher.benchmarks.plane_rates import measure_long, measure_rates, measure_trial
from thresher.benchmarks.plane_runs import Results

REPEATED = {
    "rates": measure_rates,
    "floor": measure_floor,
    "long": measure_long,
    "trial": measure_trial,
    "derive": measure_derive,
    "verify": measure_verify,
    "queries": measure_queries,
}
SINGLE = {"memory": measure_memory, "growth": measure_growth, "plans": measure_plans}


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = ("all", *REPEATED, *SINGLE, "page")
    parser.add_argument("steps", nargs="+", choices=steps)
    parser.add_argument("--work", type=Path, default=Path("runs/dataset_plane"))
    parser.add_argument("--logs", type=Path, help="Collected episodes, if there are.")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    wanted = steps[1:] if "all" in arguments.steps else arguments.steps
    inputs = made_inputs(arguments.work.resolve(), arguments.logs)
    results = Results(inputs.work / "results.jsonl")
    for step in wanted:
        if step in REPEATED:
            REPEATED[step](inputs, results, arguments.repeats)
        elif step in SINGLE:
            SINGLE[step](inputs, results)
        else:
            write_page(results)


if __name__ == "__main__":
    main()
