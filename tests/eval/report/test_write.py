"""A report is one page that tells the truth about the folders it was given."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from thresher.episodes.errors import UserError
from thresher.episodes.run_record import RunRecord, recording
from thresher.eval.report.write import write_report
from thresher.tests.eval.report.folders import (
    evaluation_folder,
    training_folder,
    version_folder,
)


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    root = tmp_path_factory.mktemp("road")
    return [
        version_folder(root / "tiny" / "1.0.0"),
        training_folder(root / "training"),
        evaluation_folder(root / "scripted", successes=5, trials=20, kind="scripted"),
        evaluation_folder(root / "learned", successes=18, trials=20, kind="learned"),
    ]


@pytest.fixture(scope="module")
def page(road, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    write_report(road, out, "A <tiny> road")
    return out


def test_the_table_holds_the_measured_rates_and_intervals(page):
    text = page.read_text()
    assert "90.0 %" in text
    assert "69.9 – 97.2 %" in text  # Wilson, 18 of 20, worked out by hand.
    assert "25.0 %" in text


def test_the_headline_says_above_only_where_intervals_are_apart(page, tmp_path):
    assert "above scripted (the collector) at 25.0%" in page.read_text()
    close = [
        evaluation_folder(tmp_path / "a", successes=9, trials=20, kind="scripted"),
        evaluation_folder(tmp_path / "b", successes=11, trials=20, kind="learned"),
    ]
    write_report(close, tmp_path / "close.html", "Close")
    assert "not told apart from scripted" in (tmp_path / "close.html").read_text()


def test_the_page_needs_nothing_else(page):
    text = page.read_text()
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)


def test_text_from_outside_cannot_become_markup(page):
    text = page.read_text()
    assert "A &lt;tiny&gt; road" in text
    assert "<tiny>" not in text


def test_successes_and_failures_are_both_shown_with_all_their_frames(page):
    text = page.read_text()
    assert text.count('<div class="strip">') == 8
    assert text.count("<img ") == 8 * 4


def test_ratios_before_and_after_are_told(page):
    text = page.read_text()
    assert "26.0 %" in text
    assert "50.0 %" in text


def test_stations_are_listed_with_their_time_and_memory(page):
    rows = re.findall(r"<tr><td>(train|evaluate)</td>.*?(\d+) MiB", page.read_text())
    assert [station for station, _ in rows] == ["train", "evaluate", "evaluate"]


def test_any_part_alone_makes_a_report(road, tmp_path):
    for number, folder in enumerate(road):
        write_report([folder], tmp_path / f"{number}.html", "Part")
        assert "Lineage" in (tmp_path / f"{number}.html").read_text()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither a run folder"):
        write_report([tmp_path], tmp_path / "report.html", "No")


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with recording("train", tmp_path / "run.json", {}):
            raise KeyboardInterrupt
    command = " ".join(RunRecord.read(tmp_path / "run.json").command)
    with pytest.raises(UserError, match="has not finished") as refusal:
        write_report([tmp_path], tmp_path / "report.html", "No")
    assert command in str(refusal.value)


CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_lays_the_page_out_without_overflow(page, tmp_path):
    probe = tmp_path / "probe.html"
    script = (
        "<script>addEventListener('load', () => { document.title = "
        "[document.documentElement.scrollWidth <= innerWidth, "
        "[...document.images].every(i => i.naturalWidth > 0), "
        "document.querySelectorAll('svg').length].join(' '); });</script>"
    )
    probe.write_text(page.read_text().replace("</body>", script + "</body>"))
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--no-first-run", "--disable-background-networking"),
            *("--disable-component-update", "--disable-sync", "--disable-quic"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=420,900"),
            *("--virtual-time-budget=3000", "--dump-dom", probe.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "<title>true true 3</title>" in done.stdout
