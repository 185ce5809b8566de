"""A corrupt or hostile dataset folder gets an answer: no crash, no wait, no trace."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import shutil
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from thresher.cli import app
from thresher.episodes.errors import UserError
from thresher.pipelines.build import build_version
from thresher.pipelines.derive import Derivation, derive_version
from thresher.pipelines.runners import local_options
from thresher.tests.pipelines import hostile_folders as hostile
from thresher.tests.pipelines.test_build import _build, write_logs

_SECONDS = 30
_MOST_BYTES = 2 << 30


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    root = tmp_path_factory.mktemp("sound")
    return build_version(_build(root, write_logs(root / "logs", files=1))).path


@pytest.fixture
def folder(version, tmp_path):
    return shutil.copytree(version, tmp_path / "data" / "tiny" / "1.0.0")


class _TookTooLongError(Exception):
    pass


@contextlib.contextmanager
def _limited():
    """Limits time, and memory to two gibibytes more than there is now."""

    def stop(signum, frame):
        raise _TookTooLongError

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + _MOST_BYTES
    before = resource.getrlimit(resource.RLIMIT_AS)
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    # No handler runs while a library waits; rather no tests at all than such a wait.
    faulthandler.dump_traceback_later(4 * _SECONDS, exit=True)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, before)


def _commands(folder, sound, out):
    derived = ["--data-dir", str(out), "--ratio", "0.5", "--version", "9.0.0"]
    return [
        ["verify", str(folder)],
        ["show", str(folder)],
        ["log", str(folder)],
        ["episodes", str(folder), "--where", "success and length > 1"],
        ["episodes", str(folder), "--excluded"],
        ["diff", str(folder), str(sound)],
        ["diff", str(sound), str(folder)],
        ["derive", str(folder), *derived],
    ]


def _outcome(words):
    """Returns what a command did: 'status 0', or its message; anything else raises."""
    with _limited():
        done = CliRunner().invoke(app, words)
    error = done.exception
    if isinstance(error, UserError):
        assert len(str(error)) < 4000
        return str(error)
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return f"status {done.exit_code}"


def _everything_below(folder):
    return {
        path: None if path.is_dir() or not path.is_file() else path.stat().st_mtime_ns
        for path in folder.rglob("*")
    }


def test_a_sound_folder_does_all_of_it(version, folder, tmp_path):
    said = [_outcome(words) for words in _commands(folder, version, tmp_path / "out")]
    assert said == ["status 0"] * len(said)


@pytest.mark.parametrize("name", hostile.ATTACKS)
def test_every_command_answers(name, version, folder, tmp_path):
    hostile.ATTACKS[name](folder)
    if not any(word in name for word in ("pipe", "folder", "link", "endless")):
        hostile.reseal(folder)
    before = _everything_below(tmp_path)
    for words in _commands(folder, version, tmp_path / "out"):
        try:
            _outcome(words)
        except BaseException as error:
            raise AssertionError(
                f"{words[0]}: {type(error).__name__}: {error}"
            ) from error
    after = _everything_below(tmp_path)
    strange = [
        p for p in after if p not in before and tmp_path / "out" not in p.parents
    ]
    assert [p for p in strange if p != tmp_path / "out"] == []
    assert {p: after[p] for p in before} == before


def test_columns_of_another_kind_or_twice_are_one_message(folder, tmp_path):
    for name in ("summaries.parquet", "episodes.parquet"):
        hostile_version = shutil.copytree(folder, tmp_path / name / "tiny" / "1.0.0")
        path = hostile_version / name
        table = pq.read_table(path)
        if name == "summaries.parquet":
            table = pa.table({"summary": pa.array([True] * table.num_rows)})
        else:
            table = table.append_column("stuck_joints", table["stuck_joints"])
        pq.write_table(table, path)
        with pytest.raises(UserError, match=r"side files of .* are damaged"):
            derive_version(Derivation([hostile_version], name="x"), local_options(1))
