"""Segments become episodes: the reward on the right step, nothing lost or made up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thresher.benchmarks.sound_logs import SECOND
from thresher.episodes.metadata import Provenance, Success
from thresher.pipelines.ingest.assemble import assemble
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.recording import Segment, Stream
from thresher.pipelines.ingest.ticks import RefusedSegment
from thresher.tests.pipelines.ingest.assembling import (
    LOG,
    assembled,
    assembled_log,
    timed,
)
from thresher.tests.pipelines.ingest.tiny_logs import write_mapping

TABLE = """
name: table
robot: tiny
step_seconds: 0.1
features: {observation/q: {from: obs}}
action: {from: act}
reward: {field: rew}
"""


def _rows(values, first=0):
    values = np.asarray(values)
    return Stream((first + np.arange(len(values))) * SECOND, values)


def _segment(**streams):
    attributes = streams.pop("attributes", {})
    return Segment("rows", streams, attributes)


def _table(tmp_path, alignment, extra="", **streams):
    text = f"{TABLE}alignment: {alignment}\n{extra}"
    return assembled(tmp_path, text, _segment(**streams))


def test_rlds_rows_stay_and_the_last_action_and_reward_are_zero(tmp_path):
    made = _table(
        tmp_path,
        "rlds",
        obs=_rows([1.0, 2, 3]),
        act=_rows([10.0, 20, 99]),
        rew=_rows([0.5, 1.5, 99]),
    )
    assert made.array("observation/q").tolist() == [1, 2, 3]
    assert made.array("action").tolist() == [10, 20, 0]
    assert made.array("reward").tolist() == [0.5, 1.5, 0]


@pytest.mark.parametrize("alignment", ["sar", "oxe"])
def test_oxe_rows_lose_neither_their_last_action_nor_its_reward(tmp_path, alignment):
    made = _table(
        tmp_path,
        alignment,
        extra="ending: terminal",
        obs=_rows([1.0, 2, 3]),
        act=_rows([10.0, 20, 30]),
        rew=_rows([0.0, 0, 1]),
    )
    assert made.array("observation/q").tolist() == [1, 2, 3, 3]
    assert made.array("action").tolist() == [10, 20, 30, 0]
    assert made.array("reward").tolist() == [0, 0, 1, 0]
    assert made.array("discount").tolist() == [1, 1, 0, 0]
    assert made.array("is_terminal").tolist() == [False, False, False, True]
    assert made.metadata.environment == {"final_observation": "repeated"}
    assert made.metadata.outcome.episode_return == 1.0


def test_one_observation_more_than_actions_needs_no_conversion(tmp_path):
    made = _table(
        tmp_path,
        "n_plus_one",
        obs=_rows([1.0, 2, 3, 4]),
        act=_rows([10.0, 20, 30]),
        rew=_rows([0.0, 0, 1]),
    )
    assert made.array("observation/q").tolist() == [1, 2, 3, 4]
    assert made.array("action").tolist() == [10, 20, 30, 0]
    assert made.array("reward").tolist() == [0, 0, 1, 0]
    assert made.metadata.environment == {}


def test_a_reward_that_comes_with_the_next_observation_goes_to_the_action_before(
    tmp_path,
):
    text = TABLE.replace("{field: rew}", "{field: rew, given_with: next_observation}")
    made = assembled(
        tmp_path,
        f"{text}alignment: rlds",
        _segment(
            obs=_rows([1.0, 2, 3]),
            act=_rows([10.0, 20, 0]),
            rew=_rows([0.0, 0.5, 1.0]),
        ),
    )
    assert made.array("reward").tolist() == [0.5, 1.0, 0]


@pytest.mark.parametrize(
    ("alignment", "lengths"),
    [("n_plus_one", (3, 3)), ("rlds", (4, 3)), ("sar", (4, 3)), ("rlds", (3, 4))],
)
def test_rows_that_contradict_the_alignment_are_refused(tmp_path, alignment, lengths):
    observations, actions = lengths
    with pytest.raises(RefusedSegment, match="alignment"):
        _table(
            tmp_path,
            alignment,
            obs=_rows(np.zeros(observations)),
            act=_rows(np.ones(actions)),
            rew=_rows(np.zeros(actions)),
        )


def test_rows_that_run_backwards_are_refused(tmp_path):
    backwards = Stream(np.array([0, 2, 1]) * SECOND, np.zeros(3))
    with pytest.raises(RefusedSegment, match="runs backwards at value 2"):
        _table(
            tmp_path,
            "rlds",
            obs=backwards,
            act=_rows([1.0, 2, 3]),
            rew=_rows([0.0] * 3),
        )


@pytest.mark.parametrize(
    ("derivation", "actions"),
    [("next_of", [3, 7, 0]), ("difference_of", [2, 4, 0])],
)
def test_actions_can_be_made_of_states(tmp_path, derivation, actions):
    text = TABLE.replace("from: act", f"{derivation}: obs").replace(
        "reward: {field: rew}", ""
    )
    made = assembled(tmp_path, text, _segment(obs=_rows([1.0, 3, 7])))
    assert made.array("action").tolist() == actions


def test_the_action_of_a_step_is_the_command_in_force_until_the_next(tmp_path):
    made = assembled_log(
        tmp_path,
        q=timed([1, 2, 3, 4], [0.0, 1, 2, 3]),
        # Before the first step, right after it, not at all after the second.
        a=timed([0.5, 1.1, 3.2, 3.9], [5.0, 6, 7, 8]),
    )
    assert made.array("action").tolist() == [6, 6, 8, 0]
    assert made.array("timestamp").tolist() == [0, 1, 2, 3]
    assert made.metadata.start_time_ns == SECOND


def test_steps_before_a_stream_begins_are_left_out(tmp_path):
    text = LOG.replace("features: {", "features: {observation/g: {from: /g}, ")
    made = assembled_log(
        tmp_path,
        text,
        q=timed([1, 2, 3, 4], [0.0, 1, 2, 3]),
        g=timed([2.5], [9.0]),
        a=timed([0], [1.0]),
    )
    assert made.array("observation/q").tolist() == [2, 3]
    assert made.array("observation/g").tolist() == [9, 9]


def test_a_gap_inside_an_episode_refuses_it_or_is_held_as_the_mapping_says(tmp_path):
    streams = {
        "q": timed([1, 2, 3, 4], [0.0, 1, 2, 3]),
        "a": timed([0], [1.0]),
        "g": timed([1, 4], [7.0, 8]),
    }
    near = "features: {observation/g: {from: /g, tolerance_seconds: 0.5%s}, "
    with pytest.raises(RefusedSegment, match="no value within its tolerance at step 1"):
        assembled_log(tmp_path, LOG.replace("features: {", near % ""), **streams)
    held = assembled_log(
        tmp_path, LOG.replace("features: {", near % ", on_gap: hold"), **streams
    )
    assert held.array("observation/g").tolist() == [7, 7, 7, 8]


def test_interpolated_numbers_are_those_worked_out_by_hand(tmp_path):
    text = LOG.replace(
        "features: {", "features: {observation/g: {from: /g, align: interpolate}, "
    )
    made = assembled_log(
        tmp_path,
        text,
        q=timed([1, 2, 3], [0.0, 1, 2]),
        g=timed([0, 4], [0.0, 8]),
        a=timed([0], [1.0]),
    )
    assert made.array("observation/g").tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("late", "values"), [("sort", [0, 1, 1.5, 3]), ("drop", [0, 1, 3])]
)
def test_late_values_are_sorted_or_dropped_as_the_mapping_says(tmp_path, late, values):
    text = LOG.replace("{stream: /q}", f"{{stream: /q, late: {late}}}")
    made = assembled_log(
        tmp_path,
        text,
        q=timed([1, 2, 4, 3], [0.0, 1, 3, 1.5]),
        a=timed([0], [1.0]),
    )
    assert made.array("observation/q").tolist() == values


def test_late_values_are_refused_where_the_mapping_says_so(tmp_path):
    text = LOG.replace("{stream: /q}", "{stream: /q, late: reject}")
    with pytest.raises(RefusedSegment, match="/q runs backwards at value 2"):
        assembled_log(
            tmp_path, text, q=timed([1, 3, 2], [0.0, 1, 2]), a=timed([0], [1.0])
        )


def test_rewards_of_a_log_are_summed_on_the_action_they_followed(tmp_path):
    made = assembled_log(
        tmp_path,
        LOG + "reward: {field: /r}",
        q=timed([1, 2, 3], [0.0, 1, 2]),
        a=timed([0], [1.0]),
        r=timed([1.5, 1.6, 2.0, 3.5], [1.0, 2, 4, 8]),
    )
    # What comes after the final observation belongs to what led there.
    assert made.array("reward").tolist() == [3, 12, 0]


def test_a_carried_value_is_no_step(tmp_path):
    made = assembled_log(
        tmp_path,
        start=2.0,
        q=timed([1, 2, 3], [0.0, 1, 2]),
        a=timed([0.5], [1.0]),
    )
    assert made.array("observation/q").tolist() == [1, 2]
    assert made.array("action").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("said", "success", "reward", "terminal"),
    [
        ("yes", Success.YES, [0, 1, 0], True),
        ("no", Success.NO, [0, 0, 0], False),
        ("unknown", Success.UNKNOWN, [0, 0, 0], False),
    ],
)
def test_a_reward_can_be_made_of_success(tmp_path, said, success, reward, terminal):
    made = assembled_log(
        tmp_path,
        LOG + "success: {field: /s}\nending: success\nlanguage: {field: /s}",
        q=timed([1, 2, 3], [0.0, 1, 2]),
        a=timed([0], [1.0]),
        s=timed([3], [said]),
    )
    assert made.metadata.outcome.success == success
    assert made.metadata.outcome.label_source == "log:/s"
    assert made.array("reward").tolist() == reward
    assert bool(made.array("is_terminal")[-1]) == terminal
    assert made.metadata.language == said


@pytest.mark.parametrize(
    ("at", "success"), [("first", "no"), ("last", "yes"), ("any", "yes"), ("all", "no")]
)
def test_success_is_looked_up_where_the_mapping_says(tmp_path, at, success):
    made = assembled_log(
        tmp_path,
        LOG + f"success: {{field: /s, at: {at}}}",
        q=timed([1, 2, 3], [0.0, 1, 2]),
        a=timed([0], [1.0]),
        s=timed([1, 2], [False, True]),
    )
    assert made.metadata.outcome.success.value == success


def test_a_success_that_means_neither_is_refused(tmp_path):
    with pytest.raises(RefusedSegment, match="success_values and failure_values"):
        assembled_log(
            tmp_path,
            LOG + "success: {field: /s}",
            q=timed([1, 2], [0.0, 1]),
            a=timed([0], [1.0]),
            s=timed([1], ["nearly"]),
        )


def test_without_success_and_reward_an_episode_says_so(tmp_path):
    made = assembled_log(tmp_path, q=timed([1, 2], [0.0, 1]), a=timed([0], [1.0]))
    assert made.metadata.outcome.success == Success.UNKNOWN
    assert made.metadata.outcome.label_source == "none"
    assert not made.array("reward").any()


def test_an_episode_needs_no_actions(tmp_path):
    text = LOG.replace("action: {from: /a}", "")
    made = assembled_log(tmp_path, text, q=timed([1, 2], [0.0, 1]))
    assert "action" not in made.steps


@pytest.mark.parametrize(
    ("changes", "values", "message"),
    [
        ("shape: [2]", [[1.0, 2, 3]] * 2, r"give \[3\] a step.*write shape: \[3\]"),
        ("", ["a", "b"], "say dtype: str"),
        ("dtype: int32", [1.5, 2.5], r"1.5 is no int32"),
        ("dtype: uint8", [1, 300], "300 is no uint8"),
        ("dtype: str", [1.0, 2], "say dtype: float32"),
        ("scale: [1, 2]", [1.0, 2], "scale has 2 numbers for 1"),
    ],
)
def test_values_that_a_feature_cannot_hold_are_named(
    tmp_path, changes, values, message
):
    text = LOG.replace("{from: /q}", f"{{from: /q, {changes}}}")
    with pytest.raises(RefusedSegment, match=message):
        assembled_log(
            tmp_path,
            text,
            q=timed(
                [1, 2], [np.array(v) if isinstance(v, list) else v for v in values]
            ),
            a=timed([0], [1.0]),
        )


def test_numbers_are_scaled_and_not_finite_ones_replaced_as_declared(tmp_path):
    text = LOG.replace(
        "{from: /q}", "{from: /q, scale: 0.001, offset: 1, not_finite: 0}"
    )
    made = assembled_log(
        tmp_path, text, q=timed([1, 2], [500.0, float("inf")]), a=timed([0], [1.0])
    )
    assert made.array("observation/q").tolist() == [1.5, 1.0]


def test_a_clock_that_was_never_set_does_not_make_a_million_steps(tmp_path):
    text = LOG.replace("{stream: /q}", "{rate_hz: 10}").replace("step_seconds: 0.1", "")
    with pytest.raises(RefusedSegment, match="is a clock not set"):
        assembled_log(
            tmp_path, text, q=timed([0, 10**8], [0.0, 1]), a=timed([0], [1.0])
        )


def test_the_same_segment_gives_the_same_episode(tmp_path):
    mapping = load_mapping(write_mapping(tmp_path, LOG))
    segment = Segment(
        "all", {"/q": timed([1, 2, 3], [0.0, 1, 2]), "/a": timed([0], [1.0])}
    )
    first = assemble(segment, mapping, "a", Provenance())
    second = assemble(
        dataclasses.replace(segment, streams=dict(reversed(segment.streams.items()))),
        mapping,
        "b",
        Provenance(),
    )
    assert first.episode.episode_id == second.episode.episode_id


def test_a_reward_that_is_no_float32_refuses_the_episode(tmp_path):
    with pytest.raises(RefusedSegment, match=r"reward: 1e\+39 of rew is no float32"):
        _table(
            tmp_path,
            "rlds",
            obs=_rows([1.0, 2]),
            act=_rows([1.0, 2]),
            rew=_rows([1e39, 0]),
        )
