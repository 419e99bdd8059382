"""The table at the end of a replay: segments of one emotion."""

from typing import Any

from emopipe.tables.results import segments


def record(time: float, faces: list[tuple[int, str]], voice: tuple[str, int, int] | None = None) -> dict[str, Any]:
    second = 1_000_000_000
    return {
        "stream": "s",
        "time": time,
        "duration": second // 10,
        "faces": [{"id": id, "emotion": emotion, "confidence": 0.5} for id, emotion in faces],
        "alone": {"emotion": voice[0], "confidence": 0.4} if voice else None,
        "voice": {"start": voice[1] * second, "end": voice[2] * second} if voice else None,
    }


def test_the_table_holds_segments_of_one_emotion() -> None:
    records = [record(t / 10, [(0, "happy" if t < 5 else "sad")]) for t in range(10)]
    records += [record(5.0, [], ("angry", 2, 4)), record(6.0, [], ("angry", 3, 5)), record(7.0, [], ("sad", 4, 7))]
    found = [(s.who, s.emotion, round(s.start, 1), round(s.end, 1)) for s in segments(records)]
    assert sorted(found) == [
        ("face 0", "happy", 0.0, 0.5),
        ("face 0", "sad", 0.5, 1.0),
        ("voice", "angry", 2.0, 5.0),
        ("voice", "sad", 5.0, 7.0),
    ]
