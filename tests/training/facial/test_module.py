import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from emopipe.training.facial.module import distillation, mixup, one_cycle


def test_one_cycle() -> None:
    factors = [one_cycle(step / 100, 0.2) for step in range(101)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == factors[20] == pytest.approx(1.0)
    assert factors == sorted(factors[:20]) + sorted(factors[20:], reverse=True)
    assert factors[100] == pytest.approx(0.0, abs=1e-9)


def test_mixup_blends_images_as_their_classes() -> None:
    torch.manual_seed(0)
    targets = torch.arange(6)
    images = targets.float().view(6, 1, 1, 1).expand(6, 1, 4, 4)
    blended, shares = mixup(images, F.one_hot(targets, 7).float(), 0.5)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    assert ((shares > 0) & (shares < 1)).any()
    # An image is its class's number everywhere, so a blend is the mean number under its shares.
    torch.testing.assert_close(blended[:, 0, 0, 0], shares @ torch.arange(7).float())


def test_distillation_is_least_for_the_teachers_own_answer() -> None:
    torch.manual_seed(0)
    teacher, others = torch.randn(5, 7), torch.randn(20, 5, 7)
    taught = (teacher / 3).softmax(dim=1)
    assert distillation(teacher, taught, 3.0) == pytest.approx(0.0, abs=1e-6)
    assert all(distillation(other, taught, 3.0) > 0 for other in others)
    student = torch.zeros(1, 7, requires_grad=True)
    distillation(student, taught[:1], 3.0).backward()
    expected = 3.0 * (torch.full((1, 7), 1 / 7) - taught[:1])
    torch.testing.assert_close(student.grad, expected)
