from typing import Any

import pytest
import torch

from emopipe.models.speech.networks import NETWORKS, SINGLE_NETWORKS, Ensemble, SpeechNetwork

MEMBERS = {"members": ["cnn", "lstm", "cnn"], "options": {"cnn": {"channels": 16}, "lstm": {"hidden": 8}}}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make(name: str) -> SpeechNetwork:
    torch.manual_seed(0)
    options: dict[str, Any] = MEMBERS if name == "ensemble" else {}
    network = NETWORKS[name](**options).eval()
    network.standardise(torch.randn(300, 120) * 3 + 1)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_windows_of_any_length_and_says_what_it_knows(name: str) -> None:
    network = make(name)
    for frames in (1, 3, 4, 5, 59, 298):
        with torch.inference_mode():
            features = torch.randn(3, frames, 120)
            embedding = network.embed(features)
            logits = network.classify(embedding)
            assert embedding.shape == (3, network.width)
            assert network.width <= 256
            assert logits.shape == (3, 8)
            assert torch.isfinite(logits).all()
            assert torch.equal(network(features), logits)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_goes_through_a_network_as_its_rows_do(name: str) -> None:
    network, features = make(name), torch.randn(4, 90, 120)
    with torch.inference_mode():
        rows = torch.cat([network(row[None]) for row in features])
        assert torch.allclose(network(features), rows, atol=1e-4)


@pytest.mark.slow("a training")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_on_what_differs_in_one_coefficient(name: str) -> None:
    network = make(name).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003)
    targets = torch.arange(16) % 8
    for _ in range(80):
        features = torch.randn(16, 24, 120)
        features[:, :, 0] += 4 * targets[:, None]
        loss = sum(torch.nn.functional.cross_entropy(vote, targets) for vote in network.member_logits(features))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features = torch.randn(16, 24, 120)
    features[:, :, 0] += 4 * targets[:, None]
    with torch.inference_mode():
        assert (network.eval()(features).argmax(1) == targets).float().mean() > 0.5


def test_an_ensemble_is_the_geometric_mean_of_its_members() -> None:
    network = make("ensemble")
    assert isinstance(network, Ensemble)
    features = torch.randn(2, 70, 120)
    with torch.inference_mode():
        member_logits = torch.stack([vote.log_softmax(1) for vote in network.member_logits(features)])
        assert torch.allclose(network(features).softmax(1), member_logits.mean(0).softmax(1), atol=1e-5)
        assert not torch.allclose(member_logits[0], member_logits[2])  # two of one kind start from weights of their own
        parts = torch.cat([member.embed(features) for member in network.members], dim=1)
        assert torch.equal(network.embed(features), parts)


def test_the_dilated_convolution_is_that_of_torch() -> None:
    residual = SINGLE_NETWORKS["cnn"](channels=8, blocks=3).eval().layers[3]  # type: ignore[index]
    steps = torch.randn(2, 20, 8)
    weight = residual.linear.weight.reshape(8, 3, 8).transpose(1, 2)
    with torch.inference_mode():
        expected = torch.nn.functional.conv1d(
            steps.transpose(1, 2), weight, residual.linear.bias, padding=residual.dilation, dilation=residual.dilation
        )
        after = residual.activation(expected.transpose(1, 2))
        assert residual.dilation == 4
        assert torch.allclose(residual(steps), steps + after, atol=1e-5)


def test_standardising_centres_the_training_features_and_survives_constants() -> None:
    features = torch.cat([torch.randn(500, 119) * 7 - 3, torch.full((500, 1), 2.0)], dim=1)
    network = NETWORKS["cnn"]()
    network.standardise(features)
    standard = (features - network.mean) * network.scale
    assert standard.mean(0).abs().max() < 1e-4
    assert torch.allclose(standard[:, :119].std(0), torch.ones(119), atol=1e-4)
    assert torch.isfinite(standard).all()
