"""Segments become episodes: the reward on the right step, nothing lost or made up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thresher.benchmarks.sound_logs import SECOND, picture
from thresher.episodes.contract import violations
from thresher.episodes.images import EncodedImages, encode_images
from thresher.episodes.metadata import Provenance, Success
from thresher.pipelines.ingest.assemble import assemble
from thresher.pipelines.ingest.columns import stream_of
from thresher.pipelines.ingest.mapping_file import load_mapping
from thresher.pipelines.ingest.recording import Segment, Stream
from thresher.pipelines.ingest.ticks import RefusedSegment
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


def _episode(tmp_path, text, segment, start_ns=0):
    mapping = load_mapping(write_mapping(tmp_path, text))
    made = assemble(segment, mapping, "source", Provenance(), start_ns)
    assert violations(made.episode, mapping.spec) == []
    return made.episode


def _table(tmp_path, alignment, extra="", **streams):
    text = f"{TABLE}alignment: {alignment}\n{extra}"
    return _episode(tmp_path, text, _segment(**streams))


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
    made = _episode(
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
    made = _episode(tmp_path, text, _segment(obs=_rows([1.0, 3, 7])))
    assert made.array("action").tolist() == actions


LOG = """
name: log
robot: tiny
clock: {stream: /q}
step_seconds: 0.1
features: {observation/q: {from: /q}}
action: {from: /a}
"""


def _timed(times, values):
    return stream_of("f", [int(t * SECOND) for t in times], values)


def _log(tmp_path, text=LOG, start=0.0, **streams):
    found = {f"/{name}": stream for name, stream in streams.items()}
    return _episode(tmp_path, text, Segment("all", found), int(start * SECOND))


def test_the_action_of_a_step_is_the_command_in_force_until_the_next(tmp_path):
    made = _log(
        tmp_path,
        q=_timed([1, 2, 3, 4], [0.0, 1, 2, 3]),
        # Before the first step, right after it, not at all after the second.
        a=_timed([0.5, 1.1, 3.2, 3.9], [5.0, 6, 7, 8]),
    )
    assert made.array("action").tolist() == [6, 6, 8, 0]
    assert made.array("timestamp").tolist() == [0, 1, 2, 3]
    assert made.metadata.start_time_ns == SECOND


def test_steps_before_a_stream_begins_are_left_out(tmp_path):
    text = LOG.replace("features: {", "features: {observation/g: {from: /g}, ")
    made = _log(
        tmp_path,
        text,
        q=_timed([1, 2, 3, 4], [0.0, 1, 2, 3]),
        g=_timed([2.5], [9.0]),
        a=_timed([0], [1.0]),
    )
    assert made.array("observation/q").tolist() == [2, 3]
    assert made.array("observation/g").tolist() == [9, 9]


def test_a_gap_inside_an_episode_refuses_it_or_is_held_as_the_mapping_says(tmp_path):
    streams = {
        "q": _timed([1, 2, 3, 4], [0.0, 1, 2, 3]),
        "a": _timed([0], [1.0]),
        "g": _timed([1, 4], [7.0, 8]),
    }
    near = "features: {observation/g: {from: /g, tolerance_seconds: 0.5%s}, "
    with pytest.raises(RefusedSegment, match="no value within its tolerance at step 1"):
        _log(tmp_path, LOG.replace("features: {", near % ""), **streams)
    held = _log(
        tmp_path, LOG.replace("features: {", near % ", on_gap: hold"), **streams
    )
    assert held.array("observation/g").tolist() == [7, 7, 7, 8]


def test_interpolated_numbers_are_those_worked_out_by_hand(tmp_path):
    text = LOG.replace(
        "features: {", "features: {observation/g: {from: /g, align: interpolate}, "
    )
    made = _log(
        tmp_path,
        text,
        q=_timed([1, 2, 3], [0.0, 1, 2]),
        g=_timed([0, 4], [0.0, 8]),
        a=_timed([0], [1.0]),
    )
    assert made.array("observation/g").tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("late", "values"), [("sort", [0, 1, 1.5, 3]), ("drop", [0, 1, 3])]
)
def test_late_values_are_sorted_or_dropped_as_the_mapping_says(tmp_path, late, values):
    text = LOG.replace("{stream: /q}", f"{{stream: /q, late: {late}}}")
    made = _log(
        tmp_path,
        text,
        q=_timed([1, 2, 4, 3], [0.0, 1, 3, 1.5]),
        a=_timed([0], [1.0]),
    )
    assert made.array("observation/q").tolist() == values


def test_late_values_are_refused_where_the_mapping_says_so(tmp_path):
    text = LOG.replace("{stream: /q}", "{stream: /q, late: reject}")
    with pytest.raises(RefusedSegment, match="/q runs backwards at value 2"):
        _log(tmp_path, text, q=_timed([1, 3, 2], [0.0, 1, 2]), a=_timed([0], [1.0]))


def test_rewards_of_a_log_are_summed_on_the_action_they_followed(tmp_path):
    made = _log(
        tmp_path,
        LOG + "reward: {field: /r}",
        q=_timed([1, 2, 3], [0.0, 1, 2]),
        a=_timed([0], [1.0]),
        r=_timed([1.5, 1.6, 2.0, 3.5], [1.0, 2, 4, 8]),
    )
    # What comes after the final observation belongs to what led there.
    assert made.array("reward").tolist() == [3, 12, 0]


def test_a_carried_value_is_no_step(tmp_path):
    made = _log(
        tmp_path,
        start=2.0,
        q=_timed([1, 2, 3], [0.0, 1, 2]),
        a=_timed([0.5], [1.0]),
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
    made = _log(
        tmp_path,
        LOG + "success: {field: /s}\nending: success\nlanguage: {field: /s}",
        q=_timed([1, 2, 3], [0.0, 1, 2]),
        a=_timed([0], [1.0]),
        s=_timed([3], [said]),
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
    made = _log(
        tmp_path,
        LOG + f"success: {{field: /s, at: {at}}}",
        q=_timed([1, 2, 3], [0.0, 1, 2]),
        a=_timed([0], [1.0]),
        s=_timed([1, 2], [False, True]),
    )
    assert made.metadata.outcome.success.value == success


def test_a_success_that_means_neither_is_refused(tmp_path):
    with pytest.raises(RefusedSegment, match="success_values and failure_values"):
        _log(
            tmp_path,
            LOG + "success: {field: /s}",
            q=_timed([1, 2], [0.0, 1]),
            a=_timed([0], [1.0]),
            s=_timed([1], ["nearly"]),
        )


def test_without_success_and_reward_an_episode_says_so(tmp_path):
    made = _log(tmp_path, q=_timed([1, 2], [0.0, 1]), a=_timed([0], [1.0]))
    assert made.metadata.outcome.success == Success.UNKNOWN
    assert made.metadata.outcome.label_source == "none"
    assert not made.array("reward").any()


def test_an_episode_needs_no_actions(tmp_path):
    text = LOG.replace("action: {from: /a}", "")
    made = _log(tmp_path, text, q=_timed([1, 2], [0.0, 1]))
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
        _log(
            tmp_path,
            text,
            q=_timed(
                [1, 2], [np.array(v) if isinstance(v, list) else v for v in values]
            ),
            a=_timed([0], [1.0]),
        )


def test_numbers_are_scaled_and_not_finite_ones_replaced_as_declared(tmp_path):
    text = LOG.replace(
        "{from: /q}", "{from: /q, scale: 0.001, offset: 1, not_finite: 0}"
    )
    made = _log(
        tmp_path, text, q=_timed([1, 2], [500.0, float("inf")]), a=_timed([0], [1.0])
    )
    assert made.array("observation/q").tolist() == [1.5, 1.0]


def _pictures(tmp_path, feature, encoding, frames=3):
    text = LOG.replace("features: {", f"features: {{observation/i: {feature}, ")
    images = encode_images(np.stack([picture(k) for k in range(frames)]), encoding)
    stream = Stream(np.arange(1, frames + 1) * SECOND, images)
    made = _log(
        tmp_path,
        text,
        q=_timed(range(1, frames + 1), [float(k) for k in range(frames)]),
        a=_timed([0], [1.0]),
        i=stream,
    )
    column = made.steps["observation/i"]
    assert isinstance(column, EncodedImages)
    return images, column


def test_pictures_pass_byte_for_byte(tmp_path):
    feature = "{from: /i, encoding: jpeg, shape: [6, 8, 3]}"
    images, column = _pictures(tmp_path, feature, "jpeg")
    assert column == images


def test_pictures_are_scaled_only_when_asked(tmp_path):
    feature = "{from: /i, encoding: png, shape: [3, 4, 3], resize: true}"
    _, column = _pictures(tmp_path, feature, "png")
    assert column.decode().shape == (3, 3, 4, 3)
    with pytest.raises(RefusedSegment, match=r"write that shape, or resize: true"):
        _pictures(tmp_path, feature.replace(", resize: true", ""), "png")


def test_jpeg_can_become_png_of_the_same_pixels(tmp_path):
    feature = "{from: /i, encoding: png, shape: [6, 8, 3]}"
    images, column = _pictures(tmp_path, feature, "jpeg")
    assert np.array_equal(images.decode(), column.decode())


def test_a_picture_that_says_it_is_endless_is_refused(tmp_path):
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head
    chunk += struct.pack(">I", zlib.crc32(b"IHDR" + head))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk
    text = LOG.replace(
        "features: {",
        "features: {observation/i: {from: /i, encoding: png, shape: [6, 8, 3]}, ",
    )
    with pytest.raises(RefusedSegment, match="is not a readable picture"):
        _log(
            tmp_path,
            text,
            q=_timed([1, 2], [0.0, 1]),
            a=_timed([0], [1.0]),
            i=_timed([1, 2], [bomb, bomb]),
        )


def test_a_field_of_pictures_asks_for_an_encoding(tmp_path):
    with pytest.raises(RefusedSegment, match="add encoding: jpeg"):
        _pictures(tmp_path, "{from: /i, shape: [6, 8, 3]}", "jpeg")


def test_a_clock_that_was_never_set_does_not_make_a_million_steps(tmp_path):
    text = LOG.replace("{stream: /q}", "{rate_hz: 10}").replace("step_seconds: 0.1", "")
    with pytest.raises(RefusedSegment, match="is a clock not set"):
        _log(tmp_path, text, q=_timed([0, 10**8], [0.0, 1]), a=_timed([0], [1.0]))


def test_the_same_segment_gives_the_same_episode(tmp_path):
    mapping = load_mapping(write_mapping(tmp_path, LOG))
    segment = Segment(
        "all", {"/q": _timed([1, 2, 3], [0.0, 1, 2]), "/a": _timed([0], [1.0])}
    )
    first = assemble(segment, mapping, "a", Provenance())
    second = assemble(
        dataclasses.replace(segment, streams=dict(reversed(segment.streams.items()))),
        mapping,
        "b",
        Provenance(),
    )
    assert first.episode.episode_id == second.episode.episode_id
