"""Every command in the guides runs, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = ["the_whole_road.md"]


def commands(guide: Path) -> list[str]:
    """The bash blocks of a guide."""
    return re.findall(r"```bash\n(.*?)```", guide.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("name", GUIDES)
def test_the_commands_of_a_guide_run(name, tmp_path):
    blocks = commands(DOCS / name)
    assert len(blocks) >= 5
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "THRESHER_CACHE": str(tmp_path / "cache"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr[-3000:]}"
    page = (tmp_path / "road" / "report.html").read_text()
    for station in ("collect", "build", "train", "evaluate"):
        assert f"<td>{station}</td>" in page
    assert "qt-opt-monte-carlo, learned offline" in page
