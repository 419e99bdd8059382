"""Both label lists, their order, and how one maps onto the other.

The order is that of the classifiers' outputs: FER2013's for faces, RAVDESS's codes 01–08 for voices.
"""

FACE = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SPEECH = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

SPEECH_TO_FACE = {
    "neutral": "neutral",
    # FER2013 has no calm: where both must share one list, calm counts as neutral.
    "calm": "neutral",
    "happy": "happy",
    "sad": "sad",
    "angry": "angry",
    "fearful": "fear",
    "disgust": "disgust",
    "surprised": "surprise",
}
