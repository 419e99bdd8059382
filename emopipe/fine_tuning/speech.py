"""Fine-tuning the network for voices on labelled sounds: a new last layer on the vectors that the shipped one hears."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from emopipe.fine_tuning.classifier import Examples, Settings, data_sha256, learn, notes, refuse_shipped, risks
from emopipe.fine_tuning.folder import read
from emopipe.fine_tuning.folds import need_enough
from emopipe.fine_tuning.voices import read_voices
from emopipe.models import checkpoint
from emopipe.models.speech.embedding import Embedder, EmbeddingSpec
from emopipe.models.speech.files import SHIPPED
from emopipe.models.speech.heads import Head
from emopipe.models.speech.model import context_of, spec_of
from emopipe.models.speech.temperature import Temperature
from emopipe.predictor.inputs import SOUNDS, VIDEOS
from emopipe.training.evaluation.results import Evaluation
from emopipe.training.trainer.settings import parse_settings, typed_command


def fine_tune(config: dict[str, Any], data: Path, people: Path | None, out: Path) -> Evaluation:
    """Learn the classes of a folder of sounds or films, write weights to `out`, and say how well people not trained on
    are judged: by segments of speech, as `emopipe predict` hears them, and by a stream's windows.

    Raises:
        EmopipeError: a setting is wrong, `out` is the shipped weights, or the voice encoder is not to be had.
        DataError: see `folder.read`, `folds.need_enough`, `voices.read_voices`.
    """
    settings = parse_settings(config, Settings)
    refuse_shipped(out)
    found = read(data, (*SOUNDS, *VIDEOS), people)
    need_enough(data, found.files, found.labels)
    state, base = checkpoint.load_arrays(SHIPPED, "speech")
    spec = spec_of(base, SHIPPED)
    assert isinstance(spec, EmbeddingSpec)
    Embedder(spec)  # says so, if there is no encoder
    voices = read_voices(data, found.files, found.left_out)
    need_enough(data, [voice.file for voice in voices], found.labels)
    head = Head(state, **base.options)
    rows = [row for voice in voices for row in (*voice.segments, *voice.windows)]
    whole = torch.tensor(
        [row for voice in voices for row in [True] * len(voice.segments) + [False] * len(voice.windows)]
    )
    length = head.width**0.5  # of an embedding as usual: its numbers have the deviation 1
    embedded = torch.from_numpy(np.concatenate([head.embed(row[None]) for row in rows]) / length).double()
    # The shorter and the stranger what is heard, the flatter, in the proportion of the shipped weights.
    scale = torch.from_numpy(Temperature(base.temperatures, *base.doubt).at(context_of(head, rows)))
    files = [voice.file for voice in voices for _ in (*voice.segments, *voice.windows)]
    learnt = learn(Examples(files, embedded, scale), found.labels, settings)
    answers = {"segments": learnt.answers.of(whole), "windows": learnt.answers.of(~whole)}
    sounds = [voice.file for voice in voices]
    what = f"{int(whole.sum())} segments and {int((~whole).sum())} windows of {len(sounds)} sounds"
    evaluation = Evaluation(answers, notes=notes(found, sounds, what, "sound"))
    table = risks(evaluation, learnt.answers)
    weights = {
        "linear.weight": (learnt.head[:-1].T / length).float().numpy(),
        "linear.bias": learnt.head[-1].float().numpy(),
    }
    card = checkpoint.Card(
        task="speech",
        network=base.network,
        options={**base.options, "classes": len(found.labels)},
        labels=list(found.labels),
        features=base.features,
        temperature=learnt.temperature,
        temperatures=[(seconds, value * learnt.temperature) for seconds, value in base.temperatures],
        doubt=base.doubt,
        command=typed_command(),
        config=msgspec.structs.asdict(settings)
        | {"folder": data.name, "init": SHIPPED.name, "tested_apart": learnt.tested_apart},
        seed=settings.seed,
        data_sha256=data_sha256(data, sounds),
        metrics=evaluation.report().flat(),
        prior=dict.fromkeys(found.labels, 1 / len(found.labels)),
        selective=table,
    )
    checkpoint.save(out, {**state, **weights}, card)
    return evaluation
