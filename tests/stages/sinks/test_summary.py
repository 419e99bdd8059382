"""What a stream comes to: its faces, its voice, and a sentence for each."""

import pytest

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.stages.sinks.findings import Finding
from emopipe.stages.sinks.segments import Timeline
from emopipe.stages.sinks.summary import MAX_FACES, StreamSummary, verdict_sentence
from tests.support.factories import distribution, make_geometry, result


def take(made: StreamSummary, message: Message) -> int:
    return made.add(message.payload, message.pts, message.duration)


def told(made: Timeline) -> list[tuple[str, float, float]]:
    return [(each.emotion, each.start / SECOND, each.end / SECOND) for each in made.segments]


def summary(*messages: Message) -> StreamSummary:
    made = StreamSummary("a")
    for message in messages:
        take(made, message)
    return made


def test_a_summary_tells_of_faces_and_the_voice() -> None:
    frames = [result(n * 40 * MS, {1: "happy"}, "sad", duration=40 * MS) for n in range(3)]
    for each in frames:
        each.payload.source = "face"
    empty = result(120 * MS, duration=40 * MS)
    made = summary(*frames, empty)
    face = made.faces[0, 1]
    assert face.name == "face 1"
    assert told(face.timeline) == told(face.alone) == [("happy", 0, 0.12)]
    assert told(made.voice) == [("sad", 2, 3)]  # not over the whole window
    assert (made.frames, made.with_face) == (4, 3)


def test_time_that_jumps_goes_on_and_nobody_is_mixed_up() -> None:
    made = summary(result(0, {1: "happy"}, duration=SECOND))
    made.jump()
    assert take(made, result(50 * SECOND, {1: "sad"}, duration=SECOND)) == SECOND
    assert [face.name for face in made.faces.values()] == ["face 1", "face 1 (part 2)"]
    assert made.end == 2 * SECOND


def test_many_faces_are_only_counted() -> None:
    made = summary(result(0, {0: "happy"}, duration=10 * SECOND))
    for number in range(1, 2 * MAX_FACES):
        take(made, result(10 * SECOND + number * 40 * MS, {number: "sad"}, duration=40 * MS))
    assert len(made.faces) == MAX_FACES
    assert made.brief_faces == MAX_FACES
    assert (0, 0) in made.faces


def test_two_who_come_at_once_do_not_take_each_others_place() -> None:
    made = summary(*(result(number * 3 * SECOND, {number: "sad"}, duration=SECOND) for number in range(MAX_FACES)))
    start = 3 * MAX_FACES * SECOND
    for number in range(50):
        take(made, result(start + number * 40 * MS, {1000: "happy", 1001: "sad"}, duration=40 * MS))
    assert made.brief_faces == 2
    assert [made.faces[0, each].timeline.total for each in (1000, 1001)] == [2 * SECOND, 2 * SECOND]


def test_a_window_stands_for_what_it_was_the_first_to_hear() -> None:
    def window(start: float, end: float, label: str) -> Message:
        message = result(round(end * SECOND), None, label, duration=SECOND // 2)
        message.payload.voice.start, message.payload.voice.end = round(start * SECOND), round(end * SECOND)
        return message

    made = summary(window(0, 0.7, "sad"), window(0, 1, "sad"), window(0, 1.5, "fear"), window(7, 10, "sad"))
    assert told(made.voice) == [("sad", 0.2, 1), ("fear", 1, 1.5), ("sad", 9.5, 10)]


def test_with_and_without_the_voice_are_told_apart() -> None:
    with_voice = result(0, {0: "happy"}, "sad", duration=SECOND)
    with_voice.payload.source = "face"
    made = summary(with_voice, result(SECOND, {0: "happy"}, duration=SECOND))
    assert [who for who, _ in made.segments()] == ["face 0 + voice", "face 0", "voice"]
    assert made.faces[0, 0].voice
    assert not summary(result(0, {0: "happy"}, duration=SECOND)).faces[0, 0].voice


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([("happy", 2, False)], "Face 0 expresses happy, all of 2.0 s."),
        ([("happy", 0.04, False)], "Face 0 expresses happy, all of 40 ms."),
        ([("happy", 6, False), ("sad", 4, False)], "Face 0 mostly expresses happy, 60 % of 10.0 s."),
        (
            [("happy", 3, True), ("sad", 4, False), ("fear", 2, False), ("happy", 1, False)],
            "Face 0 most often expresses sad, 40 % of 10.0 s; 30 % is uncertain.",
        ),
        (
            [("happy", 6, True), ("sad", 4, True)],
            "Face 0: uncertain throughout; likeliest is happy, 60 % of 10.0 s.",
        ),
        ([], "Face 0 is there for a moment only."),
    ],
)
def test_the_verdict_in_a_sentence(parts: list[tuple[str, float, bool]], sentence: str) -> None:
    made, at = Timeline(), 0.0
    for label, seconds, uncertain in parts:
        made.add(Finding(0, False, distribution(label), uncertain), round(at * SECOND), round((at + seconds) * SECOND))
        at += seconds
    assert verdict_sentence("face 0", made) == sentence


def test_the_geometry_of_a_face_is_told_by_its_means_without_what_is_uncertain() -> None:
    frames = [result(number * 40 * MS, {1: "happy"}, duration=40 * MS) for number in range(4)]
    assert not summary(*frames).faces[0, 1].geometry.frames
    frames[0].payload.faces[0].geometry = make_geometry(yaw=10, pitch=-4, smile=0.5)
    frames[1].payload.faces[0].geometry = make_geometry(yaw=80, uncertain=True)
    frames[3].payload.faces[0].geometry = make_geometry(yaw=20, gaze_pitch=8, smile=0.3, blinks=1)
    told = summary(*frames).faces[0, 1].geometry
    assert told.frames == 2
    assert told.sentence() == "Head 15° right, 2° down on average, gaze 0° left, 4° up; smile 40 %; 1 blink."
