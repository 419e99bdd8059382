"""The model that hears voices: a network with its features and its calibration.

Two kinds of network hear the same stretches of speech. Those of `emopipe.models.speech.networks` take MFCC; a head
(`emopipe.models.speech.heads`) takes the vector that the voice encoder and functionals make of the sound
(`emopipe.models.speech.embedding`). What a network takes of one stretch is a *row*: MFCC float32 [T, coefficients], or
a vector float32 [D]. Heads are NumPy, the others torch, which is imported with the first of these.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, cast

import msgspec
import numpy as np
import numpy.typing as npt

from emopipe.models import checkpoint
from emopipe.models.assets import voice_encoder_sha256
from emopipe.models.calibration import Doubles, Prior, Selection, prior_odds, reweighed, softmax
from emopipe.models.checkpoint import Card
from emopipe.models.loading import fitting, load_network, need_outputs, pick_device
from emopipe.models.speech.embedding import KNOWN, Embedder, EmbeddingSpec, seconds_of
from emopipe.models.speech.features import Floats, MfccSpec
from emopipe.models.speech.files import FALLBACK, SHIPPED
from emopipe.models.speech.heads import Head, Outputs
from emopipe.models.speech.speaker import MIN_CLIPS, MfccStatistics, SpeakerStatistics, VectorStatistics
from emopipe.models.speech.temperature import Context, Temperature
from emopipe.pipeline.errors import ModelError

if TYPE_CHECKING:
    from emopipe.models.speech.networks import SpeechNetwork

Network: TypeAlias = "SpeechNetwork | Head"

logger = logging.getLogger(__name__)

Spec = MfccSpec | EmbeddingSpec
"""What makes a row of a stretch of speech."""


class Utterance(Protocol):
    """A stretch of speech: a window or a segment."""

    @property
    def mfcc(self) -> Floats: ...

    @property
    def audio(self) -> Floats: ...


def compute_outputs(network: Network, rows: Sequence[Floats], spec: Spec) -> Outputs:
    """Run a network over rows, at least one; on a CPU the bits of each depend on no other."""
    if not rows:
        raise ValueError("no rows")
    return network.outputs(rows) if isinstance(network, Head) else network.outputs(rows, cast(MfccSpec, spec))


class SpeechModel:
    """A trained network with its labels, its features' settings and its calibration.

    Args:
        network: see `emopipe.models.speech.networks` and `emopipe.models.speech.heads`.
        spec: of the rows it was trained on.
        labels: of its outputs.
        temperature: divides the logits; by the row, if it is a `Temperature`.
        odds: by which probabilities are multiplied for another prior (`emopipe.models.calibration.prior_odds`).
        selective: below which confidence an answer is uncertain (`emopipe.models.calibration`).
        embedder: makes a head's rows.
    """

    def __init__(
        self,
        network: Network,
        spec: Spec,
        labels: Sequence[str],
        temperature: float | Temperature,
        odds: Doubles | None = None,
        selective: Sequence[Selection] = (),
        embedder: Embedder | None = None,
    ) -> None:
        self.network = network if isinstance(network, Head) else network.eval()
        self.spec = spec
        self.labels = tuple(labels)
        self.temperature = temperature
        self.selective = selective
        self._odds = odds
        self.embedder = embedder

    @classmethod
    def load(cls, path: Path | None = None, device: str = "auto", prior: Prior = "training") -> Self:
        """Load a checkpoint, by default the one trained here. `device`: auto, cpu, cuda, mps or as torch says.

        Under another `prior` than that of the training data (see `emopipe.models.calibration`) its probabilities shift.
        Where the shipped head's voice encoder is not to be had, the small network takes its place, and the log says so.

        Raises:
            ModelError: the file is missing, damaged or of another task, its network is unknown or does not fit
                its weights, the voice encoder that it needs is not to be had, or the device is not there.
            EmopipeError: no such prior.
        """
        path = path or SHIPPED
        network, card = _load_network(path)
        spec = spec_of(card, path)
        embedder = None
        if isinstance(spec, EmbeddingSpec):
            try:
                embedder = Embedder(spec)
            except ModelError as error:
                if path != SHIPPED:
                    raise
                logger.warning("%s: %s; the small network for voices, which knows strangers less, is used", path, error)
                return cls.load(FALLBACK, device, prior)
        elif not isinstance(network, Head):
            network.to(pick_device(device))
        odds = prior_odds(prior, card.labels, card.prior)
        temperature = Temperature(card.temperatures, *card.doubt) if card.temperatures else card.temperature
        return cls(network, spec, card.labels, temperature, odds, card.selective, embedder)

    @property
    def mfcc_spec(self) -> MfccSpec:
        """The features of the windows that it hears."""
        return self.spec if isinstance(self.spec, MfccSpec) else MfccSpec()

    def row(self, utterance: Utterance) -> Floats:
        """What the network takes of a stretch of speech."""
        return utterance.mfcc if self.embedder is None else self.embedder(utterance.audio)

    def outputs(self, rows: Sequence[Floats]) -> Outputs:
        """Logits before calibration, and embeddings."""
        if not rows:
            return Outputs(np.empty((0, len(self.labels)), np.float32), np.empty((0, self.network.width), np.float32))
        return compute_outputs(self.network, rows, self.spec)

    def logits(self, rows: Sequence[Floats]) -> Floats:
        """Logits [N, classes] before calibration."""
        return self.outputs(rows).logits

    def temperature_of(self, rows: Sequence[Floats]) -> Doubles:
        """What divides each row's logits, [N]."""
        if isinstance(self.temperature, Temperature):
            return self.temperature.at(context_of(self.network, rows))
        return np.full(len(rows), self.temperature)

    def calibrated(self, logits: Floats, rows: Sequence[Floats]) -> npt.NDArray[np.float32]:
        """These rows' logits as calibrated distributions over `labels`, float32 [N, classes]."""
        if not rows:
            return np.empty((0, len(self.labels)), np.float32)
        return reweighed(softmax(logits, self.temperature_of(rows)), self._odds).astype(np.float32)

    def probabilities(self, rows: Sequence[Floats]) -> npt.NDArray[np.float32]:
        """Calibrated distributions over `labels`, float32 [N, classes].

        On a CPU a row's result is bit-identical whatever it is inferred together with.
        """
        return self.calibrated(self.logits(rows), rows)

    def voice(self, rows: Sequence[Floats]) -> npt.NDArray[np.float32]:
        """How likely each row is a voice at all, float32 [N]; a network without a gate takes all for voices."""
        if not isinstance(self.network, Head) or not rows:
            return np.ones(len(rows), np.float32)
        logits = np.concatenate([self.network.voice(self.network.embed(row[None])) for row in rows])
        likely: npt.NDArray[np.float32] = ((1 + np.tanh(logits / 2)) / 2).astype(np.float32)
        return likely

    def speaker(self) -> SpeakerStatistics:
        """Statistics of a speaker of whom nothing has been heard: those of the network's training speakers."""
        mean, deviation = self.network.statistics()
        if isinstance(self.spec, EmbeddingSpec):
            return VectorStatistics(mean, deviation)
        coefficients = self.spec.coefficients
        return MfccStatistics(mean[:coefficients], deviation[:coefficients], MIN_CLIPS)


def _load_network(path: Path) -> tuple[Network, Card]:
    state, card = checkpoint.load_arrays(path, "speech")
    if card.network != "head":
        from emopipe.models.speech.networks import NETWORKS

        return load_network(path, "speech", NETWORKS)
    with fitting(path):
        head = Head(state, **card.options)
    need_outputs(path, card, head.classes)
    return head, card


def context_of(network: Network, rows: Sequence[Floats]) -> Context:
    """What is known of rows beside what was said."""
    seconds = np.array([seconds_of(row) for row in rows])
    if not isinstance(network, Head) or not rows:
        return Context(seconds, np.ones(len(rows)), np.zeros(len(rows)))
    distances = [network.distance(network.embed(row[None])).item() for row in rows]
    return Context(seconds, np.array(distances), np.array([float(row[KNOWN]) for row in rows]))


def spec_of(card: Card, path: Path) -> Spec:
    """What makes the rows of the network in a checkpoint.

    Raises:
        ModelError: the card does not say it, or names another voice encoder.
    """
    try:
        if card.network != "head":
            return msgspec.convert(card.features, MfccSpec)
        spec = msgspec.convert(card.features, EmbeddingSpec)
    except msgspec.ValidationError as error:
        raise ModelError(f"{path}: its features do not fit its card: {error}; train it again") from None
    if spec.encoder != voice_encoder_sha256():
        raise ModelError(f"{path}: trained on another version of the voice encoder; train it again")
    return spec
