"""Results told as segments."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from emopipe.models.thresholds import Thresholds, read_thresholds, shipped_weights
from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.report.segments import MAX_FACES, MAX_SEGMENTS, StreamSummary, Timeline
from tests.support.factories import result

SURE = Thresholds(0.5, 0.5)
LABELS = ("happy", "sad", "angry")


def lane(*results: tuple[str, float, float], uncertain: bool = False) -> Timeline:
    """(emotion, from, to) in s."""
    made = Timeline()
    for emotion, start, end in results:
        made.add(emotion, 0.8, uncertain, round(start * SECOND), round(end * SECOND))
    return made


def told(made: Timeline) -> list[tuple[str, float, float]]:
    return [(each.emotion, each.start / SECOND, each.end / SECOND) for each in made.segments]


def test_what_follows_closely_is_one_stretch() -> None:
    assert told(lane(("sad", 0, 0.04), ("sad", 0.04, 0.08), ("sad", 0.5, 0.54))) == [("sad", 0, 0.54)]
    assert told(lane(("sad", 0, 0.04), ("sad", 2, 2.04))) == [("sad", 0, 0.04), ("sad", 2, 2.04)]
    assert told(lane(("sad", 0, 0.04), ("happy", 0.1, 0.2))) == [("sad", 0, 0.1), ("happy", 0.1, 0.2)]
    assert told(lane(("sad", 0, 3), ("happy", 0.5, 3.5))) == [("sad", 0, 3), ("happy", 3, 3.5)]  # windows overlap


def test_uncertain_is_told_apart() -> None:
    made = lane(("sad", 0, 1))
    made.add("sad", 0.3, True, SECOND, 3 * SECOND)
    assert [each.uncertain for each in made.segments] == [False, True]
    assert made.certain == {"sad": SECOND}
    assert made.unsure == {"sad": 2 * SECOND}
    assert made.total == 3 * SECOND


def test_the_confidence_is_the_mean() -> None:
    made = Timeline()
    for number, confidence in enumerate((0.5, 0.7, 0.9)):
        made.add("sad", confidence, False, number * SECOND, (number + 1) * SECOND)
    assert round(made.segments[0].confidence, 6) == 0.7


@given(
    st.lists(
        st.tuples(st.sampled_from(LABELS), st.booleans(), st.integers(0, 3 * SECOND), st.integers(0, SECOND)),
        max_size=60,
    )
)
def test_stretches_are_in_order_and_add_up(results: list[tuple[str, bool, int, int]]) -> None:
    made, at = Timeline(), 0
    for emotion, uncertain, gap, length in results:
        at += gap
        made.add(emotion, 0.5, uncertain, at, at + length)
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
        made.add(LABELS[number % 3] if number % 50 else "neutral", 0.5, False, number * step, (number + 1) * step)
    assert len(made.segments) <= MAX_SEGMENTS
    assert made.grain > 0
    assert made.total == count * step
    assert made.segments[-1].end == count * step


def test_a_time_line_of_long_stretches_gets_neither_holes_nor_one_colour() -> None:
    """Each longer than the first grain, and all alike."""
    made = Timeline()
    step = 200 * MS
    for number in range(10 * MAX_SEGMENTS):
        made.add(LABELS[number % 3], 0.5, False, number * step, (number + 1) * step)
    assert MAX_SEGMENTS // 5 < len(made.segments) <= MAX_SEGMENTS
    assert all(one.end == other.start for one, other in pairwise(made.segments))
    assert {each.emotion for each in made.segments} == set(LABELS)


def test_stretches_far_apart_are_bounded_too() -> None:
    made = Timeline()
    for number in range(2 * MAX_SEGMENTS):
        made.add("sad", 0.5, False, number * 5 * SECOND, number * 5 * SECOND + MS)
    assert len(made.segments) <= MAX_SEGMENTS


def summary(*messages: object) -> StreamSummary:
    made = StreamSummary("a", SURE)
    for message in messages:
        made.add(message)  # type: ignore[arg-type]
    return made


def test_a_story_tells_of_faces_and_the_voice() -> None:
    frames = [result(n * 40 * MS, {1: "happy"}, "sad", duration=40 * MS) for n in range(3)]
    for each in frames:
        each.payload.source = "face"
    empty = result(120 * MS, duration=40 * MS)
    made = summary(*frames, empty)
    person = made.people[0, 1]
    assert person.name == "Face 1"
    assert told(person.together) == told(person.face) == [("happy", 0, 0.12)]
    assert told(made.voice) == [("sad", 0, 3)]
    assert (made.frames, made.with_face) == (4, 3)


def test_a_face_and_a_voice_that_hardly_say_anything_are_uncertain() -> None:
    message = result(0, {1: "happy"}, "sad", duration=40 * MS)
    for part in (message.payload.faces[0].face, message.payload.voice):
        part.probabilities = dict.fromkeys(part.probabilities, 0.1) | {"sad": 0.4}
    made = summary(message)
    assert made.people[0, 1].face.unsure
    assert made.voice.unsure
    assert made.people[0, 1].together.certain  # fusion says that


def test_time_that_jumps_goes_on_and_nobody_is_mixed_up() -> None:
    made = summary(result(0, {1: "happy"}, duration=SECOND))
    made.jump()
    assert made.add(result(50 * SECOND, {1: "sad"}, duration=SECOND)) == SECOND
    assert [person.name for person in made.people.values()] == ["Face 1", "Face 1 (part 2)"]
    assert made.end == 2 * SECOND


def test_many_people_are_only_counted() -> None:
    made = summary(result(0, {0: "happy"}, duration=10 * SECOND))
    for number in range(1, 2 * MAX_FACES):
        made.add(result(10 * SECOND + number * 40 * MS, {number: "sad"}, duration=40 * MS))
    assert len(made.people) == MAX_FACES
    assert made.brief_faces == MAX_FACES
    assert (0, 0) in made.people


def test_two_who_come_at_once_do_not_take_each_others_place() -> None:
    made = summary(*(result(number * 3 * SECOND, {number: "sad"}, duration=SECOND) for number in range(MAX_FACES)))
    start = 3 * MAX_FACES * SECOND
    for number in range(50):
        made.add(result(start + number * 40 * MS, {1000: "happy", 1001: "sad"}, duration=40 * MS))
    assert made.brief_faces == 2
    assert [made.people[0, face].together.total for face in (1000, 1001)] == [2 * SECOND, 2 * SECOND]


def test_the_limits_are_those_of_the_models_cards() -> None:
    limits = read_thresholds(shipped_weights(), 0.3)
    assert 0.2 < limits.face < 0.6
    assert 0.2 < limits.voice < 0.7
    assert read_thresholds(shipped_weights(), 0.2).voice > limits.voice
    assert read_thresholds([], 0.3) == Thresholds(0.7, 0.7)
