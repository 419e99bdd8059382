"""emopipe compare: annotators' files read back, and every mistake in them told in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from praatio.data_classes.interval_tier import IntervalTier
from praatio.data_classes.textgrid import Textgrid
from pympi import Elan

from emopipe.__main__ import main
from emopipe.pipeline.testing import run_stage
from emopipe.stages.lab.elan import Eaf
from emopipe.stages.lab.praat import TextGrid
from emopipe.stages.sinks.jsonl import JsonLines
from tests.support.lab import FRAME_NS, scene

SINKS = {".jsonl": JsonLines, ".eaf": Eaf, ".TextGrid": TextGrid}
END_S = 120 * FRAME_NS / 1e9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of the scene, and its files for ELAN and Praat."""
    for suffix, cls in SINKS.items():
        stage = cls(cls.Settings(path=str(tmp_path / f"x{suffix}")))  # type: ignore[call-arg, abstract]
        run_stage(stage, [("emotions", message) for message in scene("x")])
    return tmp_path


def correct(path: Path, tier: str, *annotations: tuple[int, int, str]) -> Path:
    """What an annotator saves who replaces a tier's annotations (ms) by others."""
    document = Elan.Eaf(str(path))
    if tier not in document.get_tier_names():
        document.add_tier(tier)
    document.remove_all_annotations_from_tier(tier)
    for start, end, value in annotations:
        document.add_annotation(tier, start, end, value)
    corrected = path.with_name("corrected.eaf")
    document.to_file(str(corrected))
    return corrected


def figures(folder: Path, annotations: Path, *more: str) -> list[dict[str, object]]:
    arguments = ["compare", str(folder / "x.jsonl"), str(annotations), "--json", str(folder / "out.json"), *more]
    assert main(arguments) == 0
    read = json.loads((folder / "out.json").read_text())
    assert read["stream"] == "x"
    made: list[dict[str, object]] = read["tiers"]
    return made


@pytest.mark.parametrize("suffix", [".eaf", ".TextGrid"])
def test_our_own_file_agrees_with_our_results(folder: Path, suffix: str) -> None:
    made = figures(folder, folder / f"x{suffix}")
    assert [each["tier"] for each in made] == ["face 0 fused", "face 0", "face 1 fused", "face 1", "voice"]
    for each in made:
        assert each["agreement"] == pytest.approx(1, abs=1e-3)  # ELAN has whole ms
        assert each["compared_s"] == pytest.approx(each["annotated_s"], abs=2e-3)
    fused = made[0]
    assert fused["kappa"] == pytest.approx(1, abs=1e-3)
    assert fused["certain"] == pytest.approx(90 / 110, abs=1e-3)
    assert made[1]["kappa"] is None  # one label is all that both know


def test_corrections_are_read_back(folder: Path) -> None:
    """Of 110 frames a person calls the first 30 sad, the results happy; then both say happy, and sad."""
    ms = [round(number * FRAME_NS / 1e6) for number in (0, 30, 45, 110)]
    annotated = correct(
        folder / "x.eaf", "face 0 fused", (ms[0], ms[1], "Sad "), (ms[1], ms[2], "happy?"), (ms[2], ms[3], "sad")
    )
    (made,) = figures(folder, annotated, "--tier", "face 0 fused", "--risk", "0.5")
    assert made["agreement"] == pytest.approx(80 / 110, abs=1e-3)
    by_chance = (95 / 110) * (65 / 110) + (15 / 110) * (45 / 110)
    assert made["kappa"] == pytest.approx((80 / 110 - by_chance) / (1 - by_chance), abs=1e-3)
    assert made["certain_agreement"] == pytest.approx(60 / 90, abs=1e-3)
    confusion = made["confusion"]
    assert isinstance(confusion, dict)
    assert confusion["sad"]["happy"] == pytest.approx(30 * FRAME_NS / 1e9, abs=1e-3)
    assert confusion["happy"]["happy"] == pytest.approx(15 * FRAME_NS / 1e9, abs=1e-3)
    assert made["examples"] == 4
    (found,) = made["thresholds"]  # type: ignore[misc]
    assert found == {"risk": 0.5, "threshold": None, "coverage": None, "setting": None}  # of four examples, one wrong


def test_a_tier_of_another_name_is_compared_with_who_is_named(folder: Path) -> None:
    annotated = correct(folder / "x.eaf", "Anna", (1100, 1900, "surprise"))
    (made,) = figures(folder, annotated, "--tier", "Anna", "--who", "face 1")
    assert (made["tier"], made["who"], made["agreement"]) == ("Anna", "face 1", 1.0)
    assert made["compared_s"] == pytest.approx(0.8, abs=1e-6)


def test_the_table_says_it_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(folder / "x.jsonl"), str(folder / "x.TextGrid"), "--tier", "face 0 fused"]) == 0
    said = capsys.readouterr().out
    assert "100.0 %" in said
    assert "annotated ↓, results →" in said
    assert "face 0 fused: at most 30 % wrong: no threshold can promise that (4 examples, one a second)" in said


def test_the_stream_is_that_of_the_files_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = folder / "both.jsonl"
    run_stage(JsonLines(JsonLines.Settings(path=str(both))), [("emotions", m) for s in ("y", "x") for m in scene(s)])
    assert main(["compare", str(both), str(folder / "x.eaf")]) == 0
    other = (folder / "x.eaf").rename(folder / "z.eaf")
    assert main(["compare", str(both), str(other)]) == 2
    assert capsys.readouterr().err == (f'emopipe: {both}: has several recordings; name one by --stream: "y" and "x"\n')
    assert main(["compare", str(both), str(other), "--stream", "x"]) == 0
    assert main(["compare", str(both), str(other), "--stream", "w"]) == 2
    assert f'--stream "w": {both} has no such recording; known are "y" and "x"' in capsys.readouterr().err


Damage = Callable[[Path], Path]
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))  # a few bytes that become gigabytes
BOMB = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><ANNOTATION_DOCUMENT>&l9;</ANNOTATION_DOCUMENT>'


def _text(content: str, name: str = "x.eaf") -> Damage:
    def damage(folder: Path) -> Path:
        path = folder / name
        path.write_text(content)
        return path

    return damage


def _replaced(name: str, old: str, new: str) -> Damage:
    def damage(folder: Path) -> Path:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    return damage


def _overlapping(folder: Path) -> Path:
    return correct(folder / "x.eaf", "face 0", (0, 500, "sad"), (400, 700, "happy"))


def _points(folder: Path) -> Path:
    from praatio.data_classes.point_tier import PointTier

    grid = Textgrid(0, 3)
    grid.addTier(PointTier("bell", [(1, "happy")], 0, 3))
    grid.save(str(folder / "p.TextGrid"), "long_textgrid", includeBlankSpaces=True)
    return folder / "p.TextGrid"


def _joyful(folder: Path) -> Path:
    grid = Textgrid(0, 3)
    grid.addTier(IntervalTier("face 0", [(0, 1, "hapy"), (1, 2, "joy"), (2, 3, "sad")], 0, 3))
    grid.save(str(folder / "j.TextGrid"), "short_textgrid", includeBlankSpaces=True)
    return folder / "j.TextGrid"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: folder / "none.eaf", "none.eaf: no such file"),
        (_text("", "x.txt"), "x.txt: expected annotations, whose name ends in .eaf or .TextGrid"),
        (_text("not XML"), "x.eaf: not a file that ELAN would open (Exception: Unable to parse eaf"),
        (_text(BOMB), "x.eaf: not a file that ELAN would open (Exception: Unable to parse eaf"),
        (_text("<html/>"), "x.eaf: not a file that ELAN would open (KeyError"),
        (_text("", "x.TextGrid"), "x.TextGrid: not a file that Praat would open"),
        (_text("\x00\x01", "x.TextGrid"), "x.TextGrid: not a file that Praat would open"),
        (_replaced("x.eaf", ' TIME_VALUE="1502"', ""), 'x.eaf: tier "face 0 fused": "happy" has no time; align it'),
        (_replaced("x.eaf", 'TIME_SLOT_REF2="ts3"', 'TIME_SLOT_REF2="ts99"'), "ELAN would open (KeyError: 'ts99'"),
        (_replaced("x.eaf", 'TIME_VALUE="1502"', 'TIME_VALUE="soon"'), "x.eaf: not a file that ELAN would open (Val"),
        (_replaced("x.eaf", 'LINGUISTIC_TYPE_REF="emotion"', 'LINGUISTIC_TYPE_REF="no"'), "ELAN would open (KeyErr"),
        (_replaced("x.TextGrid", "xmax = 1.501500015", "xmax = -"), "x.TextGrid: not a file that Praat would open"),
        (_overlapping, 'tier "face 0": "happy" at 0.400 s overlaps another'),
        (_points, "p.TextGrid: has no tier with intervals"),
        (_joyful, 'tier "face 0": "hapy" and "joy" are no labels; did you mean "happy"?'),
        (
            lambda folder: correct(folder / "x.eaf", "face 0", (0, 9000, "sad")),
            f'"sad" from 0.000 to 9.000 s lies beyond the recording, which ends at {END_S:.3f} s; is it of another',
        ),
    ],
)
def test_a_file_that_is_wrong_is_told_in_a_sentence_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], damage: Damage, said: str
) -> None:
    path = damage(folder)
    (folder / "out.json").write_text("old")
    before = {each: each.read_bytes() for each in folder.iterdir()}
    assert main(["compare", str(folder / "x.jsonl"), str(path), "--json", str(folder / "out.json")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert {each: each.read_bytes() for each in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--tier", "fase 0"],
            '--tier "fase 0": {0}/x.eaf has no such tier; there are "face 0 fused", "face 0", "face 1 f',
        ),
        (["--tier", "face 0", "--who", "Anna"], '--who "Anna": there are no such results; there are "face 0 fused", '),
        (["--who", "voice"], '--who "voice": name the tier to compare with it by --tier: "face 0 fused", '),
        (["--risk", "30"], "--risk 30: expected a share between 0 and 1, such as 0.2"),
        (["--json", "{0}/x.eaf"], "--json {0}/x.eaf: would overwrite {0}/x.eaf; choose another name"),
        (["--json", "{0}/x.jsonl"], "--json {0}/x.jsonl: would overwrite {0}/x.jsonl; choose another name"),
    ],
)
def test_arguments_that_cannot_be(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    given = [argument.format(folder) for argument in arguments]
    before = (folder / "x.eaf").read_bytes()
    assert main(["compare", str(folder / "x.jsonl"), str(folder / "x.eaf"), *given]) == 2
    assert capsys.readouterr().err.startswith(f"emopipe: {said.format(folder)}")
    assert (folder / "x.eaf").read_bytes() == before


def test_an_empty_tier_or_nobody_to_compare_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotated = correct(folder / "x.eaf", "Anna", (0, 500, "sad"))
    assert main(["compare", str(folder / "x.jsonl"), str(annotated), "--tier", "Anna"]) == 2
    assert '--tier "Anna": say what to compare it with by --who: "face 0 fused", ' in capsys.readouterr().err
    emptied = correct(folder / "x.eaf", "voice")
    assert main(["compare", str(folder / "x.jsonl"), str(emptied), "--tier", "voice"]) == 2
    assert "corrected.eaf has no annotation on it\n" in capsys.readouterr().err
    nobody = folder / "nobody.jsonl"
    run_stage(JsonLines(JsonLines.Settings(path=str(nobody))), [("emotions", m) for m in list(scene("x"))[112:115]])
    assert main(["compare", str(nobody), str(folder / "x.eaf")]) == 2
    assert "nobody.jsonl: no face and no voice was found" in capsys.readouterr().err


def test_results_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content, said in (("", "holds no results"), ("{}\n", "line 1 is no result of emopipe's")):
        (folder / "x.jsonl").write_text(content)
        assert main(["compare", str(folder / "x.jsonl"), str(folder / "x.eaf")]) == 2
        assert f"x.jsonl: {said}" in capsys.readouterr().err
    assert main(["compare", str(folder / "x.csv"), str(folder / "x.eaf")]) == 2
    assert "x.csv: expected results whose name ends in .jsonl" in capsys.readouterr().err


def test_a_library_that_is_missing_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emopipe.stages.lab.extra.find_spec", lambda name: None)
    assert main(["compare", str(folder / "x.jsonl"), str(folder / "x.eaf")]) == 2
    assert 'x.eaf: needs pympi-ling, which is not installed: pip install "emopipe[lab]"' in capsys.readouterr().err
