"""How one episode went is never told of the next; a task may be told before it."""

from __future__ import annotations

import pytest

from thresher.pipelines.ingest.assemble import Assembled
from thresher.tests.pipelines.ingest.log_in_memory import MAPPING, Log, converted

MARKED = MAPPING + "episodes: {by: value, field: /on, start: true}\n"


def _rows(number):
    """Three steps of an episode, between its marks."""
    begin = 10.0 * number
    steps = [(topic, begin + 1 + k, float(k)) for k in range(3) for topic in "qa"]
    return [
        ("/on", begin, True),
        *((f"/{topic}", time, value) for topic, time, value in steps),
        ("/on", begin + 8, False),
    ]


def _log(*said):
    """Three episodes, and what else is said, each at its time."""
    rows = [row for number in range(3) for row in _rows(number)]
    return Log(sorted([*rows, *said], key=lambda row: row[1]))


def _episodes(tmp_path, log, text):
    results, _ = converted(tmp_path, log, MARKED + text)
    assert all(isinstance(result, Assembled) for result in results)
    return [result.episode for result in results]


@pytest.mark.parametrize("at", ["first", "last", "any", "all"])
def test_success_is_not_that_of_the_episode_before(tmp_path, at):
    log = _log(("/ok", 4.0, True), ("/ok", 24.0, False))
    said = f"success: {{field: /ok, at: {at}}}\n"
    episodes = _episodes(tmp_path, log, said)
    found = [e.metadata.outcome.success.value for e in episodes]
    assert found == ["yes", "unknown", "no"]


def test_success_said_between_episodes_is_nobody_s(tmp_path):
    episodes = _episodes(tmp_path, _log(("/ok", 9.0, True)), "success: {field: /ok}\n")
    assert [e.metadata.outcome.success.value for e in episodes] == ["unknown"] * 3


def test_an_episode_does_not_end_as_the_one_before_did(tmp_path):
    log = _log(("/done", 4.0, 1.0))
    episodes = _episodes(tmp_path, log, "ending: {field: /done}\n")
    assert [e.array("is_terminal")[-1] for e in episodes] == [True, False, False]


def test_a_feature_that_is_carried_over_says_nothing_of_success(tmp_path):
    log = _log(*((("/ok", 10.0 * n + 0.5, n == 0)) for n in range(3)))
    text = MARKED.replace("/q}}", "/q}, observation/ok: {from: /ok, dtype: bool}}")
    results, _ = converted(tmp_path, log, text + "success: {field: /ok, at: any}\n")
    found = [r.episode.metadata.outcome.success.value for r in results]
    assert found == ["yes", "no", "no"]


@pytest.mark.parametrize("at", ["first", "last"])
def test_a_task_told_before_an_episode_holds_until_the_episode_tells_its_own(
    tmp_path, at
):
    told = ((-1.0, "lift"), (10.0, "push"), (12.0, "pull"))
    log = _log(*(("/task", *one) for one in told))
    said = f"language: {{field: /task, at: {at}}}\n"
    found = [e.metadata.language for e in _episodes(tmp_path, log, said)]
    own = "push" if at == "first" else "pull"
    assert found == ["lift", own, "pull"]


def test_what_was_carried_over_and_not_used_is_counted_once(tmp_path):
    log = _log(("/ok", 9.0, True), ("/task", 9.0, "lift"))
    text = "success: {field: /ok}\nlanguage: {field: /task}\n"
    _, ledger = converted(tmp_path, log, MARKED + text)
    # The task is used by both episodes after it, success by none.
    assert ledger.dropped["outside every episode"] == 1
