"""A log of messages in memory, and what a mapping makes of it."""

from __future__ import annotations

from thresher.benchmarks.sound_logs import at
from thresher.pipelines.ingest.convert import Conversion, Origin
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.recording import Message
from thresher.tests.pipelines.ingest.tiny_logs import write_mapping

MAPPING = """
name: cut
robot: tiny
clock: {stream: /q, timestamp: false}
step_seconds: 1
features: {observation/q: {from: /q}}
action: {from: /a, align: first-after}
"""


class Log:
    """A log in memory: (topic, seconds, value) rows in the order of time."""

    path = "memory"
    format = "memory"

    def __init__(self, rows, problems=()):
        self.rows = rows
        self.problems = problems
        self.not_asked_for = {}

    def topics(self):
        return sorted({topic for topic, _, _ in self.rows})

    def attributes(self):
        return {}

    def messages(self, fields, arrivals=()):
        for number, (topic, seconds, value) in enumerate(self.rows):
            values = {f: value for f in fields if f == topic}
            problem = "broken" if number in self.problems else ""
            if values or problem:
                yield Message(
                    topic,
                    at(seconds),
                    {} if problem else values,
                    f"message {number}",
                    problem,
                )


def converted(tmp_path, log, text):
    """Returns what becomes of a log, and its ledger, whose counts add up."""
    mapping = load_mapping(write_mapping(tmp_path, text))
    conversion = Conversion(log, mapping, Origin("memory", "memory"))
    results = list(conversion.results())
    ledger = conversion.ledger
    assert ledger.read == ledger.used + sum(ledger.dropped.values())
    assert min(ledger.dropped.values(), default=0) >= 0
    return results, ledger
