"""The record, the account and the timing of a result."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Hop
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.testing import gap
from emopipe.stages.sinks.records import count_result, likeliest, record, rounded, timing
from emopipe.stages.types import Emotions
from tests.support.factories import result


def test_a_record_holds_the_fields_of_the_result_in_their_order() -> None:
    found = record(result(1_500_000_000, {3: "happy"}, "sad", stream="cam", seq=7, duration=40 * MS))
    assert list(found) == ["stream", "seq", "pts", "time", "duration", *Emotions.__struct_fields__]
    assert (found["stream"], found["seq"], found["pts"], found["time"]) == ("cam", 7, 1_500_000_000, 1.5)
    face = found["faces"][0]
    assert list(face) == ["id", "box", "emotion", "confidence", "probabilities", "face", "uncertain", "speaking"]
    assert (face["id"], face["box"], face["emotion"], face["confidence"]) == (3, [0.25, 0.125, 0.5, 0.5], "happy", 0.7)
    assert face["face"]["weight"] == 0.6
    assert face["face"]["age"] == 0
    assert found["voice"]["weight"] == 0.4
    assert (found["voice"]["age"], found["voice"]["start"], found["voice"]["end"]) == (40 * MS, 0, 3000 * MS)
    assert found["alone"] is None


def test_a_voice_without_a_face_stands_alone() -> None:
    found = record(result(0, None, "sad"))
    assert (found["source"], found["faces"]) == ("voice", [])
    assert found["alone"]["emotion"] == "sad"


def test_a_frame_without_a_face_is_a_result_too() -> None:
    found = record(result())
    assert (found["source"], found["faces"], found["voice"], found["alone"]) == ("face", [], None, None)


@pytest.mark.slow("many examples")
@given(st.recursive(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(), st.lists))
def test_rounding_is_within_half_a_unit_and_settled_after_once(value: object) -> None:
    once = rounded(value)
    assert rounded(once) == once
    assert msgspec.json.encode(rounded(once)) == msgspec.json.encode(once)
    if isinstance(value, float):
        assert abs(once - value) <= max(0.5e-6, abs(value) * 1e-15) * 1.001


def test_rounding_leaves_no_negative_zero_and_no_integer_changed() -> None:
    assert math.copysign(1, rounded(-1e-9)) == 1
    assert rounded({"pts": 2**62, "box": (0.1234567, 1.0), "forced": True}) == {
        "pts": 2**62,
        "box": [0.123457, 1.0],
        "forced": True,
    }


def test_the_timing_of_the_hops_adds_up_to_the_age() -> None:
    trace = [Hop("cam", 5 * MS, 10 * MS), Hop("faces", 12 * MS, 20 * MS), Hop("results", 21 * MS, 0)]
    found = timing(result(40, trace=trace, seq=2), now=22 * MS)
    assert found == {
        "stream": "test",
        "seq": 2,
        "pts": 40,
        "capture": "cam",
        "total_ms": 12.0,
        "hops": [
            {"stage": "faces", "queued_ms": 2.0, "working_ms": 8.0},
            {"stage": "results", "queued_ms": 1.0, "working_ms": 1.0},
        ],
    }
    assert sum(hop["queued_ms"] + hop["working_ms"] for hop in found["hops"]) == pytest.approx(found["total_ms"])


def test_the_account_tells_frames_windows_and_silence_apart() -> None:
    sink = Stage(label="sink")
    for message in (
        result(0, {1: "happy"}, "sad"),
        result(1, {1: "happy"}, forced=True),
        result(2),
        result(3, None, "sad"),
        gap(4, 500 * MS),
        gap(5, 250 * MS),
    ):
        count_result(sink, message)
    assert sink.stream_counters.snapshot() == {"test": dict(sink.counters)}
    assert sink.counters == {
        "frames_with_face": 2,
        "frames_without_face": 1,
        "voice_windows": 1,
        "forced": 1,
        "silent_ns": 750 * MS,
    }


def test_the_likeliest_label() -> None:
    assert likeliest({"happy": 0.2, "sad": 0.5, "fear": 0.3}) == ("sad", 0.5)
