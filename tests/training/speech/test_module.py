import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from emopipe.models.speech.features import MfccSpec
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.speech.module import Cycles, SpeechTraining
from emopipe.training.speech.settings import Settings, network_options, read_settings
from tests.support.clips import make_clips

Trace = list[tuple[float, tuple[float, float]]]


def trace(schedule_of: type[OneCycleLR], steps: int, state: tuple[dict, dict] | None = None) -> tuple[Trace, tuple]:
    """Learning rate and betas at each step, with cycles of 30 steps; and the state after them."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=0.01)
    schedule = schedule_of(optimizer, 0.01, total_steps=30, pct_start=0.2)
    if state is not None:
        optimizer.load_state_dict(state[0])
        schedule.load_state_dict(state[1])
    seen = []
    for _ in range(steps):
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"]))
        weight.grad = torch.ones(1)
        optimizer.step()
        schedule.step()
    return seen, (optimizer.state_dict(), schedule.state_dict())


def test_a_finished_cycle_is_carried_on_as_if_both_had_been_meant_from_the_start() -> None:
    both, _ = trace(Cycles, 60)
    first, state = trace(OneCycleLR, 30)
    second, _ = trace(Cycles, 30, state)
    assert first + second == both
    rates = [rate for rate, _ in both]
    assert max(rates[31:]) == pytest.approx(max(rates[:30]), rel=1e-3)
    assert rates[29] < 1e-6


def test_an_ensemble_takes_the_settings_that_its_members_have() -> None:
    found = network_options(Settings(network="ensemble", members=("cnn", "lstm"), channels=32, hidden=16, blocks=2))
    assert found["members"] == ["cnn", "lstm"]
    assert found["options"]["cnn"] == {"channels": 32, "blocks": 2, "embedding": 64, "dropout": 0.05}
    assert found["options"]["lstm"] == {"channels": 32, "hidden": 16, "embedding": 64, "dropout": 0.05}
    assert "hidden" not in network_options(Settings(network="cnn"))


def test_cycles_have_to_divide_the_epochs() -> None:
    with pytest.raises(EmopipeError, match="cycles: 10 epochs cannot be divided into 3"):
        read_settings({"epochs": 10, "cycles": 3})


def test_every_member_is_trained_for_itself_and_the_average_takes_no_gradient() -> None:
    config = Settings(
        network="ensemble", members=("cnn", "lstm"), channels=16, hidden=8, embedding=8, batch_size=8, speeds=(1.0,)
    )
    training = SpeechTraining(config, MfccSpec(), [make_clips(16)])
    assert not any(parameter.requires_grad for parameter in training.average.parameters())
    assert training.network.mean.shape == (120,)
    assert training.network.mean[0] == pytest.approx(179.5)  # frames 100 to 259
    votes = training.network.member_logits(torch.randn(4, 60, 120))
    votes[0].sum().backward()
    cnn, lstm = training.network.members
    assert all(parameter.grad is not None for parameter in cnn.parameters())
    assert all(parameter.grad is None for parameter in lstm.parameters())
