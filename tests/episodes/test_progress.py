"""Progress in a log file: a line that says how far and how long."""

from __future__ import annotations

from thresher.episodes.progress import progress


def test_the_last_line_says_that_all_is_done(capsys):
    with progress("count", 3) as bar:
        for _ in range(3):
            bar.advance("steady")
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("count: 3/3, ")
    assert line.endswith(", 0 s left, steady")


def test_an_earlier_session_counts_as_done(capsys):
    with progress("count", 10, done=8) as bar:
        bar.update(10)
    assert "10/10" in capsys.readouterr().err


def test_what_was_all_done_before_has_no_rate(capsys):
    with progress("count", 10, done=10) as bar:
        bar.update(10)
    assert capsys.readouterr().err == "count: 10 were done before\n"


def test_nothing_to_do_says_nothing(capsys):
    with progress("count", 0) as bar:
        bar.update(0)
    assert capsys.readouterr().err == ""
