"""The plan of docs/scale.md is what its script computes now, and the script's simulation adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from docs.scale import plan


def test_the_document_shows_what_the_script_makes_now():
    text = plan.DOCUMENT.read_text("utf-8")
    assert plan.BEGIN in text
    assert plan.END in text
    assert plan.written(text) == text


def test_everything_seen_is_told_where_lines_and_centre_keep_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "LINE", replace(plan.LINE, cut_each_day=0.0, storm_share=0.0))
    found = plan.week(40)
    expected = 40 * 7 * plan.CLINIC.episodes_each_day * plan.CLINIC.revisions_of_each
    assert found.told == pytest.approx(expected, rel=0.01)
    assert found.most_waiting < 1
    assert found.hours_behind == 0


def test_a_centre_that_is_too_slow_falls_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan, "MEASURED", replace(plan.MEASURED, ingest_episodes_per_s=1.0))
    found = plan.week(40)
    assert found.centre_busy > 0.95
    assert found.told <= 60 * plan.MINUTES
    assert found.most_waiting > 100_000


def test_more_sensors_need_more_of_the_centre():
    assert plan.week(400).centre_busy > 5 * plan.week(40).centre_busy
