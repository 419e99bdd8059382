"""Results told as segments."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.sinks.findings import Finding
from emopipe.stages.sinks.segments import MAX_SEGMENTS, Timeline
from tests.support.factories import distribution

LABELS = ("happy", "sad", "angry")


def face(emotion: str, confidence: float = 0.8, uncertain: bool = False) -> Finding:
    return Finding(0, False, distribution(emotion, confidence), uncertain)


def timeline(*results: tuple[str, float, float], uncertain: bool = False) -> Timeline:
    """(emotion, from, to) in s."""
    made = Timeline()
    for emotion, start, end in results:
        made.add(face(emotion, 0.8, uncertain), round(start * SECOND), round(end * SECOND))
    return made


def told(made: Timeline) -> list[tuple[str, float, float]]:
    return [(each.emotion, each.start / SECOND, each.end / SECOND) for each in made.segments]


def test_what_follows_closely_is_one_segment() -> None:
    assert told(timeline(("sad", 0, 0.04), ("sad", 0.04, 0.08), ("sad", 0.5, 0.54))) == [("sad", 0, 0.54)]
    assert told(timeline(("sad", 0, 0.04), ("sad", 2, 2.04))) == [("sad", 0, 0.04), ("sad", 2, 2.04)]
    assert told(timeline(("sad", 0, 0.04), ("happy", 0.1, 0.2))) == [("sad", 0, 0.1), ("happy", 0.1, 0.2)]
    assert told(timeline(("sad", 0, 3), ("happy", 0.5, 3.5))) == [("sad", 0, 3), ("happy", 3, 3.5)]  # windows overlap


def test_uncertain_is_told_apart() -> None:
    made = timeline(("sad", 0, 1))
    made.add(face("sad", 0.3, True), SECOND, 3 * SECOND)
    assert [each.uncertain for each in made.segments] == [False, True]
    assert made.certain == {"sad": SECOND}
    assert made.uncertain == {"sad": 2 * SECOND}
    assert made.total == 3 * SECOND


def test_the_confidence_is_the_mean() -> None:
    made = Timeline()
    for number, confidence in enumerate((0.5, 0.7, 0.9)):
        made.add(face("sad", confidence, False), number * SECOND, (number + 1) * SECOND)
    assert round(made.segments[0].confidence, 6) == 0.7


@given(
    st.lists(
        st.tuples(st.sampled_from(LABELS), st.booleans(), st.integers(0, 3 * SECOND), st.integers(0, SECOND)),
        max_size=60,
    )
)
def test_segments_are_in_order_and_add_up(results: list[tuple[str, bool, int, int]]) -> None:
    made, at = Timeline(), 0
    for emotion, uncertain, gap, length in results:
        at += gap
        made.add(face(emotion, 0.5, uncertain), at, at + length)
    ends = [0]
    for each in made.segments:
        assert ends[-1] <= each.start <= each.end
        ends.append(each.end)
    assert sum(each.length for each in made.segments) == made.total


def test_memory_is_bounded_and_the_totals_stay_exact() -> None:
    made = Timeline()
    step = 40 * MS
    count = 20 * MAX_SEGMENTS
    for number in range(count):
        made.add(face(LABELS[number % 3] if number % 50 else "neutral", 0.5), number * step, (number + 1) * step)
    assert len(made.segments) <= MAX_SEGMENTS
    assert made.grain_ns > 0
    assert made.total == count * step
    assert made.segments[-1].end == count * step


def test_a_time_line_of_long_segments_gets_neither_holes_nor_one_colour() -> None:
    """Each longer than the first grain, and all alike."""
    made = Timeline()
    step = 200 * MS
    for number in range(10 * MAX_SEGMENTS):
        made.add(face(LABELS[number % 3], 0.5), number * step, (number + 1) * step)
    assert MAX_SEGMENTS // 5 < len(made.segments) <= MAX_SEGMENTS
    assert all(one.end == other.start for one, other in pairwise(made.segments))
    assert {each.emotion for each in made.segments} == set(LABELS)


def test_segments_far_apart_are_bounded_too() -> None:
    made = Timeline()
    for number in range(2 * MAX_SEGMENTS):
        made.add(face("sad", 0.5, False), number * 5 * SECOND, number * 5 * SECOND + MS)
    assert len(made.segments) <= MAX_SEGMENTS
