"""A table becomes episodes, or is refused with its place and the reason."""

from __future__ import annotations

import json
import re

import pytest

from thresher.pipelines.ingest.convert import Conversion, Origin, Refused
from thresher.pipelines.ingest.formats import open_recording
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.tests.pipelines.ingest.tiny_logs import write_mapping

TABLE = """
name: table
step_seconds: 0.1
alignment: rlds
features: {observation/x: {from: x}}
"""


def _results(tmp_path, text, rows="x\n1\n2\n3\n", name="t.csv"):
    (tmp_path / name).write_text(rows)
    mapping = load_mapping(write_mapping(tmp_path, text))
    recording = open_recording(tmp_path / name, {}, "")
    conversion = Conversion(recording, mapping, Origin(name, "delimited"))
    return list(conversion.results())


def _refusal(*arguments, **more):
    (refused,) = _results(*arguments, **more)
    assert isinstance(refused, Refused)
    return refused


def test_a_table_s_episode_of_more_than_max_bytes_is_refused(tmp_path):
    rows = "x\n" + "1\n" * 200
    text = TABLE + "episodes: {max_bytes: 1000}"
    refused = _refusal(tmp_path, text, rows)
    assert refused.position.startswith("lines 2-201")
    assert refused.reasons[0].startswith("size: 1600 bytes of values, more than max_b")
    (made,) = _results(tmp_path, text.replace("1000", "1600"), rows)
    assert made.episode.num_steps == 200


@pytest.mark.parametrize(
    ("mapped", "reason"),
    [
        ("features: {observation/x: {from: x, dtype: str}}", "observation/x: .*step 1"),
        ("language: {field: x}", "label: .* of x holds half of a character"),
        ("objects: [{field: x}]", "label: .* of x holds half of a character"),
    ],
)
def test_half_of_a_character_refuses_its_episode(tmp_path, mapped, reason):
    rows = "".join(json.dumps({"x": t, "n": 1}) + "\n" for t in ("a", "b\ud800"))
    text = TABLE.replace("from: x", "from: n")
    if "features" in mapped:
        text = text[: text.index("features")]
    refused = _refusal(tmp_path, f"{text}{mapped}\n", rows, name="t.jsonl")
    assert refused.position.startswith("lines 1-2")
    assert re.search(reason, refused.reasons[0])
