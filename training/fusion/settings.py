"""Every setting of a training of fusion, and its default; configs/training/fusion.toml overrides them."""

from typing import Annotated, Any

import msgspec

from emopipe.models.fusion.networks import NETWORKS
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.trainer.settings import Count, Fraction, NotNegative, Positive, Share, parse_settings


class Augmentation(msgspec.Struct, kw_only=True):
    """Random changes of each moment: which half is there, and how each half's network might have answered instead."""

    face_alone: Fraction = 0.15  # of the moments come without a voice
    voice_alone: Fraction = 0.15  # … without a face
    shared_out: Fraction = 0.2  # … with c times the face's evidence and 1 - c times the voice's, c at random
    contradicting: Fraction = 0.1  # … with the voice of another emotion; half of either is right
    face_sharpness: NotNegative = 0.3  # standard deviation of the log of what multiplies a face's log-probabilities
    face_bias: NotNegative = 0.3  # … of what is added to each label's: a network that leans to some labels
    face_noise: NotNegative = 0.3  # … of noise in each step of 0.2 s
    dropped: Fraction = 0.3  # of these steps that are missing, at most
    voice_sharpness: NotNegative = 0.2  # as face_sharpness
    voice_noise: NotNegative = 0.3  # as face_noise, in each window
    timbre_noise: NotNegative = 0.3  # in units of each timbre's own deviation


class Settings(Augmentation, kw_only=True, forbid_unknown_fields=True):
    """The data, the network, and the training."""

    faces: str = "data/ravdess-face-posteriors.parquet"  # a network's answers for each frame of the recordings
    translated: tuple[str, ...] = ()  # the same, as our network might have answered; learnt from as well
    voices: str = "runs/speech"  # networks that leave actors out; trained where there are none
    network: str = "decision"  # a name in `emopipe.models.fusion.networks.NETWORKS`
    hidden: Annotated[int, msgspec.Meta(ge=0)] = 0  # its units; 0: its own default
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1  # of the weights, the moments and what is varied in them
    epochs: Count = 12  # passes over all moments
    batch_size: Annotated[int, msgspec.Meta(ge=2)] = 256  # moments a step
    moments: Count = 4  # random ones within each recording; its end counts as often as all of these together
    learning_rate: Positive = 1e-2  # peak of the one-cycle schedule (AdamW)
    warmup: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.1  # fraction of the steps until the peak
    weight_decay: NotNegative = 3e-2
    label_smoothing: Share = 0.05  # probability spread evenly over the classes
    dropout: Share = 0.2  # of the face's summary (decision), timbre and hidden units (feature), tokens (attention)
    cross_validate: bool = True  # first test on the actors of each fold what was trained on the others
    threads: Count = 1  # CPU threads of torch


def read_settings(config: dict[str, Any]) -> Settings:
    """Settings from a table.

    Raises:
        EmopipeError: a key or the network is unknown, a value is out of range, or the shares of moments exceed 1.
    """
    settings = parse_settings(config, Settings)
    if settings.network not in NETWORKS:
        raise EmopipeError(f"network: {settings.network!r} is unknown; the networks are {', '.join(NETWORKS)}")
    shares = settings.face_alone + settings.voice_alone + settings.shared_out + settings.contradicting
    if shares > 1:
        raise EmopipeError(
            f"face_alone, voice_alone, shared_out and contradicting add up to {shares:g}, but they share out the "
            "moments; lower them to 1 at most"
        )
    return settings


def network_options(settings: Settings) -> dict[str, int]:
    """The network's constructor arguments: its own default width unless `hidden` says another."""
    (width,) = NETWORKS[settings.network].OPTIONS
    return {width: settings.hidden} if settings.hidden else {}
