"""Results as files of ELAN."""

import warnings
from pathlib import Path

import pytest
from pympi import Elan

from emopipe.lab.annotations import Span, read_tiers
from emopipe.pipeline.clock import MS
from emopipe.pipeline.testing import run_stage
from emopipe.stages.lab.elan import Eaf
from emopipe.stages.lab.tiers import VALUES
from tests.support.eaf import violations
from tests.support.lab import MARKERS, expected_segments, frame, scene


def written(path: Path, *streams: str, media: list[str] | None = None) -> Eaf:
    stage = Eaf(Eaf.Settings(path=str(path), media=media or []), label="out0")
    run_stage(stage, [("emotions", message) for stream in streams or ["test"] for message in scene(stream)])
    return stage


def read(path: Path) -> Elan.Eaf:
    with warnings.catch_warnings(action="error"):
        return Elan.Eaf(str(path))


def test_elan_finds_the_times_of_the_results_to_the_millisecond(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    stage = written(path)
    assert stage.counters["frames_with_face"] == 110
    document = read(path)
    assert list(document.get_tier_names()) == ["face 0 fused", "face 0", "face 1 fused", "face 1", "voice"]
    messages = list(scene())
    for face in (0, 1):
        for tier, alone in ((f"face {face} fused", False), (f"face {face}", True)):
            expected = [
                (round(start / 1e6), round(end / 1e6), value)
                for value, start, end in expected_segments(messages, face, alone=alone)
            ]
            assert sorted(document.get_annotation_data_for_tier(tier)) == expected
    assert document.get_parameters_for_tier("face 1 fused")["PARTICIPANT"] == "face 1"


def test_the_rules_of_its_schema_hold(tmp_path: Path) -> None:
    written(tmp_path / "x.eaf", media=[str(tmp_path / "test.mp4")])
    assert violations(tmp_path / "x.eaf") == []
    run_stage(Eaf(Eaf.Settings(path=str(tmp_path / "empty.eaf"))), [("emotions", next(scene()))])
    assert violations(tmp_path / "empty.eaf") == []


def test_the_labels_are_offered_for_corrections(tmp_path: Path) -> None:
    written(tmp_path / "x.eaf")
    document = read(tmp_path / "x.eaf")
    assert document.get_parameters_for_linguistic_type("emotion")["CONTROLLED_VOCABULARY_REF"] == "emotions"
    entries = document.get_cv_entries("emotions").values()
    assert tuple(values[0][0] for values, _ in entries) == VALUES


def test_the_recording_is_linked_to_each_file(tmp_path: Path) -> None:
    films = tmp_path / "my films"
    written(tmp_path / "{stream}.eaf", "a b", "ü", media=[str(films / "a b.mp4"), str(films / "ü.wav")])
    (one,) = read(tmp_path / "a b.eaf").get_linked_files()
    assert one["MEDIA_URL"] == (films / "a b.mp4").as_uri()
    assert one["RELATIVE_MEDIA_URL"] == "./my%20films/a%20b.mp4"
    assert one["MIME_TYPE"] == "video/mp4"
    (other,) = read(tmp_path / "ü.eaf").get_linked_files()
    assert other["MEDIA_URL"].endswith("/my%20films/%C3%BC.wav")
    assert other["MIME_TYPE"] == "audio/x-wav"


def test_the_same_results_are_the_same_bytes(tmp_path: Path) -> None:
    written(tmp_path / "a.eaf")
    written(tmp_path / "b.eaf")
    assert (tmp_path / "a.eaf").read_bytes() == (tmp_path / "b.eaf").read_bytes()


def test_after_a_jump_of_time_the_times_are_still_those_of_the_results(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    sent = [frame(number, {0: "happy"}) for number in (0, 1)] + [frame(0, {0: "sad"})]
    sent[-1].epoch = 1
    run_stage(Eaf(Eaf.Settings(path=str(path))), [("emotions", message) for message in sent], mode="live")
    document = read(path)
    assert document.get_annotation_data_for_tier("face 0 fused") == [(0, 67, "happy")]
    assert document.get_annotation_data_for_tier("face 0 fused (part 2)") == [(0, 33, "sad")]
    assert violations(path) == []


def test_markers_have_a_tier_for_each_sender_and_begin_when_they_happened(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    stage = Eaf(Eaf.Settings(path=str(path)))
    run_stage(stage, [*(("emotions", message) for message in scene()), *MARKERS], mode="live")
    assert (stage.counters["markers"], stage.counters["frames_with_face"]) == (7, 110)
    assert violations(path) == []
    document = read(path)
    assert list(document.get_tier_names())[-2:] == ["markers paradigm", "markers keys"]
    assert sorted(document.get_annotation_data_for_tier("markers paradigm")) == [
        (40, 41, "first <b> & ü"),
        (41, 141, "within the ms | the same ms"),
        (900, 1000, "and the next"),
        (1000, 1100, "dated back after the next"),
        (5000, 5100, "after the last result"),
    ]
    assert document.get_annotation_data_for_tier("markers keys") == [(500, 600, "press \\x00")]
    assert document.get_parameters_for_tier("markers keys")["LINGUISTIC_TYPE_REF"] == "marker"
    assert "CONTROLLED_VOCABULARY_REF" not in document.get_parameters_for_linguistic_type("marker")
    assert read_tiers(path)["markers keys"] == [Span(500 * MS, 600 * MS, "press \\x00")]  # as `emopipe compare` does


def test_another_name_is_refused(tmp_path: Path) -> None:
    problems = Eaf.Settings(path=str(tmp_path / "x.txt")).check()
    assert [(key, text.partition(": ")[2]) for key, text in problems] == [
        ("path", 'expected a name that ends in .eaf, such as "x.eaf"')
    ]


def test_without_the_library_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.lab.extra.find_spec", lambda name: None)
    assert Eaf.Settings(path=str(tmp_path / "x.eaf")).check() == [
        ("", 'needs pympi-ling, which is not installed: pip install "emopipe[lab]"')
    ]
