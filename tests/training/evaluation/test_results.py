import json

import pytest
import torch

from emopipe.training.evaluation.metrics import summarise
from emopipe.training.evaluation.results import Answers, Evaluation

LABELS = ("calm", "glad", "cross")


def answers(**changes: object) -> Answers:
    random = torch.Generator().manual_seed(2)
    targets = torch.arange(90) % 3
    logits = torch.randn(90, 3, generator=random) + 2 * torch.nn.functional.one_hot(targets, 3)
    given = {"groups": torch.arange(90) // 18, "folds": torch.arange(90) // 45} | changes
    return Answers(logits, targets, LABELS, 0.8, **given)  # type: ignore[arg-type]


def test_the_first_answers_have_no_prefix_and_the_others_their_name() -> None:
    short = answers(folds=None).of(torch.arange(90) < 60)
    report = Evaluation({"clips": answers(), "windows": short}, {"unheard": 2.0}, ["A sentence."]).report()
    assert list(report.answers) == ["clips", "windows"]
    figures = report.flat()
    plain = summarise(answers().logits, answers().targets, LABELS, 0.8)
    assert {name: figures[name] for name in plain} == plain
    assert figures["windows_n"] == 60
    assert figures["unheard"] == 2
    assert figures["accuracy_low"] < figures["accuracy"] < figures["accuracy_high"]
    assert figures["windows_uar_low"] < figures["windows_uar_high"]
    assert figures["groups"] == 5


def test_figures_over_folds_have_a_mean_and_a_deviation() -> None:
    figures = answers().bounded()
    one, two = (answers().of(answers().folds == fold).figures()["uar"] for fold in (0, 1))  # type: ignore[arg-type]
    assert figures["folds"] == 2
    assert figures["uar_mean"] == pytest.approx((one + two) / 2)
    assert figures["uar_sd"] == pytest.approx(abs(one - two) / 2**0.5)
    alone = answers(folds=torch.zeros(90)).bounded()
    assert alone["uar_mean"] == alone["uar"]
    assert "uar_sd" not in alone
    assert "uar_mean" not in answers(folds=None).bounded()


def test_a_temperature_for_each_example() -> None:
    one = answers()
    each = Answers(one.logits, one.targets, LABELS, torch.full((90,), 0.8), one.groups, one.folds)
    expected = one.bounded()
    assert expected.pop("temperature") == 0.8
    assert each.bounded() == pytest.approx(expected)
    torch.testing.assert_close(each.of(torch.tensor([3, 1])).probabilities(), one.probabilities()[[3, 1]])


def test_few_people_are_said_to_be_few() -> None:
    def notes(people: int) -> list[str]:
        return Evaluation({"clips": answers(groups=torch.arange(90) % people)}).report().notes

    assert notes(1) == ["There is one person only: nothing can be said of how it would be with others."]
    assert notes(5) == ["The intervals come from 5 people, and are too narrow for that."]
    assert notes(10) == Evaluation({"images": answers(groups=None)}).report().notes == []


def test_the_report_is_flat_and_of_plain_numbers() -> None:
    report = Evaluation({"clips": answers(groups=None)}, {}, ["A sentence."]).report().json()
    read = json.loads(json.dumps(report))
    assert read == report
    assert read.pop("notes") == ["A sentence."]
    assert read.pop("labels") == list(LABELS)
    confusion = read.pop("confusion")
    assert sum(map(sum, confusion)) == 90
    assert [sum(row) for row in confusion] == [30, 30, 30], "rows are what was expressed"
    assert all(isinstance(value, float) for value in read.values())
