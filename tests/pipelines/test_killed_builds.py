"""A build that is killed goes on, and its bytes are those of one that never was.

The points are events of the file system, spread over all there are (some 90 of a
build): files opened for writing, renames, removals, folders made.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from thresher.pipelines.build import build_version
from thresher.tests.pipelines.test_build import _build, write_logs

# `kill_points` takes any number; it was run with every event of all three.
POINTS = {"build": 26, "derive": 16, "overwrite": 10}
TIMES = {"parent": 3, "worker": 3}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What was wrong after each kill, all in one process: importing takes seconds."""
    folder = tmp_path_factory.mktemp("kills")
    logs = write_logs(folder / "logs", files=2, each=16)
    parent = build_version(_build(folder / "before", logs)).path
    command = [sys.executable, "-m", "thresher.tests.pipelines.kill_points"]
    words = [*map(str, (folder, logs, parent))]
    words += [f"{work}={kills}" for work, kills in {**POINTS, **TIMES}.items()]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {**json.loads(done.stdout), "told": done.stderr[-3000:]}


@pytest.mark.parametrize("work", POINTS)
def test_killed_anywhere_the_same_command_ends_in_the_same_bytes(work, found):
    assert found[work]["problems"] == {}, found["told"]
    assert found[work]["points"] == POINTS[work] <= found[work]["events"]


@pytest.mark.parametrize("who", TIMES)
def test_a_kill_at_any_time_of_several_processes_changes_no_byte(who, found):
    assert found[who]["problems"] == {}, found["told"]
    assert found[who]["points"] >= 2
