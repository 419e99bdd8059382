"""Results in labels that are no emotions, in every sink that knows the emotions by name."""

import csv
import re
from pathlib import Path

import pytest

import emopipe
from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import data, run_stage
from emopipe.stages.lab.elan import Eaf
from emopipe.stages.lab.parquet import Parquet
from emopipe.stages.palette import COLOURS, EMOTION, OTHERS, colour_of, contrast, ink, names
from emopipe.stages.report.stage import HtmlReport
from emopipe.stages.sinks.affect import derived_affect
from emopipe.stages.sinks.console import Terminal
from emopipe.stages.sinks.csv import CsvTable
from emopipe.stages.sinks.jsonl import JsonLines
from emopipe.stages.types import Emotions, Modality, PersonEmotion
from tests.support.verbs import verb

OWN = {"bored": 0.2, "wide awake": 0.7, "who": 0.1}  # the last is the name of a column, too
FRAME_NS = 500 * MS


def result(number: int, emotion: str = "wide awake", own: dict[str, float] = OWN) -> Message:
    likeliest = max(own, key=own.__getitem__)
    probabilities = own | {likeliest: own[emotion], emotion: own[likeliest]}
    face = PersonEmotion(
        id=0,
        box=(0.1, 0.1, 0.2, 0.2),
        emotion=emotion,
        confidence=probabilities[emotion],
        probabilities=probabilities,
        face=Modality(probabilities=probabilities, weight=1.0, age=0, uncertain=False),
    )
    return data(
        Emotions(source="face", faces=[face], voice=None, alone=None, forced=False),
        number * FRAME_NS,
        duration=FRAME_NS,
        stream="film",
    )


SENT = [("emotions", result(number, "bored" if number == 3 else "wide awake")) for number in range(4)]


def test_a_table_says_what_it_has_no_columns_for(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    outputs = run_stage(CsvTable(CsvTable.Settings(path=str(path))), SENT)
    (warning,) = outputs.warnings
    assert 'no columns for the probabilities of "bored", "wide awake" and "who"' in warning
    assert 'set labels = ["bored", "wide awake", "who"]' in warning
    first, *_ = csv.DictReader(path.read_text().splitlines())
    assert (first["emotion"], first["confidence"], first["happy"]) == ("wide awake", "0.7", "")
    assert first["who"] == "face 0"


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_tables_have_columns_for_other_labels_and_are_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    labels = ["bored", "wide awake"]
    sink = {
        ".csv": lambda: CsvTable(CsvTable.Settings(path=str(path), labels=labels)),
        ".parquet": lambda: Parquet(Parquet.Settings(path=str(path), labels=labels)),
        ".jsonl": lambda: JsonLines(JsonLines.Settings(path=str(path))),
    }[suffix]()
    run_stage(sink, SENT)
    frame = emopipe.read(path)
    assert frame["wide awake"].tolist() == [0.7, 0.7, 0.7, 0.2]
    assert frame["bored"].tolist() == [0.2, 0.2, 0.2, 0.7]
    assert frame["who"].tolist() == ["face 0"] * 4
    assert frame["happy"].isna().all()


@pytest.mark.parametrize("settings", [CsvTable.Settings, Parquet.Settings])
def test_a_label_that_is_a_column_is_refused(
    tmp_path: Path, settings: type[CsvTable.Settings] | type[Parquet.Settings]
) -> None:
    path = tmp_path / ("out.csv" if settings is CsvTable.Settings else "out.parquet")
    assert settings(path=str(path), labels=["bored", "who"]).check() == [
        ("labels", "there is a column who already; leave it out")
    ]


def test_nothing_is_derived_from_what_has_no_place_on_the_map() -> None:
    assert derived_affect(OWN) == (None, None)
    assert derived_affect({"happy": 1.0}) == (0.81, 0.51)


def test_elan_offers_them_and_corrections_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pympi import Elan

    run_stage(Eaf(Eaf.Settings(path=str(tmp_path / "film.eaf"))), SENT)
    run_stage(JsonLines(JsonLines.Settings(path=str(tmp_path / "out.jsonl"))), SENT)
    document = Elan.Eaf(str(tmp_path / "film.eaf"))
    assert sorted(document.get_annotation_data_for_tier("face 0 fused")) == [
        (0, 1500, "wide awake"),
        (1500, 2000, "bored"),
    ]
    offered = [values[0][0] for values, _ in document.get_cv_entries("emotions").values()]
    assert {"happy", "bored", "wide awake", "wide awake?"} <= set(offered)
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", entry) for entry in document.get_cv_entries("emotions"))
    assert verb("compare", str(tmp_path / "out.jsonl"), str(tmp_path / "film.eaf")) == 0
    assert "wide awake" in capsys.readouterr().out


def test_the_report_shows_them_in_colours_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    run_stage(HtmlReport(HtmlReport.Settings(path=str(path))), SENT, connect=["emotions"])
    html = path.read_text()
    assert "mostly expresses wide awake" in html
    assert {"other0", "other1"} <= set(re.findall(r'class="(other\d)"', html))
    for label in ("bored", "wide awake"):
        assert re.search(rf"<li><svg[^>]*><rect[^>]*class=\"other\d\"/></svg>{label}</li>", html)


def test_a_label_from_elsewhere_puts_nothing_into_the_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    sent = [
        ("emotions", result(number, own={"<script>": 0.7, "bored": 0.3}, emotion="<script>")) for number in range(4)
    ]
    run_stage(HtmlReport(HtmlReport.Settings(path=str(path))), sent, connect=["emotions"])
    assert "<script>" not in path.read_text()
    assert "&lt;script&gt;" in path.read_text()


def test_the_terminal_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    run_stage(Terminal(), SENT)
    assert "face 0: wide awake 70 %" in capsys.readouterr().out


def test_colours_are_given_in_the_order_of_coming() -> None:
    assert names(["happy", "bored", "tense", "bored"]) == {label: label for label in EMOTION} | {
        "bored": "other0",
        "tense": "other1",
    }
    assert colour_of("tense", ["bored", "tense"]) == OTHERS[1]
    assert colour_of("happy", ["bored", "happy"]) == EMOTION["happy"]
    assert len(set(COLOURS.values())) == len(EMOTION) + len(OTHERS)


@pytest.mark.parametrize("colour", OTHERS)
def test_they_stand_out_from_light_and_dark_and_can_be_written_on(colour: str) -> None:
    assert min(contrast(colour, "#ffffff"), contrast(colour, "#101418")) >= 3
    assert contrast(colour, ink(colour)) >= 4.5
