"""Folds of people: whole, even, repeatable, and refused where there are too few."""

from pathlib import Path

import numpy as np
import pytest

from emopipe.fine_tuning.folds import divide, need_enough
from emopipe.fine_tuning.labelled import Labelled
from emopipe.pipeline.errors import DataError

LABELS = ("a", "b")


def files(people: int, each: int) -> list[Labelled]:
    return [
        Labelled(Path(f"{person}/{label}/{number}"), label, f"p{person}")
        for person in range(people)
        for label in LABELS
        for number in range(each)
    ]


def test_a_person_is_in_one_fold_and_classes_are_even() -> None:
    some = files(10, 3)
    folds = divide(some, 5, seed=1)
    for person in {each.person for each in some}:
        assert len({fold for fold, each in zip(folds, some, strict=True) if each.person == person}) == 1
    assert np.bincount(folds).tolist() == [12] * 5
    assert divide(some, 5, seed=1).tolist() == folds.tolist()
    assert divide(some, 5, seed=2).tolist() != folds.tolist()
    assert set(divide(files(3, 3), 5, seed=1)) == {0, 1, 2}


def test_unknown_people_are_divided_by_file_evenly_over_classes() -> None:
    some = [each._replace(person="") for each in files(10, 2)]
    folds = divide(some, 5, seed=1)
    for label in LABELS:
        assert np.bincount(folds[[each.label == label for each in some]]).tolist() == [4] * 5


@pytest.mark.parametrize(
    ("some", "said"),
    [
        (files(2, 5), "2 people; 3 at least"),
        (files(4, 1), "has 4 usable files; 5 a class"),
        ([*files(4, 5)[:5], *(each for each in files(4, 5) if each.label == "b")], "p0 alone shows"),
    ],
)
def test_too_little_is_refused(some: list[Labelled], said: str) -> None:
    with pytest.raises(DataError, match=said):
        need_enough(Path("f"), some, LABELS)
