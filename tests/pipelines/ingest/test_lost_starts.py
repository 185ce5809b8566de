"""An episode that may have begun in what was lost is not taken for whole."""

from __future__ import annotations

import pytest

from thresher.pipelines.ingest.assemble import Assembled
from thresher.tests.pipelines.ingest.log_in_memory import MAPPING, Log, converted

MARKED = MAPPING + "episodes: {by: value, field: /on, start: true}\n"


def _log(said, lost_topic="/on"):
    """Steps each second, and marks between them; None is one that is lost.

    Args:
      said: What the mark says each second: nothing where it is "".
      lost_topic: The topic of what is lost.
    """
    rows, problems = [], []
    for second, mark in enumerate(said):
        if mark is None:
            problems.append(len(rows))
            rows.append((lost_topic, float(second), True))
        elif mark != "":
            rows.append(("/on", float(second), mark))
        rows += [("/q", second + 0.1, float(second)), ("/a", second + 0.2, 1.0)]
    return Log(rows, problems)


AGAIN_AND_AGAIN = [False, False, True, True, True, False, None, True, True, True, False]
ONCE = [False, "", True, "", "", False, None, True, "", "", False]
NOT_BEFORE_IT = [False, False, True, True, None, True, False, False, True, True, False]
LOST_EARLIER = [False, None, False, False, True, True, True, False, True, True, False]


@pytest.mark.parametrize("unset", [3, 5])
def test_a_mark_behind_a_jump_of_the_clock_may_not_be_the_first(tmp_path, unset):
    said = [False, *[True] * 7, False, True, True, False]
    log = _log(said)
    year = 500 * 86400
    log.rows = [(t, s - year if s < unset else s, value) for t, s, value in log.rows]
    results, _ = converted(tmp_path, log, MARKED)
    *parts, whole = results
    # Two steps before the jump are too few to be a part.
    assert len(parts) == (1 if unset == 3 else 2)
    for part in parts:
        assert "jumps by more than a year" in part.reasons[0]
    assert whole.episode.array("observation/q").tolist() == [9.0, 10.0]


@pytest.mark.parametrize(
    ("said", "lost_topic", "whole"),
    [
        (AGAIN_AND_AGAIN, "/on", [True, False]),
        (AGAIN_AND_AGAIN, "/q", [True, True]),
        (ONCE, "/on", [True, True]),
        (NOT_BEFORE_IT, "/on", [False, True]),
        (LOST_EARLIER, "/on", [True, True]),
        (AGAIN_AND_AGAIN, "/o", [True, True]),
    ],
)
def test_a_mark_that_is_said_again_and_again_may_not_be_the_first(
    tmp_path, said, lost_topic, whole
):
    results, _ = converted(tmp_path, _log(said, lost_topic), MARKED)
    assert [isinstance(result, Assembled) for result in results] == whole
    for result in results:
        if not isinstance(result, Assembled):
            assert result.reasons[0].startswith("unreadable: ")
