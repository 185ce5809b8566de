"""Where episodes begin and end, in bounded memory, with every message accounted for."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from thresher.benchmarks.sound_logs import SECOND, T0
from thresher.pipelines.ingest.assemble import Assembled
from thresher.tests.pipelines.ingest.log_in_memory import MAPPING, Log, converted


def _observed(results):
    return [
        r.episode.array("observation/q").tolist() if isinstance(r, Assembled) else r
        for r in results
    ]


def _steps(first, last, start=None):
    """Observations and commands, one a second."""
    start = first if start is None else start
    rows = []
    for k in range(first, last):
        rows.append(("/q", start + k - first, float(k)))
        rows.append(("/a", start + k - first + 0.5, float(k) + 0.5))
    return rows


def test_a_whole_log_is_one_episode(tmp_path):
    results, ledger = converted(tmp_path, Log(_steps(0, 4)), MAPPING)
    assert _observed(results) == [[0, 1, 2, 3]]
    assert results[0].episode.array("action").tolist() == [0.5, 1.5, 2.5, 0]
    # The command after the final observation is of no step.
    assert (ledger.read, ledger.used) == (8, 7)


@pytest.mark.parametrize(
    ("start", "stop"), [(True, None), (True, False), ("go", "halt"), (2, 0)]
)
def test_a_value_says_where_episodes_are(tmp_path, start, stop):
    begin, end = start, stop if stop is not None else 7
    rows = [
        *_steps(0, 2),
        ("/m", 2.0, begin),
        *_steps(2, 5),
        ("/m", 4.9, end),
        *_steps(5, 7),
        ("/m", 7.0, begin),
        *_steps(7, 10),
        ("/m", 9.9, end),
    ]
    marks = {"by": "value", "field": "/m", "start": start}
    if stop is not None:
        marks["stop"] = stop
    results, _ = converted(tmp_path, Log(rows), MAPPING + f"episodes: {marks}\n")
    assert _observed(results) == [[2, 3, 4], [7, 8, 9]]


def test_an_episode_without_its_stop_mark_is_refused_unless_kept(tmp_path):
    rows = [("/m", 0, 1), *_steps(0, 4)]
    text = MAPPING + "episodes: {by: value, field: /m, start: 1%s}"
    results, ledger = converted(tmp_path, Log(rows), text % "")
    assert results[0].reasons[0].startswith("marks: the log ends before")
    assert ledger.used == 1
    results, _ = converted(tmp_path, Log(rows), text % ", open_end: keep")
    assert _observed(results) == [[0, 1, 2, 3]]


def test_messages_on_topics_begin_and_end_episodes(tmp_path):
    rows = [
        *_steps(0, 1),
        ("/start", 1, 0),
        *_steps(1, 3),
        ("/stop", 3, 0),
        *_steps(3, 5),
        ("/start", 5, 0),
        *_steps(5, 8),
        ("/stop", 8, 0),
    ]
    text = MAPPING + "episodes: {by: message, start: /start, stop: /stop}"
    results, _ = converted(tmp_path, Log(rows), text)
    assert _observed(results) == [[1, 2], [5, 6, 7]]


def test_what_an_end_mark_says_is_about_the_episode_that_it_ends(tmp_path):
    rows = [
        ("/m", 0, "run"),
        *_steps(0, 3),
        ("/m", 3, "yes"),
        ("/m", 4, "run"),
        *_steps(4, 7),
        ("/m", 7, "no"),
    ]
    text = MAPPING + (
        "episodes: {by: value, field: /m, start: run}\n"
        "success: {field: /m, failure_values: ['no'], success_values: ['yes']}"
    )
    results, ledger = converted(tmp_path, Log(rows), text)
    said = [r.episode.metadata.outcome.success.value for r in results]
    assert said == ["yes", "no"]
    assert _observed(results) == [[0, 1, 2], [4, 5, 6]]
    # Only the commands after each final observation are of no step.
    assert sum(ledger.dropped.values()) == 2 + 2


def test_a_start_ends_what_an_earlier_start_began(tmp_path):
    rows = [("/start", 0, 0), *_steps(0, 3), ("/start", 3, 0), *_steps(3, 6)]
    text = MAPPING + "episodes: {by: message, start: /start}"
    results, _ = converted(tmp_path, Log(rows), text)
    assert _observed(results) == [[0, 1, 2], [3, 4, 5]]


def test_a_silence_ends_an_episode(tmp_path):
    rows = [*_steps(0, 3), *_steps(3, 6, start=20)]
    text = MAPPING + "episodes: {by: gap, seconds: 5}"
    results, _ = converted(tmp_path, Log(rows), text)
    assert _observed(results) == [[0, 1, 2], [3, 4, 5]]


def test_a_gap_of_the_clock_splits_though_others_go_on(tmp_path):
    between = [("/a", 3.0 + k, 9.0) for k in range(15)]
    rows = [*_steps(0, 3), *between, *_steps(3, 6, start=20)]
    text = MAPPING.replace(
        "{stream: /q", "{stream: /q, max_gap_seconds: 5, on_gap: split"
    )
    results, ledger = converted(tmp_path, Log(rows), text)
    assert _observed(results) == [[0, 1, 2], [3, 4, 5]]
    assert ledger.dropped["outside every episode"] > 5


@pytest.mark.parametrize(
    ("by", "marks"),
    [("stamp_reset", [0, 5, 9, 1, 2, 0]), ("column", [1, 1, 1, 2, 2, 7])],
)
def test_a_mark_s_change_ends_an_episode(tmp_path, by, marks):
    rows = []
    for k, mark in enumerate(marks):
        rows += [("/m", k, mark), *_steps(k, k + 1)]
    text = MAPPING + f"episodes: {{by: {by}, field: /m}}"
    results, _ = converted(tmp_path, Log(rows), text)
    assert _observed(results)[:2] == [[0, 1, 2], [3, 4]]
    # One step alone is no episode.
    assert results[2].reasons[0].startswith("length: 1 step")


def test_what_was_said_before_an_episode_holds_at_its_start(tmp_path):
    text = MAPPING.replace("features: {", "features: {observation/g: {from: /g}, ")
    rows = [
        ("/g", -5, 3.0),
        ("/g", -4, 4.0),
        ("/m", 0, 1),
        *_steps(0, 3),
        ("/m", 3, 0),
        ("/m", 4, 1),
        *_steps(4, 7),
        ("/m", 7, 0),
    ]
    text += "episodes: {by: value, field: /m, start: 1%s}"
    results, ledger = converted(tmp_path, Log(rows), text % "")
    assert [r.episode.array("observation/g").tolist() for r in results] == [[4] * 3] * 2
    assert ledger.dropped["outside every episode"] == 1
    results, _ = converted(tmp_path, Log(rows), text % ", carry: false")
    assert [r.reasons[0][:8] for r in results] == ["streams:", "streams:"]


def test_messages_whose_clock_was_never_set_are_left_out(tmp_path):
    rows = [("/q", -T0 / SECOND, 7.0), ("/a", -T0 / SECOND, 7.0), *_steps(0, 3)]
    results, ledger = converted(tmp_path, Log(rows), MAPPING)
    assert _observed(results) == [[0, 1, 2]]
    assert sum(n for reason, n in ledger.dropped.items() if "never set" in reason) == 2


def test_an_unreadable_message_sets_its_episode_aside_and_no_other(tmp_path):
    rows = [*_steps(0, 3), *_steps(3, 6, start=20)]
    text = MAPPING + "episodes: {by: gap, seconds: 5}"
    results, ledger = converted(tmp_path, Log(rows, problems=[2]), text)
    assert results[0].reasons[0] == "unreadable: message 2: broken"
    assert _observed(results)[1] == [3, 4, 5]
    assert ledger.dropped["unreadable"] == 1
    assert ledger.notes == ["message 2: broken"]


@pytest.mark.parametrize("lost", [1, 100])
def test_what_is_unreadable_before_an_episode_is_of_it(tmp_path, lost):
    log = Log(_steps(0, 200), problems=range(lost))
    results, ledger = converted(tmp_path, log, MAPPING)
    assert [len(result.reasons) for result in results] == [min(lost, 20)]
    assert results[0].reasons[0] == "unreadable: message 0: broken"
    assert ledger.dropped["unreadable"] == lost


def test_an_episode_too_large_for_memory_is_refused_and_let_go(tmp_path):
    rows = [("/q", k, np.zeros(100)) for k in range(400)]
    rows += [("/m", 400, 1), *_steps(0, 3, start=401)]
    text = (
        MAPPING.replace("{from: /q}", "{from: /q, shape: [100]}")
        + "episodes: {by: column, field: /m, max_bytes: 50000}"
    )
    results, ledger = converted(tmp_path, Log([("/m", -1, 0), *rows]), text)
    assert results[0].reasons[0].startswith("size: more than 50000 bytes")
    assert ledger.dropped["in an episode that was refused: size"] == 400


def test_values_that_change_their_length_set_the_episode_aside(tmp_path):
    rows = [("/q", 0, np.zeros(3)), ("/q", 1, np.zeros(4)), ("/a", 1, 1.0)]
    results, _ = converted(tmp_path, Log(rows), MAPPING)
    assert "in another; take the entries" in results[0].reasons[0]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["/q", "/a", "/m"]), st.integers(0, 3), st.integers(0, 2)
    ),
    max_size=40,
)


@settings(deadline=None)
@given(
    ROWS,
    st.sampled_from(
        [
            "{by: whole_file}",
            "{by: value, field: /m, start: 1, open_end: keep}",
            "{by: value, field: /m, start: 1, stop: 2}",
            "{by: message, start: /m}",
            "{by: gap, seconds: 2.5}",
            "{by: gap, seconds: 1.5, field: /q}",
            "{by: column, field: /m}",
            "{by: stamp_reset, field: /m}",
        ]
    ),
    st.sampled_from(["first-after", "latest-before-next", "latest-before"]),
    st.sets(st.integers(0, 39), max_size=2),
)
def test_no_message_is_lost_and_no_value_is_made_up(
    tmp_path_factory, rows, marks, align, problems
):
    now, timed = 0, []
    for number, (topic, step, value) in enumerate(rows):
        now += step
        # Values tell their own message, so that each can be found again.
        timed.append((topic, now, float(value if topic == "/m" else number + 100)))
    text = MAPPING.replace("first-after", align) + f"episodes: {marks}"
    folder = tmp_path_factory.mktemp("m")
    results, ledger = converted(folder, Log(timed, problems), text)
    asked = {"/q", "/a", *(["/m"] if "/m" in marks else [])}
    assert ledger.read == sum(
        topic in asked or number in problems
        for number, (topic, _, _) in enumerate(timed)
    )
    logged = {"/q": set(), "/a": set()}
    for topic, _, value in timed:
        logged.setdefault(topic, set()).add(value)
    for result in results:
        if isinstance(result, Assembled):
            episode = result.episode
            assert set(episode.array("observation/q").tolist()) <= logged["/q"]
            assert set(episode.array("action")[:-1].tolist()) <= logged["/a"]
        else:
            assert result.reasons
