"""What a run on Flink needs beyond Beam's options, found or started here.

An embedded Flink (`--flink_master=[local]`) and a cluster (`--flink_master=host:port`)
both get their pipelines through Beam's job server. Their Python workers are processes
of this environment, unless `--environment_type` says otherwise.
"""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import os
import re
import shlex
import sys
import urllib.request
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
)

from thresher.envs.cache import cache_folder
from thresher.episodes.errors import UserError
from thresher.episodes.files import atomic_write
from thresher.pipelines.flink_jars import job_server_jar
from thresher.pipelines.flink_job_server import JobServer, require_java

EMBEDDED = "[local]"
# The version that the tests run.
EMBEDDED_VERSION = "1.19"
_ANSWER_SECONDS = 15
# By Flink's address and the jar named for it; each lasts until its process ends, for
# starting one takes seconds.
_SERVERS: dict[tuple[str, str], JobServer] = {}


def on_flink(options: PipelineOptions) -> PipelineOptions:
    """Returns options that run on Flink now, having started what is missing.

    Parallelism is asked of the cluster each time: it may have lost a task manager.

    Args:
      options: With `--runner=FlinkRunner`; changed in the copy that is returned only.

    Raises:
      UserError: No Java, no job server to be had, no Flink at the address, or one
        without task slots.
    """
    ready = copy.deepcopy(options)
    flink = ready.view_as(FlinkRunnerOptions)
    if flink.flink_master in ("[auto]", EMBEDDED):
        flink.flink_master = EMBEDDED
        version, task_managers, slots = EMBEDDED_VERSION, 1, os.cpu_count() or 1
    else:
        version, task_managers, slots = _cluster(flink.flink_master)
    if flink.parallelism < 1:
        flink.parallelism = slots
    portable = ready.view_as(PortableOptions)
    if not portable.environment_type:
        portable.environment_type = "PROCESS"
        portable.environment_config = json.dumps({"command": str(_worker_program())})
        # One process would run all of a task manager's slots in turn, as threads do.
        portable.sdk_worker_parallelism = -(-flink.parallelism // task_managers)
    if not portable.job_endpoint:
        portable.job_endpoint = _job_server(ready, version).endpoint
    return ready


def stop_job_servers() -> None:
    """Ends the job servers of this process, and embedded Flinks with them."""
    while _SERVERS:
        _SERVERS.popitem()[1].stop()


def _job_server(options: PipelineOptions, version: str) -> JobServer:
    flink = options.view_as(FlinkRunnerOptions)
    master, named = flink.flink_master, flink.flink_job_server_jar or ""
    _require_jar(named)
    server = _SERVERS.get((master, named))
    if server is None or not server.alive:
        wanted = options.view_as(JobServerOptions)
        java = wanted.job_server_java_launcher
        require_java(java)
        jar = Path(named) if named else job_server_jar(version)
        properties = wanted.job_server_jvm_properties
        server = _SERVERS[master, named] = JobServer(jar, master, java, properties)
    return server


def _require_jar(named: str) -> None:
    if named and not Path(named).is_file():
        raise UserError(
            f"--flink_job_server_jar: there is no file {named}; leave it out to have "
            "the job server fetched by Maven"
        )


def _cluster(master: str) -> tuple[str, int, int]:
    """Returns a cluster's version, its task managers and its task slots."""
    overview = _overview(master)
    slots = int(overview["slots-total"])
    if slots < 1:
        raise UserError(
            f"the Flink cluster at {master} has no task slots: start a task manager"
        )
    version = re.match(r"\d+\.\d+", str(overview["flink-version"]))
    if version is None:
        raise UserError(
            f"{master} answers, but not as Flink does: version "
            f"{overview['flink-version']!r}; check --flink_master"
        )
    return version[0], int(overview["taskmanagers"]), slots


def _overview(master: str) -> dict[str, Any]:
    address = master if "://" in master else f"http://{master}"
    try:
        with urllib.request.urlopen(
            f"{address}/overview", timeout=_ANSWER_SECONDS
        ) as it:
            overview: dict[str, Any] = json.loads(it.read(1 << 20))
            _ = overview["slots-total"], overview["taskmanagers"]
            _ = overview["flink-version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"no Flink answers at --flink_master={master} ({error}); start the "
            f"cluster, correct the address (its REST port), or use {EMBEDDED}"
        ) from error
    return overview


def _worker_program() -> Path:
    """Returns a program that starts a worker in this environment.

    It is found under the same path by task managers on this machine, and by those on
    others where home folder (or THRESHER_CACHE) and environment are shared.
    """
    paths = os.pathsep.join(filter(None, sys.path))
    text = (
        "#!/bin/sh\n"
        f"export PYTHONPATH={shlex.quote(paths)}\n"
        "export TF_CPP_MIN_LOG_LEVEL=3\n"
        f'exec {shlex.quote(sys.executable)} -m thresher.pipelines.flink_worker "$@"\n'
    )
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    program = cache_folder() / "flink" / f"worker-{name}"
    if not program.exists():
        scratch = program.with_name(f".{program.name}.{os.getpid()}")
        atomic_write(scratch, text)
        scratch.chmod(0o755)
        scratch.replace(program)
    return program.absolute()


atexit.register(stop_job_servers)
