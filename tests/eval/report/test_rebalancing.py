"""A report shows the ratio before, asked for and achieved, and whom it took."""

from __future__ import annotations

from thresher.eval.report.rebalancing import rebalancing
from thresher.eval.report.write import write_report
from thresher.pipelines.build import build_version
from thresher.pipelines.derive import Derivation, derive_version
from thresher.pipelines.rebalance import RebalanceConfig
from thresher.pipelines.runners import local_options
from thresher.tests.pipelines.test_build import _build, write_logs


def test_dropped_and_repeated_episodes_are_listed(tmp_path):
    dropped = build_version(_build(tmp_path, write_logs(tmp_path / "logs")))
    (ids,) = rebalancing(dropped).ids
    assert (ids.title, ids.count) == ("dropped", 30)
    assert set(ids.shown) == set(dropped.excluded["episode_id"].to_pylist())
    asked = Derivation(
        [dropped.path],
        where="success or source_id < 'tiny/000030'",
        rebalance=RebalanceConfig(target=0.9, method="duplicate"),
    )
    repeated = derive_version(asked, local_options(1))
    (ids,) = rebalancing(repeated).ids
    assert ids.title == "repeated"
    assert ids.count == sum(row > 0 for row in repeated.index["copy"].to_pylist())
    write_report([dropped.path, repeated.path], tmp_path / "page.html", "Mix")
    page = (tmp_path / "page.html").read_text()
    for told in ("30 episodes dropped", "90.0 %", "episodes repeated", "surplus"):
        assert told in page
