"""Labels that come later: joined by id, contradictions named, rewards untouched."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thresher.episodes.contract import violations
from thresher.episodes.errors import UserError
from thresher.episodes.index import index_row, index_table
from thresher.episodes.raw_log import EpisodePointer
from thresher.pipelines.checks import Check, findings
from thresher.pipelines.ingest.annotations import apply_annotations
from thresher.pipelines.ingest.relabel import relabel
from thresher.tests.episodes.tiny import TINY_SPEC, tiny_episode

EPISODES = [tiny_episode(k, success=k % 2 == 0) for k in range(4)]
IDS = [episode.episode_id for episode in EPISODES]
# The simulator says: yes, no, yes, no.


@pytest.fixture
def index():
    return index_table(
        index_row(episode, EpisodePointer("a.mcap", k, 1))
        for k, episode in enumerate(EPISODES)
    )


def _csv(tmp_path, *lines, name="a.csv"):
    file = tmp_path / name
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_label_replaces_the_one_there_which_is_kept_beside_it(tmp_path, index):
    file = _csv(tmp_path, "episode_id,success,labeller", f"{IDS[1]},yes,anna")
    changed, report = apply_annotations(index, [file])
    row = changed.to_pylist()[1]
    assert row["success"] == "yes"
    assert row["label_source"] == "human:anna"
    assert json.loads(row["other_labels"]) == {"simulator": "no"}
    assert changed.schema == index.schema
    assert changed.to_pylist()[0] == index.to_pylist()[0]
    assert (report.episodes, dict(report.changed)) == (1, {"success": 1})


def test_parquet_files_and_source_ids_say_the_same(tmp_path, index):
    table = pa.table(
        {
            "source_id": [EPISODES[2].metadata.source_id],
            "success": [False],
            "language": ["lift the cup"],
            "task": ["lift"],
            "quality": [0.5],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    changed, report = apply_annotations(index, [tmp_path / "a.parquet"])
    row = changed.to_pylist()[2]
    assert (row["success"], row["language"], row["task"]) == (
        "no",
        "lift the cup",
        "lift",
    )
    assert json.loads(row["environment"]) == {"friction": 0.8, "quality": 0.5}
    assert report.changed == {"success": 1, "language": 1, "task": 1, "quality": 1}


def test_empty_cells_change_nothing(tmp_path, index):
    file = _csv(
        tmp_path, "episode_id,success,task", f"{IDS[0]},,", f"{IDS[1]},,pick up"
    )
    changed, _ = apply_annotations(index, [file])
    assert changed["success"] == index["success"]
    assert changed["task"].to_pylist() == ["pick", "pick up", "pick", "pick"]


def test_unknown_ids_are_named_with_their_row(tmp_path, index):
    file = _csv(tmp_path, "episode_id,success", f"{IDS[0]},no", "nobody,yes")
    changed, report = apply_annotations(index, [file])
    assert report.unknown == ["'nobody' (a.csv row 3)"]
    assert changed["success"][0].as_py() == "no"
    assert "no episode has the id: 'nobody' (a.csv row 3)" in report.lines()
    assert report.warnings() == [
        "labels: statements about no episode that is here: 1, as 'nobody' (a.csv row 3)"
    ]


def test_a_file_that_is_about_no_episode_is_refused(tmp_path, index):
    known = _csv(tmp_path, "episode_id,success", f"{IDS[0]},no")
    foreign = _csv(tmp_path, "episode_id,success", "x,no", "y,no", name="b.csv")
    with pytest.raises(UserError, match=r"b\.csv \(the first is 'x'\)"):
        apply_annotations(index, [known, foreign])


def test_of_one_labeller_s_statements_the_later_counts_and_both_are_named(
    tmp_path, index
):
    file = _csv(
        tmp_path,
        "episode_id,success,labeller,time",
        f"{IDS[1]},yes,anna,2025-03-02T10:00:00Z",
        f"{IDS[1]},no,anna,2025-03-01T10:00:00Z",
    )
    changed, report = apply_annotations(index, [file])
    assert changed["success"][1].as_py() == "yes"
    assert len(report.doubles) == 1
    assert "a.csv row 2" in report.doubles[0]
    assert not report.conflicts


def test_labellers_who_disagree_make_success_unknown_and_are_named(tmp_path, index):
    files = [
        _csv(tmp_path, "episode_id,success,labeller", f"{IDS[1]},yes,anna"),
        _csv(tmp_path, "episode_id,success,labeller", f"{IDS[1]},no,ben", name="b.csv"),
    ]
    changed, report = apply_annotations(index, files)
    row = changed.to_pylist()[1]
    assert row["success"] == "unknown"
    assert row["confidence"] == 0.0
    assert "'yes' by anna (a.csv row 2)" in report.conflicts[0]
    assert "'no' by ben (b.csv row 2)" in report.conflicts[0]
    labels = {"simulator": "no", "human:anna": "yes", "human:ben": "no"}
    assert json.loads(row["other_labels"]) == labels
    (found,) = findings(changed, {"label_disagreement": Check("flag", 0.0)})
    assert found.row == 1
    assert "human:anna says yes, human:ben says no" in found.message
    assert "contradictions between labellers: 1" in report.warnings()[0]


def test_a_precedence_settles_who_counts(tmp_path, index):
    head = "episode_id,success,labeller,precedence"
    file = _csv(tmp_path, head, f"{IDS[1]},yes,anna,2", f"{IDS[1]},no,ben,1")
    changed, report = apply_annotations(index, [file])
    assert changed["success"][1].as_py() == "yes"
    assert changed["label_source"][1].as_py() == "human:anna"
    assert not report.conflicts


def test_one_labeller_who_says_both_at_once_contradicts_himself(tmp_path, index):
    file = _csv(tmp_path, "episode_id,success", f"{IDS[1]},yes", f"{IDS[1]},no")
    changed, report = apply_annotations(index, [file])
    assert changed["success"][1].as_py() == "unknown"
    assert len(report.conflicts) == 1
    assert json.loads(changed["other_labels"][1].as_py()) == {
        "annotation:a.csv row 2": "yes",
        "annotation:a.csv row 3": "no",
        "simulator": "no",
    }


def test_a_named_labeller_who_says_both_at_once_is_told_apart_by_the_row(
    tmp_path, index
):
    head = "episode_id,success,labeller"
    file = _csv(tmp_path, head, f"{IDS[1]},yes,bob", f"{IDS[1]},no,bob")
    changed, _ = apply_annotations(index, [file])
    labels = json.loads(changed["other_labels"][1].as_py())
    assert labels == {
        "human:bob": "yes",
        "human:bob (a.csv row 3)": "no",
        "simulator": "no",
    }


def test_tasks_that_labellers_disagree_on_stay_as_they_were(tmp_path, index):
    head = "episode_id,task,labeller"
    file = _csv(tmp_path, head, f"{IDS[1]},lift,anna", f"{IDS[1]},push,ben")
    changed, report = apply_annotations(index, [file])
    assert changed["task"] == index["task"]
    assert len(report.conflicts) == 1


def test_copies_of_an_episode_get_the_same_label(tmp_path, index):
    twice = pa.concat_tables([index, index])
    file = _csv(tmp_path, "episode_id,success", f"{IDS[1]},yes")
    changed, report = apply_annotations(twice, [file])
    assert [changed["success"][k].as_py() for k in (1, 5)] == ["yes", "yes"]
    assert report.episodes == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["episode_id,succes", "a,yes"], "did you mean 'success'"),
        (["success", "yes"], "has neither of the columns"),
        (["episode_id,source_id,success", "a,b,yes"], "exactly one of them"),
        (["episode_id,note", "a,b"], "says nothing"),
        (["episode_id,success", "a,maybe"], r"row 2: success is 'maybe'; write yes"),
        (["episode_id,success", ",yes"], "row 2: episode_id is empty"),
        (["episode_id,quality", "a,good"], "quality is 'good', no number"),
        (["episode_id,success,time", "a,yes,today"], "time is 'today'; write it as"),
        (["episode_id,success,confidence", "a,yes,2"], "not between 0 and 1"),
        (["episode_id,success,success", "a,yes,no"], "twice; keep one"),
        (["episode_id,success", "a,yes,no"], "cannot read the annotations"),
        ([""], "cannot read the annotations"),
    ],
)
def test_a_file_that_cannot_be_meant_is_named_with_its_row(
    tmp_path, index, lines, message
):
    with pytest.raises(UserError, match=message) as caught:
        apply_annotations(index, [_csv(tmp_path, *lines)])
    assert str(tmp_path / "a.csv") in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"source_id,languag\xe9\nx,y\n",
        b"source_id,language\nx,\xe9t\xe9\n",
        b"\xff\xfe\x00",
    ],
)
def test_a_file_that_is_not_in_utf_8_is_named(tmp_path, index, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"annotations .*a\.csv"):
        apply_annotations(index, [tmp_path / "a.csv"])


def test_a_file_that_is_not_there_is_named(tmp_path, index):
    with pytest.raises(UserError, match="cannot read the annotations"):
        apply_annotations(index, [tmp_path / "none.csv"])


def _relabelled(tmp_path, index, reward):
    file = _csv(tmp_path, "episode_id,success,task", f"{IDS[1]},yes,lift")
    changed, _ = apply_annotations(index, [file])
    return relabel(EPISODES[1], changed.to_pylist()[1], reward)


def test_a_relabelled_record_says_what_its_row_says_and_keeps_its_steps(
    tmp_path, index
):
    made = _relabelled(tmp_path, index, "keep")
    assert made.metadata.outcome.success.value == "yes"
    assert made.metadata.task == "lift"
    assert made.episode_id == IDS[1]
    assert made.metadata.provenance == EPISODES[1].metadata.provenance
    # The reward still says no: the contract tells, rather than we in silence.
    assert [v.rule for v in violations(made, TINY_SPEC)] == ["outcome"]


def test_rewards_follow_the_label_when_asked(tmp_path, index):
    made = _relabelled(tmp_path, index, "from-success")
    assert made.array("reward").tolist() == [0, 0, 1, 0]
    assert violations(made, TINY_SPEC) == []
    assert made.episode_id != IDS[1]


def test_a_reward_policy_that_is_not_there_is_named(tmp_path, index):
    with pytest.raises(UserError, match="did you mean 'from-success'"):
        _relabelled(tmp_path, index, "from_success")


def test_a_row_that_says_nothing_new_changes_nothing(index):
    made = relabel(EPISODES[0], index.to_pylist()[0])
    assert made.metadata == EPISODES[0].metadata
    assert made.episode_id == IDS[0]
