"""What can be known of a speaker from some of their clips, to train and to test speaker calibration."""

from collections.abc import Iterable, Sequence

import numpy as np

from emopipe.models.speech.features import Floats
from emopipe.models.speech.speaker import SpeakerStatistics
from emopipe.training.speech.clips import Name

Rows = list[Floats]
"""What a network takes of one clip: of its whole speech, then of each window."""


class Speakers:
    """Statistics of each speaker's clips.

    Args:
        clips: names of any speakers' clips, and a row of the whole speech of each.
        prior: of a speaker of whom nothing has been heard.
    """

    def __init__(self, clips: Iterable[tuple[Name, Floats]], prior: SpeakerStatistics) -> None:
        self._prior = prior
        self._of: dict[str, dict[Name, SpeakerStatistics]] = {}
        for name, row in clips:
            learnt = prior.fresh()
            learnt.update(row)
            self._of.setdefault(name.speaker, {})[name] = learnt

    def others(self, name: Name, count: int, random: np.random.Generator) -> SpeakerStatistics:
        """Of `count` other clips of the same speaker, by chance; of all if there are fewer."""
        known = [learnt for other, learnt in self._of[name.speaker].items() if other != name]
        result = self._prior.fresh()
        for place in random.permutation(len(known))[:count]:
            result.add(known[place])
        return result


def calibrate_by_others(
    names: Sequence[Name], clips: Sequence[Rows], prior: SpeakerStatistics, count: int, seed: int = 0
) -> list[Rows]:
    """The rows of clips, normalised by what `count` other clips of the speaker say of the voice.

    No label is used, and neither is the clip itself.
    """
    speakers = Speakers(((name, rows[0]) for name, rows in zip(names, clips, strict=True)), prior)
    random, result = np.random.default_rng(seed), []
    for name, rows in zip(names, clips, strict=True):
        known = speakers.others(name, count, random)
        result.append([known.apply(row) for row in rows])
    return result


def calibrate_in_order(names: Sequence[Name], clips: Sequence[Rows], prior: SpeakerStatistics) -> list[Rows]:
    """The rows of clips as a stream would have them that heard each speaker's clips one after the other.

    Each row is normalised by the clips before its own, and by itself. No label is used.
    """
    before: dict[str, SpeakerStatistics] = {}
    result = []
    for name, rows in zip(names, clips, strict=True):
        known = before.setdefault(name.speaker, prior.fresh())
        result.append([_with(known, row).apply(row) for row in rows])
        known.update(rows[0])
    return result


def _with(known: SpeakerStatistics, row: Floats) -> SpeakerStatistics:
    result = known.fresh()
    result.add(known)
    result.update(row)
    return result
