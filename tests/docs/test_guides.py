"""Every command in the guides runs, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from thresher.cli import app

DOCS = Path(__file__).resolve().parents[2] / "docs"
# With how many blocks of commands each has: none may go unread.
GUIDES = {
    "the_whole_road.md": 7,
    "the_grasping_world.md": 4,
    "the_collection.md": 2,
    "the_dataset.md": 7,
}


def commands(guide: Path) -> list[str]:
    """The bash blocks of a guide."""
    return re.findall(r"```bash\n(.*?)```", guide.read_text(), flags=re.DOTALL)


def run_guide(name, folder):
    """Runs a guide's commands as its reader would, each in a shell of its own."""
    blocks = commands(DOCS / name)
    assert len(blocks) == GUIDES[name]
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "THRESHER_CACHE": str(folder / "cache"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr[-3000:]}"
        yield done.stdout


def test_every_guide_is_known_here():
    assert {path.name for path in DOCS.glob("the_*.md")} == set(GUIDES)


def test_every_command_is_walked_by_a_guide():
    text = "\n".join(path.read_text() for path in DOCS.glob("*.md"))
    names = [c.name or c.callback.__name__ for c in app.registered_commands]
    for name in (*names, *(group.name for group in app.registered_groups)):
        assert f"\nthresher {name} " in text, name


def test_the_whole_road(tmp_path):
    list(run_guide("the_whole_road.md", tmp_path))
    page = (tmp_path / "road" / "report.html").read_text()
    for station in ("collect", "build", "train", "evaluate"):
        assert f"<td>{station}</td>" in page
    assert "qt-opt-monte-carlo, learned offline" in page


def test_the_grasping_world(tmp_path):
    alone, late, windowed, oracle = run_guide("the_grasping_world.md", tmp_path)
    assert alone.startswith("(64, 64, 3) train/5/")
    assert "scripted: " in late
    assert windowed.startswith("(4, 64, 64, 3) (4, 5)")
    assert "oracle: " in oracle


def test_collecting(tmp_path):
    plain, killed = run_guide("the_collection.md", tmp_path)
    assert plain.startswith("150 episodes in grasps: success ")
    assert killed.endswith("the same 150 episodes\n")


def test_datasets(tmp_path):
    blocks = list(run_guide("the_dataset.md", tmp_path))
    collected, made, built, shown, derived, shared, exported = blocks
    assert collected.startswith("80 episodes in grasps")
    assert "recipe.yaml" in made
    assert "splits={" in built
    assert "is as it was sealed" in shown
    assert "mixture 1.0.0" in derived
    assert "episodes with another sampling weight" in derived
    assert "'train':" in shared
    assert "bin_picking_oxe/1.0.0" in exported
