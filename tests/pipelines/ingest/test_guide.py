"""The guide to ingesting: its commands run, its keys are those that are read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from thresher.pipelines.ingest.mapping import ALIGNMENTS, ALIGNS, MARKS

DOCS = Path(__file__).resolve().parents[3] / "docs"
GUIDE = (DOCS / "from_your_logs.md").read_text()


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide")
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return [
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for block in re.findall(r"```bash\n(.*?)```", GUIDE, flags=re.DOTALL)
    ]


def test_its_commands_do_what_it_says(said):
    looked, first, tuesday, episodes = said
    assert "/joints.position" in looked
    assert "attributes: recorder.operator" in looked
    assert "1 recordings (0 unread): 1 episodes kept" in first
    assert "4 episodes kept, 0 quarantined" in tuesday
    assert [line.split()[0] for line in episodes.splitlines()] == ["30"] * 4


@pytest.mark.parametrize("word", [*ALIGNS, *ALIGNMENTS, *MARKS])
def test_every_choice_is_explained(word):
    assert f"`{word}`" in GUIDE or f"`by: {word}`" in GUIDE


def test_every_key_is_explained():
    keys = (Path(__file__).parents[3] / "pipelines/ingest/mapping_file.py").read_text()
    named = set(re.findall(r'(?:take|choice|positive|texts|require)\(\s*"(\w+)"', keys))
    assert len(named) > 30
    for key in sorted(named):
        assert re.search(rf"\b{key}\b", GUIDE), key


def test_what_it_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (DOCS / target).exists(), target
