"""What our network would say of faces about which only another one's answers are to be had.

    python -m emopipe.training.facial.translation --faces faces.parquet --data fer2013.zip --out translated.parquet

Fusion learns from pairs of a voice and a face, and those of RAVDESS come with a third party's answers about the faces
(`emopipe.training.fusion.pairs`), not with the films. Ours calls more of them neutral. So what it says, given what
a network taught by FER2013's labels says, is learnt from pictures of which both answers are known: our own two outputs
for PublicTest. A face's answers are translated linearly in log-probabilities; to that comes the error that the
translation made on a picture much like it, the same throughout a clip, for it is the same person; and some noise in
each frame.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from emopipe.models.calibration import Doubles, softmax, temperature_at
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.labels import FACE
from emopipe.models.loading import load_network
from emopipe.pipeline.errors import DataError, EmopipeError
from emopipe.pipeline.files import replacing
from emopipe.training.evaluation.metrics import fit_temperature
from emopipe.training.facial import fer2013
from emopipe.training.facial.batches import judge

SPLIT = "PublicTest"
NEIGHBOURS = 40  # among which the picture much like a face is drawn
FRAME_NOISE_STD = 0.3  # of a log-probability
_RIDGE = 1e-2
_MIN_PROBABILITY = 1e-4


class Translation(NamedTuple):
    """A linear map of another network's log-ratios to ours, and how it errs on each of N pictures.

    Attributes:
        theirs: [N, 7] centred log-ratios.
        weights: [7, 7]; `bias` [7].
        errors: [N, 7] ours less the translation of theirs.
    """

    theirs: Doubles
    weights: Doubles
    bias: Doubles
    errors: Doubles

    @classmethod
    def fit(cls, theirs: ArrayLike, ours: ArrayLike) -> Self:
        """From two networks' distributions [N, 7] over the same pictures, by least squares."""
        before, after = _log_ratios(theirs), _log_ratios(ours)
        inputs = np.concatenate([before, np.ones((len(before), 1))], axis=1)
        products = inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1])
        found = np.linalg.solve(products, inputs.T @ after)
        return cls(before, found[:-1], found[-1], after - inputs @ found)

    def track(self, probabilities: ArrayLike, random: np.random.Generator) -> Doubles:
        """The distributions [T, 7] of one face in a clip, translated."""
        said = _log_ratios(probabilities)
        far = ((self.theirs - said.mean(axis=0)) ** 2).sum(axis=1)
        alike = np.argsort(far, kind="stable")[:NEIGHBOURS]
        moved = said @ self.weights + self.bias + self.errors[random.choice(alike)]
        return softmax(moved + random.normal(0, FRAME_NOISE_STD, moved.shape))


def fit(data: Path) -> Translation:
    """The translation from our output for FER2013's labels, as learnt from FER2013 in `data`.

    Raises:
        DataError: there is no PublicTest.
    """
    pictures = fer2013.load(data).split(SPLIT)
    network, card = load_network(None, "facial", NETWORKS)
    judged = judge(network, pictures.images)
    ours = softmax(judged.people, temperature_at(card.temperatures, judged.distance.numpy()))
    temperature = fit_temperature(judged.fer2013, torch.from_numpy(pictures.targets))
    return Translation.fit(softmax(judged.fer2013, temperature), ours)


def translate(faces: Path, out: Path, translation: Translation, seed: int = 0) -> None:
    """Write a table of faces (`emopipe.training.fusion.pairs`) anew, each clip translated."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(faces, columns=["clip", "frame", *FACE])
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{faces}: not a table of faces ({str(error).splitlines()[0]})") from None
    said = np.stack([table[label].to_numpy() for label in FACE], axis=1)
    clips = np.array(table["clip"].to_pylist())
    random = np.random.default_rng(seed)
    for clip in np.unique(clips):
        rows = np.flatnonzero(clips == clip)
        said[rows] = translation.track(said[rows], random)
    columns = {"clip": table["clip"], "frame": table["frame"]} | {
        label: said[:, place].astype(np.float32) for place, label in enumerate(FACE)
    }
    with replacing(out) as partial:
        pq.write_table(pa.table(columns), partial)


def _log_ratios(probabilities: ArrayLike) -> Doubles:
    logs: NDArray[np.float64] = np.log(np.maximum(np.asarray(probabilities, np.float64), _MIN_PROBABILITY))
    result: Doubles = logs - logs.mean(axis=-1, keepdims=True)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="another network's answers, frame by frame")
    parser.add_argument("--data", type=Path, required=True, help="FER2013")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        translate(given.faces, given.out, fit(given.data), given.seed)
    except EmopipeError as error:
        print(f"translation: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
