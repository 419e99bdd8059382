"""A head, beside the same arithmetic in torch and in double precision."""

import numpy as np
import pytest
import torch

from emopipe.models.labels import SPEECH
from emopipe.models.speech.heads import ABOUT, LIMIT, Head

SIZE, DIRECTIONS = 61, 7
RANDOM = np.random.default_rng(4)
ROWS = RANDOM.normal(0, 3, (9, SIZE)).astype(np.float32)


def make_weights() -> dict[str, np.ndarray]:
    width = SIZE - ABOUT
    return {
        "mean": RANDOM.normal(0, 1, SIZE),
        "scale": RANDOM.uniform(0.5, 3, SIZE),  # some numbers are cut off
        "linear.weight": RANDOM.normal(0, 0.3, (len(SPEECH), width)),
        "linear.bias": RANDOM.normal(0, 1, len(SPEECH)),
        "gate.weight": RANDOM.normal(0, 0.3, (1, width)),
        "gate.bias": RANDOM.normal(0, 1, 1),
        "directions": np.linalg.qr(RANDOM.normal(0, 1, (width, DIRECTIONS)))[0].T,
        "variances": RANDOM.uniform(0.5, 4, DIRECTIONS + 1),
    }


WEIGHTS = make_weights()
HEAD = Head(WEIGHTS, SIZE, directions=DIRECTIONS)


def test_it_says_what_torch_says_in_double_precision() -> None:
    w = {name: torch.from_numpy(array) for name, array in WEIGHTS.items()}
    embedded = ((torch.from_numpy(ROWS).double() - w["mean"]) * w["scale"])[:, ABOUT:].clamp(-LIMIT, LIMIT)
    logits = torch.nn.functional.linear(embedded, w["linear.weight"], w["linear.bias"])
    voice = torch.nn.functional.linear(embedded, w["gate.weight"], w["gate.bias"])[:, 0]
    along = (embedded @ w["directions"].T).square()
    beyond = embedded.square().sum(1) - along.sum(1)
    distance = ((along / w["variances"][:-1]).sum(1) + beyond / w["variances"][-1]) / (SIZE - ABOUT)
    said = HEAD.outputs(list(ROWS))
    assert {part.dtype for part in said} == {np.dtype(np.float32)}
    np.testing.assert_allclose(said.embeddings, embedded, atol=1e-5)
    np.testing.assert_allclose(said.logits, logits, atol=1e-5)
    np.testing.assert_allclose(HEAD.voice(said.embeddings), voice, atol=1e-5)
    np.testing.assert_allclose(HEAD.distance(said.embeddings), distance, rtol=1e-5)


def test_a_row_has_the_same_bits_alone_and_among_others() -> None:
    together = HEAD.outputs(list(ROWS))
    for place, row in enumerate(ROWS):
        alone = HEAD.outputs([row])
        assert [part.tobytes() for part in alone] == [part[place].tobytes() for part in together]


def test_training_speakers_statistics() -> None:
    statistics = HEAD.statistics()
    np.testing.assert_allclose(statistics.mean, WEIGHTS["mean"], rtol=1e-6)
    np.testing.assert_allclose(statistics.deviation, 1 / WEIGHTS["scale"], rtol=1e-6)


@pytest.mark.parametrize(
    "change", [{"mean": np.zeros(SIZE - 1)}, {"gate.bias": None}, {"strange": np.zeros(3)}], ids=str
)
def test_weights_that_are_not_a_heads_are_refused(change: dict[str, np.ndarray | None]) -> None:
    weights = {name: array for name, array in (WEIGHTS | change).items() if array is not None}
    with pytest.raises(ValueError, match=rf"{next(iter(change))} is missing, of another shape, or not the network's"):
        Head(weights, SIZE, directions=DIRECTIONS)
