"""What tests of assembling share: a mapping of a small log, and what is made of it."""

from __future__ import annotations

from thresher.benchmarks.sound_logs import SECOND
from thresher.episodes.contract import violations
from thresher.episodes.metadata import Provenance
from thresher.pipelines.ingest.assemble import assemble
from thresher.pipelines.ingest.columns import stream_of
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.recording import Segment
from thresher.tests.pipelines.ingest.tiny_logs import write_mapping

LOG = """
name: log
robot: tiny
clock: {stream: /q}
step_seconds: 0.1
features: {observation/q: {from: /q}}
action: {from: /a}
"""


def assembled(tmp_path, text, segment, start_ns=0):
    mapping = load_mapping(write_mapping(tmp_path, text))
    made = assemble(segment, mapping, "source", Provenance(), start_ns)
    assert violations(made.episode, mapping.spec) == []
    return made.episode


def timed(times, values):
    return stream_of("f", [int(t * SECOND) for t in times], values)


def assembled_log(tmp_path, text=LOG, start=0.0, **streams):
    found = {f"/{name}": stream for name, stream in streams.items()}
    return assembled(tmp_path, text, Segment("all", found), int(start * SECOND))
