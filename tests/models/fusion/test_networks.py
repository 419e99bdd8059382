"""Networks that fuse: the same in torch, which trains them, as in NumPy, which runs them."""

import numpy as np
import pytest
import torch

from emopipe.models.fusion.networks import MAX_WINDOWS, NETWORKS, STEPS, TIMBRE_SIZE, Decision, FusionNetwork, Moment
from emopipe.models.labels import FACE, SPEECH
from emopipe.training.fusion.module import FusionModule

COUNT = 5


def some_moment(seed: int = 0) -> Moment:
    random = np.random.default_rng(seed)
    seen = (random.random((COUNT, STEPS)) < 0.6).astype(float)
    heard = (random.random((COUNT, MAX_WINDOWS)) < 0.6).astype(float)
    seen[0], heard[1] = 0, 0  # one without a face, one without a voice
    heard[2:, -1] = 1
    face = random.normal(size=(COUNT, STEPS, len(FACE)))
    voice = random.normal(size=(COUNT, MAX_WINDOWS, len(SPEECH)))
    return Moment(
        face=(face - face.mean(-1, keepdims=True)) * seen[..., None],
        seen=seen,
        voice=(voice - voice.mean(-1, keepdims=True)) * heard[..., None],
        length=random.random((COUNT, MAX_WINDOWS)) * heard,
        heard=heard,
        timbre=random.normal(size=(COUNT, TIMBRE_SIZE)) * heard[:, -1:],
    )


@pytest.fixture(params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> FusionNetwork:
    return NETWORKS[request.param]()


def test_both_runtimes_agree(network: FusionNetwork) -> None:
    weights = network.initial(np.random.default_rng(1))
    moment = some_moment()
    in_numpy = network.logits(weights, moment)
    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    in_torch = network.logits(tensors, Moment(*map(torch.from_numpy, moment)))
    assert in_numpy.shape == (COUNT, len(SPEECH))
    assert in_torch.numpy() == pytest.approx(in_numpy, abs=1e-10)


def test_every_weight_is_learnt_or_fixed(network: FusionNetwork) -> None:
    module = FusionModule(network, network.initial(np.random.default_rng(1)))
    tensors = Moment(*(torch.as_tensor(part, dtype=torch.float32) for part in some_moment()))
    with torch.no_grad():  # gates start at zero, where nothing behind them has a gradient
        for value in module.weights.values():
            value.add_(0.1)
    module(tensors).square().sum().backward()
    for name, value in module.weights.items():
        assert (value.grad is not None and bool(value.grad.any())) == value.requires_grad, name


def test_a_missing_half_leaves_no_trace(network: FusionNetwork) -> None:
    """What stands in the arrays where nothing was there has no effect: the flags decide."""
    weights = network.initial(np.random.default_rng(1))
    moment = some_moment()
    without = moment._replace(voice=0 * moment.voice, length=0 * moment.length, heard=0 * moment.heard)
    answers = network.logits(weights, without._replace(timbre=0 * moment.timbre))
    assert answers == pytest.approx(network.logits(weights, without))
    assert np.isfinite(answers).all()


def test_surer_halves_make_a_surer_answer() -> None:
    network = Decision()
    weights = network.initial(np.random.default_rng(1))
    weights["face"] = np.zeros_like(weights["face"])
    heard = some_moment()
    surer = heard._replace(voice=2 * heard.voice)
    spread = [network.logits(weights, each)[2:].std(-1) for each in (heard, surer)]
    assert spread[1] == pytest.approx(2 * spread[0])


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="unknown option depth"):
        Decision(depth=3)
