"""Lists for spreadsheets: what is text stays text."""

import csv
import io
from dataclasses import replace
from fractions import Fraction

from alertbot.domain.alerts import Alert
from alertbot.domain.reports import alerts_csv
from tests.slack.messages import alert

BOM = "\ufeff"


def cells(*alerts: Alert) -> list[dict[str, str]]:
    text = alerts_csv(alerts)
    assert text.startswith(BOM), "Excel takes a file without it for the local code page"
    return list(csv.DictReader(io.StringIO(text.removeprefix(BOM))))


def test_an_id_of_digits_stays_a_text_in_a_spreadsheet():
    labels = {"source": "acme", "ai_llm": "90071992547409931234", "name": "12E5", "rule": "r"}
    (row,) = cells(replace(alert(), labels=labels, value=Fraction(10**18 + 1)))
    assert row["ai_llm"] == "'90071992547409931234"
    assert row["name"] == "'12E5", "a spreadsheet would read 1,200,000"
    assert row["value"] == f"'{10**18 + 1}", "a spreadsheet keeps 15 digits of a number"


def test_what_a_spreadsheet_reads_right_is_left_as_it_is():
    (row,) = cells(replace(alert(), value=Fraction(9)))
    assert (row["value"], row["id"]) == ("9", "A42")


def test_foreign_text_starts_no_formula():
    labels = {"source": "acme", "ai_llm": "=1+1", "name": "@SUM(A1)", "rule": "r"}
    (row,) = cells(replace(alert(), labels=labels))
    assert (row["ai_llm"], row["name"]) == ("'=1+1", "'@SUM(A1)")
