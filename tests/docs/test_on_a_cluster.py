"""The commands about runners that can run here give the same version, as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thresher.tests.pipelines.test_build import write_logs

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "on_a_cluster.md"
_MISSING = [name for name in ("java", "mvn") if shutil.which(name) is None]


def _commands() -> list[str]:
    blocks = re.findall(r"```\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def _run(command: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _data_files(folder: Path) -> dict[str, str]:
    """Digests of what holds episodes; other files tell which code was at work."""
    (sums,) = folder.glob("data/datasets/my_dataset/1.0.0/checksums.json")
    files = json.loads(sums.read_text())["files"]
    return {
        name: facts["sha256"]
        for name, facts in files.items()
        if "tfrecord" in name or name == "episodes.parquet"
    }


@pytest.mark.flink
@pytest.mark.skipif(bool(_MISSING), reason=f"Flink needs {' and '.join(_MISSING)}")
def test_processes_and_an_embedded_flink_give_the_same_version(tmp_path):
    _run("thresher new my_dataset", tmp_path)
    write_logs(tmp_path / "my_dataset" / "logs")
    processes, embedded = _commands()[:2]
    assert processes == "thresher build my_dataset --workers 8"
    assert embedded.endswith("--runner FlinkRunner --flink_master '[local]'")
    _run(processes.replace("8", "2"), tmp_path)
    first = _data_files(tmp_path)
    assert len(first) > 1
    shutil.rmtree(tmp_path / "data")
    _run(embedded, tmp_path)
    assert _data_files(tmp_path) == first
