"""Fusion as a fold: what each frame and window brings forth, whatever the timing."""

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.models.fusion.attribution import VoiceAttribution
from emopipe.models.fusion.opinion_pool import named, pool, shared
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.join import Ended, EventTimeJoin, Released
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.stream_join import latest_within
from emopipe.pipeline.testing import gap
from emopipe.stages.fusion.combiners import PoolCombiner
from emopipe.stages.fusion.fuser import Fuser, Output
from emopipe.stages.fusion.smoothing import Smoother
from emopipe.stages.types import Emotions
from tests.support.emotion_messages import FRAME, HOP, frame, window

HOLD = SECOND


def fuser(*, smoothing: float = 0.0, faces: bool = True, counters: Counter[str] | None = None) -> Fuser:
    return Fuser(
        PoolCombiner(), partner=latest_within(HOLD), smoother=Smoother(smoothing, 2.0), faces=faces, counters=counters
    )


def face_event(message: Message) -> Released[Message]:
    return Released("faces", message.pts, message, False)


def speech_event(message: Message) -> Released[Message]:
    return Released("speech", message.pts, message, False)


def result(outputs: list[Output]) -> Emotions:
    assert len(outputs) == 1
    assert outputs[0].result is not None
    return outputs[0].result


def test_a_face_is_fused_with_the_newest_window_by_weight() -> None:
    fold = fuser()
    fold.push(speech_event(window(HOP, "sad", voiced=0.5)))
    emotions = result(fold.push(face_event(frame(HOP + FRAME, {3: "happy"}))))
    (person,) = emotions.faces
    assert (emotions.source, emotions.alone, emotions.forced) == ("face", None, False)
    assert (person.id, person.face.age) == (3, 0)
    assert emotions.voice is not None
    assert (emotions.voice.age, emotions.voice.start, emotions.voice.end) == (FRAME, 0, HOP)
    assert person.face.weight + emotions.voice.weight == pytest.approx(1)
    assert person.face.weight > emotions.voice.weight  # as sure as the voice, but of twice its quality
    face, voice = frame(0, {3: "happy"}).payload.faces[0].probabilities, window(0, "sad").payload.probabilities
    pooled = named(pool([face, shared(voice)], [person.face.weight, emotions.voice.weight]))
    assert person.probabilities == pytest.approx(pooled)
    assert person.probabilities[person.emotion] == person.confidence == max(pooled.values())


def test_a_longer_window_weighs_more() -> None:
    weights = []
    for end in (HOP, 2 * HOP, 3 * HOP):
        fold = fuser()
        fold.push(speech_event(window(end, "sad")))
        voice = result(fold.push(face_event(frame(end + FRAME, {0: "happy"})))).voice
        assert voice is not None
        weights.append(voice.weight / (1 - voice.weight))
    assert weights[1] == pytest.approx(2 * weights[0])
    assert weights[2] == pytest.approx(3 * weights[0])


def test_the_age_counts_from_the_true_end_of_the_sound() -> None:
    fold = fuser()
    fold.push(speech_event(window(HOP, end=HOP - 100 * MS)))
    voice = result(fold.push(face_event(frame(HOP, {0: "happy"})))).voice
    assert voice is not None
    assert voice.age == 100 * MS


def test_each_of_several_faces_is_fused() -> None:
    fold = fuser()
    fold.push(speech_event(window(HOP, "happy")))
    emotions = result(fold.push(face_event(frame(HOP, {0: "happy", 1: "sad"}))))
    assert [person.id for person in emotions.faces] == [0, 1]
    assert emotions.voice is not None
    weights = [1 - person.face.weight for person in emotions.faces]
    assert emotions.voice.weight == pytest.approx(sum(weights) / 2)


def test_a_face_without_a_voice_stands_alone() -> None:
    emotions = result(fuser().push(face_event(frame(0, {0: "happy"}))))
    assert emotions.voice is None
    assert emotions.faces[0].face.weight == 1
    assert emotions.faces[0].probabilities == pytest.approx(emotions.faces[0].face.probabilities)


def test_a_window_is_a_partner_for_hold_and_no_longer() -> None:
    fold = fuser()
    fold.push(speech_event(window(HOP)))
    assert result(fold.push(face_event(frame(HOP + HOLD, {0: "happy"})))).voice is not None
    assert result(fold.push(face_event(frame(HOP + HOLD + 1, {0: "happy"})))).voice is None


def test_a_frame_without_a_face_gives_an_empty_result_and_leaves_the_voice_alone() -> None:
    fold = fuser()
    assert fold.push(speech_event(window(HOP))) == []
    assert fold.watermark == HOP
    alone, empty = fold.push(face_event(frame(HOP)))
    assert alone.cause.pts == HOP
    assert alone.result is not None
    assert (alone.result.source, alone.result.faces) == ("voice", [])
    assert alone.result.alone is not None
    assert alone.result.alone.emotion == "sad"
    assert alone.result.voice is not None
    assert alone.result.voice.weight == 1
    assert empty.result == Emotions(source="face", faces=[], voice=None, alone=None, forced=False)
    assert fold.watermark == FOREVER


def test_when_the_faces_have_ended_the_voice_is_alone_at_once() -> None:
    fold = fuser()
    fold.push(face_event(frame(0, {0: "happy"})))
    fold.push(speech_event(window(HOP)))
    assert result(fold.push(Ended("faces", FRAME))).source == "voice"
    assert result(fold.push(speech_event(window(2 * HOP)))).source == "voice"


def test_without_a_face_input_the_voice_is_alone_at_once() -> None:
    assert result(fuser(faces=False).push(speech_event(window(HOP)))).source == "voice"


def test_a_window_that_no_frame_follows_within_hold_is_alone() -> None:
    fold = fuser()
    fold.push(face_event(frame(0, {0: "happy"})))
    fold.push(speech_event(window(HOP)))
    assert fold.flush_before(HOP + HOLD) == []
    assert result(fold.flush_before(HOP + HOLD + 1)).source == "voice"
    assert [
        output.result.source for output in fold.push(face_event(frame(3 * HOP + 1, {0: "happy"}))) if output.result
    ] == ["face"]


def test_gaps_keep_their_place_behind_a_window_that_waits() -> None:
    fold = fuser()
    early = gap(0, HOP)
    assert fold.push(speech_event(early)) == [Output(early, None)]
    fold.push(speech_event(window(HOP)))
    assert fold.push(speech_event(gap(2 * HOP, HOP))) == []
    outputs = fold.push(Ended("faces", 0))
    assert [(output.cause.pts, output.result is None) for output in outputs] == [(HOP, False), (2 * HOP, True)]


def test_windows_between_two_frames_with_faces_are_superseded_by_the_newest() -> None:
    counters: Counter[str] = Counter()
    fold = fuser(counters=counters)
    fold.push(face_event(frame(0, {0: "happy"})))
    fold.push(speech_event(window(HOP, "sad")))
    fold.push(speech_event(window(2 * HOP, "angry")))
    emotions = result(fold.push(face_event(frame(2 * HOP + FRAME, {0: "happy"}))))
    assert emotions.voice is not None
    assert emotions.voice.end == 2 * HOP
    assert counters["windows_superseded"] == 1


def test_a_late_window_serves_what_follows_unless_a_newer_one_is_known() -> None:
    fold = fuser()
    fold.on_late("speech", window(2 * HOP))
    fold.on_late("speech", window(HOP))
    emotions = result(fold.push(face_event(frame(3 * HOP, {0: "happy"}))))
    assert emotions.voice is not None
    assert emotions.voice.end == 2 * HOP


def test_faces_and_the_voice_alone_are_smoothed_apart() -> None:
    fold = fuser(smoothing=10.0)
    fold.push(face_event(frame(0, {0: "happy"})))
    fold.push(face_event(frame(FRAME)))
    fold.push(speech_event(window(HOP, "sad")))
    alone, _ = fold.push(face_event(frame(HOP)))
    assert alone.result is not None
    assert alone.result.alone is not None
    assert alone.result.alone.emotion == "sad"
    again = result(fold.push(face_event(frame(HOP + HOLD + 1, {0: "sad"}, share=0.5, quality=0.1))))
    assert again.faces[0].emotion == "happy"  # one unsure frame moves the face's own line but little


Script = list[Message]

frames = st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["none", "happy", "two", "gap"])), max_size=14)
windows = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["speech", "speech", "gap"])), max_size=8)


def face_script(steps: list[tuple[int, str]]) -> Script:
    pts = 0
    script = []
    for step, kind in steps:
        pts += step * 137 * MS
        faces = {"happy": {0: "happy"}, "two": {0: "fear", 1: "sad"}}.get(kind, {})
        script.append(gap(pts, FRAME) if kind == "gap" else frame(pts, faces))
    return script


def speech_script(steps: list[tuple[int, str]]) -> Script:
    pts = 0
    script = []
    for step, kind in steps:
        pts += step * HOP
        script.append(window(pts, "angry") if kind == "speech" else gap(pts, HOP))
    return script


def fold_by_chance(scripts: dict[str, Script], chance: Random, counters: Counter[str]) -> list[Output]:
    """Join and fold both scripts, interleaved by chance, with promises that reach ahead by chance."""
    join: EventTimeJoin[Message] = EventTimeJoin(("speech", "faces"))
    fold = fuser(smoothing=0.3, counters=counters)
    places = dict.fromkeys(scripts, 0)
    outputs: list[Output] = []
    promised = 0
    while unfinished := [name for name, script in scripts.items() if places[name] <= len(script)]:
        name = chance.choice(unfinished)
        script, place = scripts[name], places[name]
        places[name] += 1
        if place == len(script):
            join.end(name)
        else:
            pts = script[place].pts
            following = script[place + 1].pts if place + 1 < len(script) else pts + 9 * SECOND
            assert join.push(name, pts, script[place])
            join.advance(name, chance.choice([pts, pts + 1, following]))
        new = [output for event in join.pop() for output in fold.push(event)] + fold.flush_before(join.watermark)
        assert all(output.cause.pts >= promised for output in new)
        outputs += new
        bound = min(fold.watermark, join.watermark)
        assert bound >= promised
        promised = bound
    assert fold.pending == 0
    return outputs


@pytest.mark.slow("many examples")
@settings(max_examples=300, deadline=None)
@given(frames.map(face_script), windows.map(speech_script), st.integers(0, 2**32))
def test_timing_changes_nothing_and_everything_is_accounted_for(faces: Script, speech: Script, seed: int) -> None:
    chance = Random(seed)
    counters: Counter[str] = Counter()
    outputs = fold_by_chance({"faces": faces, "speech": speech}, chance, counters)
    for _ in range(4):
        assert fold_by_chance({"faces": faces, "speech": speech}, chance, Counter()) == outputs

    times = [output.cause.pts for output in outputs]
    assert times == sorted(times)
    results = [(output.cause, output.result) for output in outputs if output.result is not None]
    assert [id(cause) for cause, emotions in results if emotions.source == "face"] == [
        id(message) for message in faces if message.kind == "data"
    ]
    gaps = [output.cause for output in outputs if output.result is None]
    assert len(gaps) == sum(message.kind == "gap" for message in faces + speech)
    # Every window is in a result, or was replaced by a newer one while a face was in view.
    windows = {emotions.voice.end for _, emotions in results if emotions.voice is not None}
    said = {message.pts for message in speech if message.kind == "data"}
    assert windows <= said
    assert len(said - windows) == counters["windows_superseded"]
    for _, emotions in results:
        for person in emotions.faces:
            assert math.fsum(person.probabilities.values()) == pytest.approx(1)
        if emotions.voice is not None and emotions.faces:
            assert 0 <= emotions.voice.age <= HOLD


def test_the_voice_goes_to_whose_mouth_moves() -> None:
    def told(attribution: VoiceAttribution | None) -> Emotions:
        fold = Fuser(PoolCombiner(), partner=latest_within(HOLD), smoother=Smoother(0.0, 2.0), attribution=attribution)
        outputs: list[Output] = []
        for pts in range(0, 4 * HOP + 1, FRAME):
            if pts and pts % HOP == 0:
                outputs = fold.push(speech_event(window(pts, "sad", share=0.95)))
            seen = frame(pts, {0: "happy", 1: "happy"}, mouths={0: 0.5, 1: 4.0})
            outputs = fold.push(face_event(seen))
        return result(outputs)

    emotions = told(VoiceAttribution())
    silent, speaker = emotions.faces
    assert speaker.speaking > 0.9
    assert silent.speaking < 0.05
    assert silent.face.weight == 1  # surely not its voice
    everybody = told(None)
    assert [face.speaking for face in everybody.faces] == [1, 1]
    assert speaker.probabilities == everybody.faces[1].probabilities  # as good as surely its voice
    assert silent.probabilities["happy"] > speaker.probabilities["happy"]


def test_nobody_speaks_where_there_is_no_voice() -> None:
    fold = Fuser(
        PoolCombiner(), partner=latest_within(HOLD), smoother=Smoother(0.0, 2.0), attribution=VoiceAttribution()
    )
    emotions = result(fold.push(face_event(frame(FRAME, {0: "happy"}, mouths={0: 4.0}))))
    assert emotions.faces[0].speaking == 0
