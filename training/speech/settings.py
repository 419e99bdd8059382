"""Every setting of a training of the voice classifier, and its default; configs/training/speech.toml overrides them."""

import inspect
from typing import Annotated, Any, Literal

import msgspec

from emopipe.models.speech.embedding import EmbeddingSpec
from emopipe.models.speech.encoder import LAYERS
from emopipe.models.speech.heads import ABOUT
from emopipe.models.speech.networks import NETWORKS, SINGLE_NETWORKS
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.trainer.settings import Count, Fraction, NotNegative, Positive, Precision, Share, parse_settings

Layer = Annotated[int, msgspec.Meta(ge=0, le=LAYERS)]
Speed = Annotated[float, msgspec.Meta(gt=0.5, lt=2)]

NETWORK_OPTIONS = ("channels", "blocks", "hidden", "embedding", "dropout")
"""Settings that are constructor arguments of networks, of those that have them."""


class Augmentation(msgspec.Struct, kw_only=True):
    """Random changes of each crop of speech."""

    shortest: Positive = 0.6  # s: crops have any length from this …
    longest: Positive = 3.0  # s: … to this, as the windows of a stream do
    speeds: Annotated[tuple[Speed, ...], msgspec.Meta(min_length=1)] = (0.9, 1.0, 1.1)  # each clip plays at one of them
    gain: NotNegative = 3.0  # dB, standard deviation of a crop's level
    time_mask: Fraction = 0.1  # of a crop hidden, at most
    band_mask: Fraction = 0.06  # of the coefficients hidden, at most
    calibrate: Fraction = 0.5  # of the crops normalised by other clips of their speaker


class Settings(Augmentation, kw_only=True, forbid_unknown_fields=True):
    """What is trained, and how."""

    network: str = "head"  # on the voice encoder, or a name in `emopipe.models.speech.networks.NETWORKS`
    layers: Annotated[tuple[Layer, ...], msgspec.Meta(min_length=1)] = (1, 2, 3)  # of the encoder, that a head sees
    shrinkage: Fraction = 0.5  # of a head's covariance towards the identity
    speakers: NotNegative = 1.0  # how much in it the training speakers' covariance counts …
    strangers: NotNegative = 8.0  # … its diagonal, for people who are like none of them …
    degradation: NotNegative = 1.0  # … and that of rooms, noise and telephones
    directions: Count = 128  # in which a head measures the distance from its training data
    non_voices: Count = 25  # of each kind, for a head's gate
    members: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("cnn", "lstm")  # of an ensemble
    channels: Count = 128  # of each step of 40 ms, and of every convolution
    blocks: Count = 3  # dilated convolutions of cnn and cnn-lstm
    hidden: Count = 64  # units of an LSTM in each direction
    embedding: Count = 64  # length of the vector by which each network describes a window
    dropout: Share = 0.05  # between the layers
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1  # of the weights, the order of the clips, their crops and masks
    seeds: Count = 1  # how many seeds the folds are run with, from `seed` on
    epochs: Count = 80  # passes over the clips
    cycles: Count = 2  # of the learning rate, one after the other, over all epochs
    patience: Annotated[int, msgspec.Meta(ge=0)] = 0  # validations without improvement until it stops; 0: never
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 32  # crops a step, over all GPUs together
    learning_rate: Positive = 6e-3  # peak of each cycle (AdamW)
    warmup: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.15  # fraction of the steps until the peak
    weight_decay: NotNegative = 1e-2
    label_smoothing: Share = 0.1  # probability spread evenly over the classes
    ema_decay: Share = 0.99  # of the averaged weights, each step; these are saved
    cross_validate: bool = True  # first test on the actors of each fold what was trained on the others
    validation_speakers: tuple[str, ...] = ()  # such as "ravdess/03": never trained on; watched while training
    precision: Precision = "32-true"  # mixed ones need a GPU
    devices: Literal[1] | Literal["auto"] = 1  # auto: all GPUs share each batch
    threads: Count = 1  # CPU threads of torch


def read_settings(config: dict[str, Any]) -> Settings:
    """Settings from a table.

    Raises:
        EmopipeError: a key, the network or a member is unknown, a value is out of range, or two do not go together.
    """
    settings = parse_settings(config, Settings)
    if settings.network not in (names := [*NETWORKS, "head"]):
        raise EmopipeError(f"network: {settings.network!r} is unknown; the networks are {', '.join(names)}")
    for member in settings.members:
        if member not in SINGLE_NETWORKS:
            raise EmopipeError(f"members: {member!r} is unknown; the members may be {', '.join(SINGLE_NETWORKS)}")
    if settings.shortest > settings.longest:
        raise EmopipeError(f"shortest: {settings.shortest} is more than longest ({settings.longest})")
    if settings.epochs % settings.cycles:
        raise EmopipeError(
            f"cycles: {settings.epochs} epochs cannot be divided into {settings.cycles} of the same length"
        )
    if settings.patience and not settings.validation_speakers:
        raise EmopipeError("patience: somebody has to be listened to who is not trained on; set validation_speakers")
    return settings


def network_options(settings: Settings) -> dict[str, Any]:
    """The network's constructor arguments."""
    if settings.network == "head":
        size = EmbeddingSpec(layers=settings.layers).size
        return {"inputs": size, "directions": min(settings.directions, size - ABOUT)}
    if settings.network == "ensemble":
        members = settings.members
        return {"members": list(members), "options": {name: _single(name, settings) for name in members}}
    return _single(settings.network, settings)


def _single(name: str, settings: Settings) -> dict[str, Any]:
    values = msgspec.structs.asdict(settings)
    taken = inspect.signature(SINGLE_NETWORKS[name].__init__).parameters
    return {option: values[option] for option in NETWORK_OPTIONS if option in taken}
