"""Fine-tuning the network for voices on labelled sounds: a new last layer on the vectors that the shipped one hears."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from emopipe.fine_tuning.card import fine_tuned, notes
from emopipe.fine_tuning.classifier import Examples, learn
from emopipe.fine_tuning.files import prepare
from emopipe.fine_tuning.folds import need_enough
from emopipe.fine_tuning.voices import read_voices
from emopipe.models import checkpoint
from emopipe.models.speech.embedding import Embedder, EmbeddingSpec
from emopipe.models.speech.files import SHIPPED
from emopipe.models.speech.heads import Head
from emopipe.models.speech.model import context_of, spec_of
from emopipe.models.speech.temperature import Temperature
from emopipe.training.evaluation.results import Evaluation


def fine_tune(config: dict[str, Any], data: Path, people: Path | None, out: Path) -> Evaluation:
    """Learn the classes of a folder of sounds or films, write weights to `out`, and say how well people not trained on
    are judged: by segments of speech, as `emopipe predict` hears them, and by a stream's windows.

    Raises:
        EmopipeError: a setting is wrong, `out` is not to be written over, or the voice encoder is not to be had.
        DataError: see `files.prepare`, `voices.read_voices`.
    """
    settings, found = prepare("speech", config, data, people, out)
    state, base = checkpoint.load_arrays(SHIPPED, "speech")
    spec = spec_of(base, SHIPPED)
    assert isinstance(spec, EmbeddingSpec)
    Embedder(spec)  # says so, if there is no encoder
    voices = read_voices(data, found.files, found.left_out)
    used = found._replace(files=voices.sounds)
    need_enough(data, used.files, used.labels)
    head = Head(state, **base.options)
    length = head.width**0.5  # of an embedding as usual: its numbers have the deviation 1
    embedded = torch.from_numpy(np.concatenate([head.embed(row[None]) for row in voices.rows]) / length).double()
    # The shorter and the stranger what is heard, the flatter, in the proportion of the shipped weights.
    scale = torch.from_numpy(Temperature(base.temperatures, *base.doubt).at(context_of(head, voices.rows)))
    learnt = learn(Examples(voices.files, embedded, scale), found.labels, settings)
    whole = voices.whole
    answers = {"segments": learnt.answers.of(whole), "windows": learnt.answers.of(~whole)}
    what = f"{int(whole.sum())} segments and {int((~whole).sum())} windows of {len(voices.sounds)} sounds"
    evaluation = Evaluation(answers, notes=notes(used, what, "sound"))
    weights = {
        "linear.weight": (learnt.head[:-1].T / length).float().numpy(),
        "linear.bias": learnt.head[-1].float().numpy(),
    }
    card = fine_tuned(base, found, used, settings, learnt, evaluation, base.temperatures, data)
    checkpoint.save(out, {**state, **weights}, card)
    return evaluation
