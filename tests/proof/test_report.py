"""The report: its numbers over the demo, its words in both languages, and that the page is whole by itself and names nobody."""

from __future__ import annotations

import io
import json
import math
import re
import string
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from pypdf import PdfReader

from sensor.errors import WardwatchError
from sensor.proof.report import numbers, page
from sensor.proof.report.words import LANGUAGES, words
from sensor.services.pseudonyms import Pseudonyms
from sensor.store import Filter, open_store
from sensor.store.follow_records import Action, Order, Reason, Target
from tests.commands.running import CONFIG, told, wardwatch

if TYPE_CHECKING:
    from tests.proof.conftest import Demo

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "clinic-morning.report.json"
ASKED = numbers.Asked(date(2026, 3, 16), date(2026, 3, 22), "Europe/Vienna")
ABOUT = page.About("Example Clinic", "0.1.0", datetime(2026, 4, 1, 9, 30, tzinfo=UTC))
NOBODY = Pseudonyms(b"a secret of the tests").of


def collected(demo: Demo, asked: numbers.Asked = ASKED) -> numbers.Numbers:
    with open_store(demo.store, create=False) as store:
        return numbers.collect(store, demo.made, asked, NOBODY)


def test_the_numbers_of_the_demo_are_those_that_were_counted_by_hand(demo: Demo) -> None:
    """Fifteen violations: what `wardwatch violations` lists of that morning. A change here is a change of what is reported."""
    assert json.loads(numbers.record(collected(demo))) == json.loads(GOLDEN.read_text("utf-8"))


def test_they_are_those_of_the_list(demo: Demo) -> None:
    listed = wardwatch("violations", "--config", CONFIG, "--store", demo.store, "--format", "json")
    rows = [json.loads(line) for line in listed.out.splitlines()]
    found = collected(demo)
    assert len(found.violations) == len(rows) > 10
    by_network = found.count("network").set_index("network")["violations"].to_dict()
    assert by_network == pd.Series([row["network"] for row in rows]).value_counts().to_dict()
    assert found.violations["bytes"].sum() == sum(row["bytes"] for row in rows)
    assert found.over_time("network").to_numpy().sum() == len(rows)


def test_a_period_and_a_network_leave_out_the_rest(demo: Demo) -> None:
    assert collected(demo, numbers.Asked(date(2026, 3, 18), date(2026, 3, 20), "Europe/Vienna")).episodes.empty
    ward = collected(demo, numbers.Asked(date(2026, 3, 17), date(2026, 3, 17), "Europe/Vienna", "Ward 3"))
    assert set(ward.episodes["network"]) == {"Ward 3"}
    # In Kiritimati that morning was the evening of the same day: the day is the site's, not UTC's.
    assert (
        len(collected(demo, numbers.Asked(date(2026, 3, 17), date(2026, 3, 17), "Pacific/Kiritimati")).violations) > 10
    )
    assert collected(demo, numbers.Asked(date(2026, 3, 17), date(2026, 3, 17), "Pacific/Pago_Pago")).violations.empty


def test_follow_up_is_counted_with_its_times(demo: Demo) -> None:
    with open_store(demo.store, create=False) as store:
        ids = [row.episode.id for row in store.violations(Filter())][:2]
        for id_ in ids:
            store.follow_up.change([Target(id_, 0)], Order(Action.ACKNOWLEDGE), "officer")
        store.follow_up.change([Target(ids[0], 1)], Order(Action.CLOSE, reason=Reason.CONFIRMED), "officer")
        found = numbers.collect(store, demo.made, ASKED, NOBODY).follow_up
        store.follow_up.change([Target(ids[0], 2)], Order(Action.REOPEN), "officer")
        again = numbers.collect(store, demo.made, ASKED, NOBODY).follow_up
    first, second = (found[found["id"] == id_].iloc[0] for id_ in ids)
    assert (first["state"], first["reason"]) == ("closed", "confirmed")
    assert first["closed_s"] >= first["looked_at_s"] > 0
    assert second["state"] == "acknowledged"
    assert math.isnan(second["closed_s"])
    assert (found["state"] == "new").sum() == len(found) - 2
    assert math.isnan(again[again["id"] == ids[0]].iloc[0]["closed_s"]), "what is opened again is not closed"


def test_no_word_is_missing_in_either_language() -> None:
    first, *others = (words(language).texts for language in LANGUAGES)
    for other in others:
        assert first.keys() == other.keys()
        for key, text in first.items():
            assert other[key].strip()
            assert _places(text) == _places(other[key]), key
            if len(text) > 12 and key != "unit.hours":
                assert text != other[key], f"{key} was not translated"


def test_every_word_that_the_page_asks_for_is_there_and_every_one_there_is_asked_for() -> None:
    source = resources.files("sensor.proof.report").joinpath("report.html.j2").read_text("utf-8")
    code = Path(page.__file__).read_text("utf-8")
    asked = set(re.findall(r'\bt\("([a-z_.]+)"', source)) | set(
        re.findall(r'["\']((?:summary|text|chart|unit)\.[a-z_]+)["\']', code)
    )
    texts = words("en").texts
    forms = {f"{key}_{form}" for key in asked for form in ("none", "one", "many") if f"{key}_{form}" in texts}
    assert {key for key in asked if key not in texts and not any(one.startswith(f"{key}_") for one in forms)} == set()
    groups = {"activity", "strength", "state", "reason", "status", "blind", "kind", "unit", "chart", "column"}
    unused = {key for key in texts.keys() - asked - forms if key.partition(".")[0] not in groups}
    assert unused == set()


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_by_itself_and_names_nobody(demo: Demo, language: str) -> None:
    text = page.html(collected(demo), words(language), ABOUT)
    assert f'<html lang="{language}">' in text
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "<script" not in text
    assert "url(http" not in text
    with open_store(demo.store, create=False, read_only=True) as store:
        devices = [row.episode.device for row in store.violations(Filter(outcomes=None))]
    for device in devices:
        for name in (device.mac, *device.addresses):
            assert not name or name not in text
    for label in dict(demo.made.settings.devices.names).values():
        assert label not in text
    assert text == page.html(collected(demo), words(language), ABOUT), "equal numbers are an equal page"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_says_what_the_page_says(demo: Demo, language: str) -> None:
    found = collected(demo)
    made = page.pdf(page.html(found, words(language), ABOUT))
    pages = PdfReader(io.BytesIO(made)).pages
    text = " ".join(" ".join(one.extract_text() for one in pages).split())
    assert 3 <= len(pages) <= 6
    said = words(language)
    for key in ("summary.heading", "section.where", "section.visibility", "section.appendix"):
        assert said(key) in text
    for id_ in found.appendix["id"]:
        assert id_[:8] in text


def test_the_pdf_fetches_nothing() -> None:
    with pytest.raises(WardwatchError, match="from outside"):
        page.pdf('<html><body><img src="http://192.0.2.1/x.png"></body></html>')


def test_csv_and_parquet_say_the_same_and_no_cell_is_a_formula(demo: Demo, tmp_path: Path) -> None:
    found = collected(demo)
    found.appendix.loc[0, "value"] = "=HYPERLINK(1)"
    names = page.write_numbers(found, tmp_path)
    assert len(names) == 2 * len(found.tables())
    for name, table in found.tables().items():
        whole = pd.read_parquet(tmp_path / f"{name}.parquet")
        text = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False)
        assert len(whole) == len(text) == len(table)
        assert list(whole.columns) == list(text.columns)
        for column in whole.select_dtypes("int64"):
            assert whole[column].tolist() == text[column].tolist()
    assert pd.read_csv(tmp_path / "appendix.csv")["value"][0] == "'=HYPERLINK(1)"


def test_a_period_in_which_nothing_was_seen_is_a_report_too(demo: Demo) -> None:
    found = collected(demo, numbers.Asked(date(2026, 1, 1), date(2026, 1, 31), "Europe/Vienna"))
    for language in LANGUAGES:
        said = words(language)
        text = page.html(found, said, ABOUT)
        assert said("summary.violations_none") in text
        assert said("summary.unwatched") in text


def test_the_command(demo: Demo, tmp_path: Path) -> None:
    store = ("--config", CONFIG, "--store", demo.store)
    days = ("--from", "2026-03-16", "--to", "2026-03-22")
    done = wardwatch("report", *days, *store, "--out", tmp_path / "r", "--language", "es")
    assert done.status == 0, done.err
    assert (tmp_path / "r" / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "Resumen" in (tmp_path / "r" / "report.html").read_text("utf-8")
    told(
        wardwatch("report", "--from", "2026-03-22", "--to", "2026-03-16", *store, "--out", tmp_path / "r"), 2, "before"
    )
    told(wardwatch("report", "--from", "monday", "--to", "2026-03-16", *store, "--out", tmp_path / "r"), 2, "not a day")
    told(wardwatch("report", *days, *store, "--network", "Attic", "--out", tmp_path / "r"), 2, "no network")
