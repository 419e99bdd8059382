"""The division of labelled files into folds of whole people, each of which is tested on what the others taught."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emopipe.fine_tuning.labelled import Labelled
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.text import show

MIN_FILES, MIN_PEOPLE = 5, 3
"""Of each class; of those who are known. With fewer no figure would mean anything."""


def need_enough(root: Path, files: Sequence[Labelled], labels: Sequence[str]) -> None:
    """Refuse what is too little to learn from and to test.

    Raises:
        DataError: a class has too few files, or there are too few people.
    """
    for label in labels:
        own = [each for each in files if each.label == label]
        if len(own) < MIN_FILES:
            raise DataError(
                f"{root}: {show(label)} has {len(own)} usable files; {MIN_FILES} a class at least are needed"
            )
        if own[0].person and len({each.person for each in own}) < 2:
            raise DataError(
                f"{root}: {own[0].person} alone shows {show(label)}; two people a class at least are needed"
            )
    people = {each.person for each in files} - {""}
    if people and len(people) < MIN_PEOPLE:
        raise DataError(
            f"{root}: {len(people)} people; {MIN_PEOPLE} at least are needed to test on people not trained on"
        )


def divide(files: Sequence[Labelled], count: int, seed: int) -> NDArray[np.int64]:
    """The fold of each file [N], 0 to `count` - 1: those of one person in one, the classes as even as that allows.

    Where nobody is known, each file stands for itself. The same files and seed give the same folds.
    """
    people = [each.person or str(each.path) for each in files]
    labels = sorted({each.label for each in files})
    counts: dict[str, NDArray[np.float64]] = {person: np.zeros(len(labels)) for person in sorted({*people})}
    for person, each in zip(people, files, strict=True):
        counts[person][labels.index(each.label)] += 1
    count = min(count, len(counts))
    names = list(counts)
    shuffled = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    sizes = Counter({person: int(each.sum()) for person, each in counts.items()})
    total = np.sum(list(counts.values()), axis=0)
    load, fold_of = np.zeros((count, len(labels))), {}
    for person in sorted(shuffled, key=lambda name: -sizes[name]):
        share = (load + counts[person]) / total
        # The fold that this person would leave least full of what they show; of equal ones the emptiest.
        cost = [
            (round(float((share[fold] ** 2 - (load[fold] / total) ** 2).sum()), 12), load[fold].sum())
            for fold in range(count)
        ]
        best = min(range(count), key=lambda fold: cost[fold])
        fold_of[person] = best
        load[best] += counts[person]
    return np.array([fold_of[person] for person in people], np.int64)
