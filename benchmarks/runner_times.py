"""How long the same small build takes on each runner, and that its bytes agree.

    thresher collect --out runs/few --episodes 500
    python benchmarks/runner_times.py --logs runs/few/logs

What it shows is what a runner costs to begin with: 500 episodes are little work.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from thresher.episodes.run_record import code_revision
from thresher.pipelines import seal
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.flink import stop_job_servers
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.runners import local_options, runner_options
from thresher.tools import flink_cluster

_RECIPE = Recipe("few", "1.0.0", "Few episodes.", plan=PlanConfig(num_shards=10))


def _flink(master: str) -> PipelineOptions:
    return runner_options(["--runner=FlinkRunner", f"--flink_master={master}"])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=Path, required=True)
    logs = parser.parse_args().logs.resolve()
    revision = code_revision()
    # Versions tell which code made them; somebody may commit while this runs.
    seal.code_revision = lambda: revision
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        master = flink_cluster.start(root / "cluster")
        kinds: dict[str, Callable[[], PipelineOptions]] = {
            "this process": lambda: local_options(1),
            "two processes": lambda: local_options(2),
            "Flink, embedded": lambda: _flink("[local]"),
            "Flink, 1 job manager, 2 task managers": lambda: _flink(master),
        }
        try:
            rows = [_row(root, logs, name, kind()) for name, kind in kinds.items()]
        finally:
            stop_job_servers()
            flink_cluster.stop(root / "cluster")
    print(
        "| where units run | first build | second build | version |\n|---|---|---|---|"
    )
    print("\n".join(rows))
    print(
        f"\n{len(list(logs.glob('*.mcap')))} logs; {os.cpu_count()} processors, "
        f"load {os.getloadavg()[1]:.1f}, {platform.platform()}, Python "
        f"{platform.python_version()}, Beam {beam.__version__}, Flink "
        f"{flink_cluster.FLINK}, code `{revision}`. "
        f"`python {' '.join(['benchmarks/runner_times.py', *sys.argv[1:]])}`"
    )


def _row(root: Path, logs: Path, name: str, options: PipelineOptions) -> str:
    seconds, digest = [], ""
    for turn in range(2):
        target = root / f"{name}-{turn}" / "few" / "1.0.0"
        began = time.monotonic()
        digest = build_version(Build(_RECIPE, logs, target, options)).digest
        seconds.append(time.monotonic() - began)
    return f"| {name} | {seconds[0]:.1f} s | {seconds[1]:.1f} s | `{digest[:12]}` |"


if __name__ == "__main__":
    main()
