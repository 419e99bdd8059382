"""Statistics of actors from some of their clips, to train and to test speaker calibration."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from emopipe.models.speech.speaker import SpeakerStatistics
from emopipe.training.speech.ravdess import Clip, Name


class Speakers:
    """Statistics of each actor's clips.

    Args:
        clips: of any actors, at one speed.
        prior: of a speaker of whom nothing has been heard.
    """

    def __init__(self, clips: Iterable[Clip], prior: SpeakerStatistics) -> None:
        self._prior = prior
        self._of: dict[int, dict[Name, SpeakerStatistics]] = {}
        for clip in clips:
            learnt = prior.fresh()
            learnt.update(clip.mfcc[slice(*clip.speech)])
            self._of.setdefault(clip.name.actor, {})[clip.name] = learnt

    def others(self, name: Name, count: int, random: np.random.Generator) -> SpeakerStatistics:
        """The statistics of `count` other clips of the same actor, by chance; of all if there are fewer."""
        known = [learnt for other, learnt in self._of[name.actor].items() if other != name]
        result = self._prior.fresh()
        for place in random.permutation(len(known))[:count]:
            result.add(known[place])
        return result


def calibrate_speakers(clips: Sequence[Clip], prior: SpeakerStatistics, count: int, seed: int = 0) -> list[Clip]:
    """The clips, each normalised by what `count` other clips of its actor say of the voice.

    No label is used, and neither is the clip itself.
    """
    speakers, random = Speakers(clips, prior), np.random.default_rng(seed)
    return [
        msgspec.structs.replace(clip, mfcc=speakers.others(clip.name, count, random).apply(clip.mfcc)) for clip in clips
    ]
