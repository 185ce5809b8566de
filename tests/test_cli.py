"""The command line: quick help, one-line errors, no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from thresher import cli


def _thresher(*words):
    return subprocess.run(
        [sys.executable, "-m", "thresher.cli", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_station_and_imports_nothing_heavy():
    script = (
        "import sys; sys.argv = ['thresher', '--help']\n"
        "from thresher.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'apache_beam', 'pybullet', 'numpy', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for station in ("collect", "train", "evaluate", "report"):
        assert station in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "scriptd", "--out", "x"), "did you mean 'scripted'"),
        (
            ("evaluate", "random", "--out", "x", "--world", "bin_grasp"),
            "'bin_grasping'",
        ),
        (
            ("evaluate", "random", "--out", "x", "--objects", "train"),
            "seen in training",
        ),
        (
            ("train", "qt-opt", "--dataset", "nowhere", "--out", "x"),
            "no dataset version at nowhere",
        ),
        (("report", "nowhere", "--out", "x.html"), "neither a run folder"),
        (("collect", "--out", "x", "--episodes", "0"), "ask for 1 or more"),
    ],
)
def test_what_users_get_wrong_is_said_in_one_message(words, message, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "thresher.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**__import__("os").environ, "THRESHER_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "thresher: interrupted; the same command goes on from here\n"),
        ("stopped: 3 are there", "thresher: stopped: 3 are there\n"),
    ],
)
def test_who_interrupts_is_told_how_to_go_on(monkeypatch, capsys, said, message):
    def interrupted(*_):
        raise KeyboardInterrupt(*([said] if said else []))

    monkeypatch.setattr("thresher.pipelines.ingest.inspect.inspect", interrupted)
    monkeypatch.setattr(sys, "argv", ["thresher", "inspect", "a.mcap"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == message
