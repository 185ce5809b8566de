"""Labels are told by values, also by those that come as arrays of one."""

from __future__ import annotations

import numpy as np
import pytest

from thresher.episodes.metadata import Success
from thresher.pipelines.ingest.labels import success_of, text_of
from thresher.pipelines.ingest.mapping import Label
from thresher.pipelines.ingest.recording import Segment, Stream
from thresher.pipelines.ingest.ticks import RefusedSegment


def _segment(values):
    return Segment("all", {"s": Stream(np.arange(len(values)), np.array(values))})


@pytest.mark.parametrize(
    ("at", "succeeded"),
    [
        ("first", Success.NO),
        ("last", Success.YES),
        ("any", Success.YES),
        ("all", Success.NO),
    ],
)
@pytest.mark.parametrize("values", [[[False], [True]], [[[0.0]], [[1.0]]]])
def test_an_array_of_one_value_is_that_value(values, at, succeeded):
    label = Label(field="s", at=at)
    assert success_of(label, _segment(values)) is succeeded


def test_values_that_are_named_are_found_in_arrays_of_one():
    label = Label(field="s", success_values=(3,))
    assert success_of(label, _segment([[0], [3]])) is Success.YES
    assert text_of(Label(field="s"), _segment([["lift"]])) == "lift"


@pytest.mark.parametrize("at", ["last", "any"])
@pytest.mark.parametrize("means", [(), (1,)])
def test_of_two_values_none_is_chosen(at, means):
    label = Label(field="s", at=at, success_values=means)
    with pytest.raises(RefusedSegment, match="means neither"):
        success_of(label, _segment([[True, True]]))
