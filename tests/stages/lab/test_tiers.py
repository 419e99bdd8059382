"""Results as tiers: who, and from when to when."""

from itertools import pairwise

from emopipe.pipeline.clock import SECOND
from emopipe.stages.lab.tiers import VALUES, StreamTiers, Tier, annotation_value
from emopipe.stages.sinks.segments import MAX_SEGMENTS
from tests.support.lab import FRAME_NS, expected_segments, frame, scene


def made() -> dict[str, Tier]:
    tiers = StreamTiers()
    for message in scene():
        if message.kind == "data":
            tiers.add(message.payload, message.pts, message.duration)
        else:
            tiers.add_gap(message.pts, message.duration)
    return {tier.name: tier for tier in tiers.tiers()}


def told(tier: Tier) -> list[tuple[str, int, int]]:
    return [(annotation_value(segment), segment.start, segment.end) for segment in tier.segments]


def test_each_face_has_two_tiers_and_the_voice_one() -> None:
    tiers = made()
    assert list(tiers) == ["face 0 fused", "face 0", "face 1 fused", "face 1", "voice"]
    assert [tier.participant for tier in tiers.values()] == ["face 0", "face 0", "face 1", "face 1", "voice"]
    messages = list(scene())
    for face in (0, 1):
        assert told(tiers[f"face {face} fused"]) == expected_segments(messages, face)
        assert told(tiers[f"face {face}"]) == expected_segments(messages, face, alone=True)
    assert {value for tier in tiers.values() for value, *_ in told(tier)} <= set(VALUES)


def test_the_voice_begins_no_annotation_of_the_face() -> None:
    assert [value for value, *_ in told(made()["face 0 fused"])] == ["happy", "sad", "sad?"]


def test_a_window_of_the_voice_stands_for_what_it_was_the_first_to_hear() -> None:
    (segment,) = made()["voice"].segments
    heard = [message.payload.voice.end for message in scene() if message.kind == "data" and message.payload.voice]
    assert (segment.emotion, segment.end) == ("angry", max(heard))
    assert segment.start == min(heard) - SECOND


def test_the_voice_has_a_tier_where_nobody_speaks() -> None:
    assert [(tier.name, tier.segments) for tier in StreamTiers().tiers()] == [("voice", [])]


def test_what_follows_a_jump_of_time_has_tiers_of_its_own() -> None:
    tiers = StreamTiers()
    for _ in range(2):
        tiers.add(frame(0, {0: "happy"}).payload, 0, FRAME_NS)
        tiers.jump()
    made = tiers.tiers()
    assert [tier.name for tier in made] == [
        "face 0 fused",
        "face 0",
        "face 0 fused (part 2)",
        "face 0 (part 2)",
        "voice",
    ]
    assert [[each.start for each in tier.segments] for tier in made] == [[0], [0], [0], [0], []]


def test_no_segment_is_left_out_however_many_there_are() -> None:
    tiers = StreamTiers()
    for number in range(2 * MAX_SEGMENTS):
        tiers.add(frame(number, {0: "happy" if number % 2 else "sad"}).payload, number * FRAME_NS, FRAME_NS)
    segments = tiers.tiers()[0].segments
    assert len(segments) == 2 * MAX_SEGMENTS
    assert all(one.end == other.start for one, other in pairwise(segments))


def test_what_takes_no_time_is_left_out() -> None:
    tiers = StreamTiers()
    tiers.add(frame(0, {0: "happy"}).payload, 0, 0)
    assert all(tier.segments == [] for tier in tiers.tiers())
