"""The same build on Flink, embedded and on a cluster that loses a task manager."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from types import SimpleNamespace

import psutil
import pytest

from thresher.episodes.errors import UserError
from thresher.pipelines import flink, flink_jars, seal
from thresher.pipelines.build import Build, build_version
from thresher.pipelines.flink import on_flink, stop_job_servers
from thresher.pipelines.flink_job_server import JobServer, require_java
from thresher.pipelines.plan import PlanConfig
from thresher.pipelines.recipe import Recipe
from thresher.pipelines.runners import local_options, runner_options
from thresher.tests.pipelines.test_build import write_logs
from thresher.tools import flink_cluster

RECIPE = Recipe("tiny", "1.0.0", "Tiny episodes.", plan=PlanConfig(num_shards=12))
_MISSING = [name for name in ("java", "mvn") if shutil.which(name) is None]
needs_flink = pytest.mark.skipif(
    bool(_MISSING), reason=f"Flink needs {' and '.join(_MISSING)}, not installed here"
)


@pytest.fixture(scope="module", autouse=True)
def _one_revision():
    """A version tells which code made it, and somebody may commit meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "code_revision", lambda: "of this test")
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What one process makes of some logs."""
    logs = write_logs(tmp_path_factory.mktemp("raw") / "logs", files=4, each=60)
    target = tmp_path_factory.mktemp("data") / "tiny" / "1.0.0"
    return build_version(Build(RECIPE, logs, target, local_options(1))), logs


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Folder and address of a cluster of two task managers."""
    folder = tmp_path_factory.mktemp("cluster")
    yield folder, flink_cluster.start(folder, task_managers=2)
    stop_job_servers()
    flink_cluster.stop(folder)


def _on(master, logs, root):
    options = runner_options(["--runner=FlinkRunner", f"--flink_master={master}"])
    return Build(RECIPE, logs, root / "tiny" / "1.0.0", options)


@needs_flink
@pytest.mark.flink
def test_an_embedded_flink_builds_the_same_bytes(built, tmp_path, capsys):
    version, logs = built
    assert build_version(_on("[local]", logs, tmp_path)).digest == version.digest
    assert "the runner failed" not in capsys.readouterr().err


@needs_flink
@pytest.mark.flink
def test_a_task_manager_killed_during_the_build_changes_no_byte(
    built, cluster, tmp_path, capsys
):
    version, logs = built
    folder, master = cluster
    build = _on(master, logs, tmp_path)
    killed = threading.Event()

    def kill_when_shards_come():
        while not list(build.work.rglob("*.tfrecord-*")):
            time.sleep(0.01)
        flink_cluster.kill(folder / "task-manager-0.pid")
        killed.set()

    threading.Thread(target=kill_when_shards_come, daemon=True).start()
    assert flink_cluster.task_managers_of(master) == 2
    assert build_version(build).digest == version.digest
    assert killed.is_set()
    assert flink_cluster.task_managers_of(master) == 1
    assert "write: the runner failed" in capsys.readouterr().err


@needs_flink
@pytest.mark.flink
def test_a_job_server_ends_with_whoever_started_it(tmp_path):
    script = f"""
        from pathlib import Path
        from thresher.pipelines.flink import EMBEDDED, EMBEDDED_VERSION, job_server_jar
        from thresher.pipelines.flink_job_server import JobServer
        server = JobServer(job_server_jar(EMBEDDED_VERSION), EMBEDDED)
        Path({str(tmp_path)!r}, "ready").touch()
        input()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    started = psutil.Process(process.pid).children(recursive=True)
    assert any("java" in child.name() for child in started)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _, left = psutil.wait_procs(started, timeout=10)
    assert not left


@pytest.mark.skipif("java" in _MISSING, reason="there is no Java here")
def test_a_job_server_that_cannot_start_says_what_java_said(tmp_path):
    (tmp_path / "no.jar").write_text("not a jar")
    with pytest.raises(UserError, match="did not start.*[Ii]nvalid or corrupt jarfile"):
        JobServer(tmp_path / "no.jar", "[local]")


def test_a_missing_or_foreign_java_is_named_with_the_remedy(tmp_path):
    with pytest.raises(UserError, match="no program 'no-java'.*apt-get install"):
        require_java("no-java")
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_1\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(UserError, match="Java 11 or newer, and .*1.8.0_1"):
        require_java(str(old))


def test_without_maven_a_jar_of_ones_own_is_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no `mvn`.*--flink_job_server_jar"):
        flink_jars.job_server_jar("1.19")
    assert not any(p.name != "flink" for p in tmp_path.iterdir())
    assert not list((tmp_path / "flink").iterdir())


def test_what_maven_refuses_is_told_in_its_words(tmp_path, monkeypatch):
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] no such artifact'; exit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="flink-9.9-job-server.*no such artifact"):
        flink_jars.job_server_jar("9.9")


def test_a_jar_of_jars_names_them_as_the_format_demands(tmp_path):
    (tmp_path / "lib").mkdir()
    names = [f"some-library-with-a-long-name-{n}.jar" for n in range(40)]
    for name in names:
        (tmp_path / "lib" / name).touch()
    flink_jars._write_jar_of_jars(tmp_path)
    with zipfile.ZipFile(tmp_path / "job-server.jar") as jar:
        manifest = jar.read("META-INF/MANIFEST.MF").decode()
    assert all(len(line.encode()) <= 72 for line in manifest.splitlines())
    whole = manifest.replace("\r\n ", "")
    assert f"\r\nMain-Class: {flink_jars.MAIN_CLASS}\r\n" in whole
    path = whole.partition("Class-Path: ")[2].split("\r\n")[0]
    assert path.split(" ") == sorted(f"lib/{name}" for name in names)


@pytest.mark.parametrize("answer", ["refused", "not json"])
def test_an_address_without_flink_is_refused(answer, tmp_path):
    port = flink_cluster._free_ports(1)[0]
    serving = None
    if answer == "not json":
        (tmp_path / "overview").write_text("<html>hello</html>")
        command = [sys.executable, "-m", "http.server", str(port), "-d", str(tmp_path)]
        serving = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(1)
    try:
        with pytest.raises(UserError, match=f"no Flink answers .*localhost:{port}"):
            on_flink(
                runner_options(
                    ["--runner=FlinkRunner", f"--flink_master=localhost:{port}"]
                )
            )
    finally:
        if serving is not None:
            serving.kill()
            serving.wait()


@pytest.mark.parametrize("runs_already", [False, True])
def test_a_named_jar_has_to_be_there(monkeypatch, runs_already):
    server = SimpleNamespace(alive=True, endpoint="localhost:1", stop=lambda: None)
    running = {("[local]", ""): server} if runs_already else {}
    monkeypatch.setattr(flink, "_SERVERS", running)
    flags = ["--runner=FlinkRunner", "--flink_master=[local]"]
    options = runner_options([*flags, "--flink_job_server_jar=/no/such.jar"])
    with pytest.raises(UserError, match="no file /no/such.jar"):
        on_flink(options)


def test_what_the_user_says_of_workers_is_kept():
    flags = ["--runner=FlinkRunner", "--job_endpoint=localhost:1", "--parallelism=7"]
    flags += ["--environment_type=EXTERNAL", "--environment_config=localhost:50000"]
    said = on_flink(runner_options(flags)).get_all_options()
    assert said["parallelism"] == 7
    assert said["environment_type"] == "EXTERNAL"
    assert said["environment_config"] == "localhost:50000"
    assert said["job_endpoint"] == "localhost:1"
