"""Beam's job server for Flink, fetched once by Maven and kept in the cache."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import apache_beam as beam

from thresher.envs.cache import cache_folder
from thresher.episodes.errors import UserError

MAIN_CLASS = "org.apache.beam.runners.flink.FlinkJobServerDriver"
# Where a repository does not offer the job server in one piece, it is put together from
# the runner and what that depends on. A job server takes pipelines of newer SDKs; this
# release is the newest whose parts were all to be had when it was tried.
_RUNNER_IN_PARTS = {"1.19": "2.62.0"}
_SLF4J = ("org.slf4j", "slf4j-simple", "1.7.30")
_FETCH_SECONDS = 1800

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>thresher</groupId><artifactId>fetch</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId>"
    "<version>{}</version></dependency>"
)

Coordinates = tuple[str, str, str]


def job_server_jar(flink_version: str) -> Path:
    """Returns the job server for a Flink version, from the cache or by Maven.

    Args:
      flink_version: Major and minor number, as in '1.19'.

    Raises:
      UserError: Maven is not installed, or it cannot get the job server.
    """
    home = cache_folder() / "flink" / f"{flink_version}-beam-{beam.__version__}"
    jar = home / "job-server.jar"
    if not jar.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as scratch:
            made = Path(scratch) / "job-server"
            _fetch_job_server(flink_version, made)
            if not jar.exists():
                made.rename(home)
    return jar


def _fetch_job_server(flink_version: str, home: Path) -> None:
    name = f"beam-runners-flink-{flink_version}"
    whole = ("org.apache.beam", f"{name}-job-server", beam.__version__)
    try:
        _fetch([whole], home, alone=True)
        next(home.glob("*.jar")).rename(home / "job-server.jar")
    except UserError:
        if flink_version not in _RUNNER_IN_PARTS:
            raise
        runner = ("org.apache.beam", name, _RUNNER_IN_PARTS[flink_version])
        _fetch([runner, _SLF4J], home / "lib", alone=False)
        _write_jar_of_jars(home)


def _fetch(artifacts: list[Coordinates], folder: Path, *, alone: bool) -> None:
    """Has Maven copy artifacts, with or without what they depend on, to a folder."""
    maven = shutil.which("mvn")
    if maven is None:
        raise UserError(
            "Flink's job server is fetched by Maven, and there is no `mvn`: install "
            "Maven (Debian: apt-get install maven), or name a jar that you have with "
            "--flink_job_server_jar"
        )
    with tempfile.TemporaryDirectory() as scratch:
        dependencies = "".join(_DEPENDENCY.format(*artifact) for artifact in artifacts)
        (Path(scratch) / "pom.xml").write_text(_POM.format(dependencies=dependencies))
        command = [maven, "-B", "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={folder.absolute()}", "-DincludeScope=runtime"]
        command += ["-DexcludeTransitive=true"] if alone else []
        _run_maven(command, scratch, artifacts)


def _run_maven(command: list[str], scratch: str, artifacts: list[Coordinates]) -> None:
    named = ", ".join(":".join(artifact) for artifact in artifacts)
    try:
        done = subprocess.run(
            command,
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"Maven did not get {named} in {_FETCH_SECONDS} s; try again where the "
            "network is faster, or name a jar with --flink_job_server_jar"
        ) from error
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        why = errors[0] if errors else done.stderr[-300:]
        raise UserError(
            f"Maven cannot get {named} ({why}); "
            "name a jar that you have with --flink_job_server_jar"
        )


def _write_jar_of_jars(home: Path) -> None:
    """Writes a jar that holds only the names of those in `lib`, and what to start."""
    names = sorted(path.name for path in (home / "lib").glob("*.jar"))
    path = "Class-Path: " + " ".join(f"lib/{name}" for name in names)
    # The format allows 72 bytes a line; a line that begins with a space goes on.
    first, rest = path[:70], path[70:]
    lines = [first] + [f" {rest[at : at + 69]}" for at in range(0, len(rest), 69)]
    manifest = ["Manifest-Version: 1.0", f"Main-Class: {MAIN_CLASS}", *lines, "", ""]
    with zipfile.ZipFile(home / "job-server.jar", "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "\r\n".join(manifest))
