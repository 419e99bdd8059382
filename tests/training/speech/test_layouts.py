import pytest

from emopipe.models.labels import SPEECH
from emopipe.pipeline.errors import DataError
from emopipe.training.speech.layouts import LAYOUTS, NoClass, NotSpeech, parse


@pytest.mark.parametrize(
    ("path", "corpus", "speaker", "emotion", "sex"),
    [
        ("Actor_12/03-01-05-02-01-02-12.wav", "ravdess", "12", "angry", "female"),
        ("03-01-02-01-01-01-01.flac", "ravdess", "01", "calm", "male"),
        ("TESS/OAF_angry/OAF_back_angry.wav", "tess", "oaf", "angry", "female"),
        ("YAF_wheat_ps.flac", "tess", "yaf", "surprised", "female"),
        ("EB0_happiness_12.flac", "nemo", "eb0", "happy", ""),
        ("samples/ML0_surprised_3.wav", "nemo", "ml0", "surprised", ""),
        ("f1/dis-f1-b1.flac", "emovo", "f1", "disgust", "female"),
        ("EMOVO/m3/gio-m3-l4.wav", "emovo", "m3", "happy", "male"),
        ("wav/03a01Fa.wav", "emodb", "03", "happy", "male"),
        ("16b10Wb.flac", "emodb", "16", "angry", "female"),
        ("AudioWAV/1001_DFA_ANG_XX.wav", "crema-d", "1001", "angry", ""),
        ("1091_WSI_SAD_HI.flac", "crema-d", "1091", "sad", ""),
        ("AudioData/DC/sa07.wav", "savee", "dc", "sad", "male"),
        ("ALL/JK_su15.wav", "savee", "jk", "surprised", "male"),
        ("Angry/SM1_F10_A010.flac", "urdu", "sm1", "angry", "male"),
        ("Happy/SF5_F2_H02.wav", "urdu", "sf5", "happy", "female"),
    ],
)
def test_a_path_says_who_and_what(path: str, corpus: str, speaker: str, emotion: str, sex: str) -> None:
    name = parse(path)
    assert (name.corpus, name.speaker, SPEECH[name.label], name.sex) == (corpus, f"{corpus}/{speaker}", emotion, sex)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_each_example_is_of_its_own_corpus(layout: object) -> None:
    assert parse(layout.example).corpus == layout.name  # type: ignore[attr-defined]


def test_clips_of_one_name_in_two_folders_stay_two() -> None:
    assert parse("DC/a01.wav").stem != parse("JE/a01.wav").stem
    assert parse("x/03a01Fa.wav") == parse("y/03a01Fa.flac")


@pytest.mark.parametrize("path", ["03a01La.wav", "wav/16b10Lb.flac", "OAF_back_boredom.wav"])
def test_an_emotion_that_no_class_has(path: str) -> None:
    with pytest.raises(NoClass, match="is none of the classes"):
        parse(path)


@pytest.mark.parametrize("path", ["Actor_01/03-02-05-01-01-01-01.wav", "01-01-05-01-01-01-01.wav"])
def test_songs_and_films(path: str) -> None:
    with pytest.raises(NotSpeech, match="not speech alone"):
        parse(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("holiday.wav", "no known corpus .*03a01Fa.wav"),
        ("a01.wav", "does not say who speaks; put each speaker's clips into a folder"),
        ("data/sa12.wav", "does not say who speaks"),
        ("Actor_01/03-01-09-01-01-01-01.wav", "emotion '09' does not exist in RAVDESS"),
        ("1001_DFA_SUR_XX.wav", "emotion 'sur' does not exist in CREMA-D"),
        ("f1/xyz-f1-b1.wav", "emotion 'xyz' does not exist in EMOVO .expected neu, gio"),
        ("03a01Za.wav", "emotion 'z' does not exist in EmoDB"),
    ],
)
def test_a_name_that_cannot_be_used(path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(path)
