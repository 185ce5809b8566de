"""Scalars of a run."""

from __future__ import annotations

from thresher.offline_rl.metrics import MetricsWriter


def test_rows_after_the_resumed_step_are_dropped(tmp_path):
    with MetricsWriter(tmp_path, 0) as metrics:
        metrics.write(10, {"loss": 0.5})
        metrics.write(20, {"loss": 0.25})
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("3")  # a line cut off by a kill
    with MetricsWriter(tmp_path, 10) as metrics:
        assert metrics.latest == {"loss": 0.5}
        metrics.write(20, {"loss": 0.125})
    text = (tmp_path / "metrics.csv").read_text()
    assert text == "step,name,value\n10,loss,0.5\n20,loss,0.125\n"
    assert list((tmp_path / "tensorboard").iterdir())
