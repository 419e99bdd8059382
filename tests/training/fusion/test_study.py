"""Contradictions, and the plain reading of a face, to compare fusion with."""

import numpy as np
import pytest

from emopipe.models.labels import FACE
from emopipe.training.fusion.pairs import Pairs
from emopipe.training.fusion.study import draw_contradicting, mean_face, shared_labels


def test_contradictions_are_of_the_same_actor_and_of_another_emotion(found: Pairs) -> None:
    donors = draw_contradicting(found.pairs, np.random.default_rng(0))
    for pair, donor in zip(found.pairs, donors, strict=True):
        other = found.pairs[donor].name
        assert other.speaker == pair.name.speaker
        assert other.label != pair.name.label
    assert not len(draw_contradicting(found.pairs[:1], np.random.default_rng(0)))


def test_the_plain_reading_shares_out_neutral(found: Pairs) -> None:
    read = mean_face(found.pairs)
    assert read.sum(1) == pytest.approx(np.ones(6))
    assert read[:, 1] == pytest.approx(2 * read[:, 0])
    shared, right = shared_labels(read, np.array([pair.name.label for pair in found.pairs]))
    assert [FACE[label] for label in shared.argmax(1)] == [FACE[label] for label in right]
