"""Options for runners are taken as TFDS and Beam write them, and refused in words."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    PipelineOptions,
)

from thresher.episodes.errors import UserError
from thresher.pipelines.runners import (
    flags_of,
    is_flink,
    is_local,
    local_options,
    local_processes,
    runner_options,
)


def test_the_form_of_tfds_becomes_flags():
    text = 'runner=FlinkRunner, flink_master=[local],environment_config={"a":1,"b":2}'
    assert flags_of(text) == [
        "--runner=FlinkRunner",
        "--flink_master=[local]",
        '--environment_config={"a":1,"b":2}',
    ]
    assert flags_of("") == []
    assert flags_of("--runner=DirectRunner,") == ["--runner=DirectRunner"]


def test_options_say_where_the_work_goes():
    flink = runner_options(["--runner=FlinkRunner", "--flink_master=[local]"])
    assert flink.view_as(FlinkRunnerOptions).flink_master == "[local]"
    assert is_flink(flink)
    assert not is_local(flink)
    assert is_local(PipelineOptions([]))
    assert not is_flink(local_options(2))


def test_processes_of_this_machine_are_counted():
    assert local_processes(local_options(1)) == 0
    assert local_processes(local_options(3)) == 3
    assert local_processes(local_options(3, "multi_threading")) == 0
    text = "runner=DirectRunner,direct_running_mode=multi_processing"
    assert (
        local_processes(runner_options(flags_of(f"{text},direct_num_workers=4"))) == 4
    )
    assert local_processes(runner_options(flags_of(text))) == 0
    elsewhere = ["--runner=FlinkRunner", "--direct_running_mode=multi_processing"]
    assert local_processes(runner_options([*elsewhere, "--direct_num_workers=4"])) == 0


def test_a_runner_that_is_not_there_is_refused_by_name():
    with pytest.raises(UserError, match="no Beam runner 'FlonkRunner'"):
        runner_options(["--runner=FlonkRunner"])


def test_a_value_that_beam_refuses_does_not_end_the_program():
    with pytest.raises(UserError, match="direct_num_workers=many"):
        runner_options(["--direct_num_workers=many"])


def test_a_negative_count_is_not_asked_of_beam():
    assert local_options(2).view_as(DirectOptions).direct_num_workers == 2


def test_fewer_workers_than_none_are_refused():
    with pytest.raises(UserError, match="-3 workers"):
        local_options(-3)
