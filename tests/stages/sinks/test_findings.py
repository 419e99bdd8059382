"""Who, what, how sure, uncertain or not: one wording for all."""

from emopipe.stages.sinks.findings import face_finding, findings, geometry_text, percent, voice_finding
from emopipe.stages.types import Emotions
from tests.support.factories import make_emotions, make_geometry


def texts(emotions: Emotions) -> list[str]:
    return [each.text for each in findings(emotions)]


def test_a_face_a_voice_and_both() -> None:
    assert texts(make_emotions({3: "happy"})) == ["face 3: happy 70 %"]
    assert texts(make_emotions({}, "sad")) == ["voice: sad 70 %"]
    both = make_emotions({3: "happy", 4: "fear"}, "sad")
    assert texts(both) == ["face 3 + voice: happy 70 %", "face 4 + voice: fear 70 %", "voice: sad 70 %"]
    assert texts(make_emotions({})) == []


def test_each_says_itself_whether_it_is_uncertain() -> None:
    emotions = make_emotions({0: "happy"}, "sad")
    emotions.faces[0].uncertain = True
    assert texts(emotions) == ["face 0 + voice: happy 70 %, uncertain", "voice: sad 70 %"]
    assert emotions.voice is not None
    emotions.voice.uncertain = True
    assert texts(emotions) == ["face 0 + voice: happy 70 %, uncertain", "voice: sad 70 %, uncertain"]


def test_the_halves_by_themselves() -> None:
    emotions = make_emotions({0: "happy"}, "sad")
    emotions.faces[0].probabilities = {"sad": 0.9, "happy": 0.1}
    emotions.faces[0].face.uncertain = True
    assert findings(emotions)[0].text == "face 0 + voice: sad 90 %"
    assert face_finding(emotions.faces[0]).text == "face 0: happy 70 %, uncertain"
    voice = voice_finding(emotions)
    assert voice is not None
    assert voice.text == "voice: sad 70 %"


def test_a_voice_that_does_not_count_is_not_with_the_face() -> None:
    emotions = make_emotions({0: "happy"}, "sad")
    emotions.faces[0].face.weight = 1.0
    assert [each.who for each in findings(emotions)] == ["face 0", "voice"]


def test_percent() -> None:
    assert [percent(share) for share in (0, 0.004, 0.706, 1)] == ["0 %", "0 %", "71 %", "100 %"]


def test_where_head_and_eyes_point_is_said_as_the_picture_shows_it() -> None:
    held = make_geometry(yaw=-3.4, pitch=-5.2, gaze_yaw=4.0, gaze_pitch=1.6)
    assert geometry_text(held) == "head 3° left, 5° down · gaze 4° right, 2° up"
    assert geometry_text(make_geometry(uncertain=True)).endswith(", uncertain")
