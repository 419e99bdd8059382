"""Training and evaluating fusion on real pairs of a face and a voice, on people whom neither half has met.

The voice's half are answers of networks that were not trained on the actor (`training.fusion.out_of_fold`), the face's
are those of a published network that has never seen RAVDESS; so fusion learns how far either can be believed of
strangers. The test actors are in none of its training clips either. A schedule has a fixed length and its last weights
are taken.
One leak is left, as in all stacking (Wolpert 1992): the voices' networks that answered about the training clips had
been trained on clips of the actors who are tested on.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from emopipe.models import checkpoint
from emopipe.models.calibration import class_shares, selective, softmax
from emopipe.models.fusion.model import FusionModel
from emopipe.models.fusion.networks import Moment
from emopipe.models.labels import FACE, SPEECH
from emopipe.models.speech.embedding import Embedder, EmbeddingSpec
from emopipe.models.speech.files import SHIPPED
from emopipe.models.speech.model import spec_of
from emopipe.pipeline.errors import EmopipeError
from emopipe.training.evaluation import metrics
from emopipe.training.evaluation.results import Evaluation
from emopipe.training.fusion import pairs
from emopipe.training.fusion.batches import (
    as_tensors,
    concatenate,
    random_moments,
    select,
    whole_recordings,
    without_face,
    without_voice,
)
from emopipe.training.fusion.module import FusionTraining
from emopipe.training.fusion.out_of_fold import (
    SpeechAnswerCache,
    SpeechAnswers,
    add_noise,
    checkpoint_without_corpus,
    fold_checkpoints,
)
from emopipe.training.fusion.pairs import Pairs
from emopipe.training.fusion.settings import Settings, network_options, read_settings
from emopipe.training.fusion.study import shared_labels, study
from emopipe.training.speech import folds, ravdess
from emopipe.training.speech import train as speech_training
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.settings import Settings as SpeechSettings
from emopipe.training.trainer.fit import fit
from emopipe.training.trainer.settings import record_run, typed_command, without_folders

PROTOCOLS = ("model", "actor-folds")
CACHE = Path(".cache")


class TrainingRun:
    """Trains networks on some actors each, in folders of `run`; with `resume` it goes on with what lies there.

    `voices` are several networks' answers about the same recordings; the first ones are what is tested. So are the
    faces of `found`, beside those of `config.translated`.
    """

    def __init__(
        self, config: Settings, found: Pairs, voices: Sequence[Sequence[SpeechAnswers]], run: Path, resume: bool
    ) -> None:
        self.seen = [found.pairs, *(pairs.with_faces(found, Path(path)) for path in config.translated)]
        self.config, self.found, self.run, self.resume = config, found, run, resume
        self.actors = found.speakers
        self.targets = torch.tensor([pair.name.label for pair in found.pairs])
        random = np.random.default_rng(config.seed)
        ways = [(faces, each) for faces in self.seen for each in voices]
        self.places = range(0, len(ways), len(voices))  # where each kind of faces begins in what follows
        self.wholes = [whole_recordings(faces, each) for faces, each in ways]
        self.whole = self.wholes[0]
        self.repeats = max(1, config.moments // len(voices))
        self.some = [random_moments(faces, each, random) for _ in range(self.repeats) for faces, each in ways]
        record_run(run / "settings.json", config, found.sha256, resume)

    def fit(self, name: str, rows: Tensor, watched: Tensor) -> FusionModel:
        """Train on the recordings `rows` (indices), watching others; the temperature is left at 1."""
        config, folder = self.config, self.run / name
        torch.manual_seed(config.seed)
        # Half of what is learned from are whole recordings, half are moments within them.
        parts = self.wholes * self.repeats + self.some
        moment = as_tensors(concatenate([select(part, rows.numpy()) for part in parts]))
        module = FusionTraining(
            config,
            (moment, self.targets[rows].repeat(len(parts))),
            (as_tensors(select(self.whole, watched.numpy())), self.targets[watched]),
        )
        fit(
            module,
            folder,
            epochs=config.epochs,
            resume=self.resume and (folder / "last.ckpt").is_file(),
            threads=config.threads,
            monitor="nll",
            validate_every=config.epochs,
            gradient_clip=1.0,
        )
        return FusionModel(module.module.network, module.module.arrays(), 1.0)

    def folds(self) -> list[Tensor]:
        """The recordings (indices) of the actors of each usual fold."""
        groups = ravdess.folds(self.found.actors)
        places = [torch.tensor([self.found.actors.index(actor) for actor in group]) for group in groups]
        return [torch.isin(self.actors, place).nonzero()[:, 0] for place in places]

    def cross_validate(self) -> "OutOfFoldModels":
        """Train once for each fold on the others."""
        everybody = torch.arange(len(self.actors))
        models, number = [], torch.zeros(len(everybody), dtype=torch.long)
        for index, rows in enumerate(self.folds()):
            others = everybody[~torch.isin(everybody, rows)]
            models.append(self.fit(f"fold-{index + 1}", others, rows))
            number[rows] = index
            said = models[-1].logits(select(self.whole, rows.numpy())).argmax(1)
            right = float((said == self.targets[rows].numpy()).mean())
            print(f"fold {index + 1}/{len(self.folds())}: accuracy {right:.3f}", flush=True)
        result = OutOfFoldModels(models, number)
        logits = torch.from_numpy(result.logits(self.whole))
        for index, model in enumerate(models):
            known = number != index
            model.temperature = metrics.fit_temperature(logits[known], self.targets[known])
        return result


class OutOfFoldModels:
    """Each fold's model, and which one (`number` [N]) was not trained on a recording's actor.

    A model's temperature is fitted on the answers of the other folds' models.
    """

    def __init__(self, models: Sequence[FusionModel], number: Tensor) -> None:
        self.models, self.number = models, number

    def logits(self, moment: Moment) -> np.ndarray[Any, np.dtype[np.float64]]:
        """[N, 8], of the moments of all recordings."""
        result = np.zeros((len(self.number), len(SPEECH)))
        for index, model in enumerate(self.models):
            rows = (self.number == index).numpy()
            result[rows] = model.logits(select(moment, rows))
        return result

    @property
    def temperatures(self) -> Tensor:
        """[N]"""
        return torch.tensor([model.temperature for model in self.models])[self.number]


def train(config: dict[str, Any], data: Path, out: Path, resume: bool = False, runs: Path = Path("runs")) -> None:
    """Cross-validate over the usual folds of actors, then train on all of them and write to `out`.

    `runs`/fusion/<network>/ holds a folder for each fold and for the last training, with log and state, and what was
    found (cross-validation.json). Networks for voices come from the config's `voices`; those that lack are trained.

    Raises:
        EmopipeError: a setting is unknown or out of range, or there is no run with these settings to resume.
        DataError: the data are missing, or lack what is needed.
    """
    chosen = read_settings(config)
    folder = _speech_runs(chosen, data)
    found = pairs.read(data, Path(chosen.faces), _embedder(fold_checkpoints(folder)[0]))
    clips = [pair.clip for pair in found.pairs]
    voices = _voices(clips, folder)
    run = runs / "fusion" / chosen.network
    training = TrainingRun(chosen, found, voices, run, resume)
    temperature, measured, table = 1.0, dict[str, float](), []
    if chosen.cross_validate:
        unseen = training.cross_validate()
        logits = torch.from_numpy(np.concatenate([unseen.logits(training.wholes[place]) for place in training.places]))
        temperature = metrics.fit_temperature(logits, training.targets.repeat(len(training.places)))
        noisy = SpeechAnswerCache(CACHE).out_of_fold(add_noise(clips), folder)
        measured = study(found, voices[0], noisy, unseen.logits, unseen.temperatures, unseen.number).report().flat()
        measured |= _foreign_figures(found, voices, unseen) | _translated_figures(training, unseen)
        # What is asked of a stream is one moment, with faces as ours sees them, in the labels that both share.
        answers = softmax(unseen.logits(training.some[training.places[-1]]), unseen.temperatures.numpy())
        table = selective(*shared_labels(answers, training.targets.numpy()))
        (run / "cross-validation.json").write_text(json.dumps(measured, indent=2) + "\n")
        print(f"out of fold: accuracy {measured['accuracy']:.3f}, gain {measured['gain']:+.3f}", flush=True)
    everybody = torch.arange(len(training.targets))
    model = training.fit("final", everybody, everybody)
    card = checkpoint.Card(
        task="fusion",
        network=chosen.network,
        options=dict(network_options(chosen)),
        labels=list(SPEECH),
        features={},
        temperature=temperature,
        config={
            **msgspec.to_builtins(chosen),
            "faces": without_folders(chosen.faces),
            "translated": [without_folders(path) for path in chosen.translated],
            "voices": without_folders(chosen.voices),
            "trained_on": found.actors,
        },
        seed=chosen.seed,
        data_sha256=found.sha256,
        command=typed_command(),
        metrics=measured,
        prior=class_shares(training.targets, SPEECH),
        selective=table,
    )
    checkpoint.save(out, {name: torch.from_numpy(value).float() for name, value in model.weights.items()}, card)


def evaluate(
    data: Path,
    faces: Path,
    weights: Path | None = None,
    protocol: str = "model",
    config: dict[str, Any] | None = None,
    resume: bool = False,
    runs: Path = Path("runs"),
    speech: Path | None = None,
) -> Evaluation:
    """Evaluate fusion on whole recordings (first), either half alone, and with one half missing or noisy.

    Args:
        data: RAVDESS speech, all of it or some actors.
        faces: a network's answers frame by frame (`emopipe.training.fusion.pairs`).
        weights: what *model* scores; by default the committed ones.
        protocol: *model* scores weights as they are, with `speech` (by default the committed network) for voices;
            *actor-folds* trains and tests in the usual folds of actors, whom neither half has met.
        config: settings for the protocol that trains.
        resume: go on with an evaluation that was cut short.
        runs: where that protocol trains, in fusion/.

    Raises:
        DataError: the data are missing, have nothing in common, or have too few actors for the protocol.
        EmopipeError: there is no such protocol, or a setting is wrong.
    """
    if protocol not in PROTOCOLS:
        raise EmopipeError(f"protocol: {protocol!r} is unknown; the protocols are {', '.join(PROTOCOLS)}")
    answers = SpeechAnswerCache(CACHE)
    if protocol == "model":
        found = pairs.read(data, faces, _embedder(speech or SHIPPED))
        clips = [pair.clip for pair in found.pairs]
        model = FusionModel.load(weights)
        voices, noisy = answers.of(clips, speech), answers.of(add_noise(clips), speech)
        evaluation = study(found, voices, noisy, model.logits, model.temperature, None)
        return _with_notes(evaluation, [*found.notes, *_overlap_notes(found, weights, speech)])
    chosen = read_settings((config or {}) | {"faces": str(faces)})
    folder = _speech_runs(chosen, data)
    found = pairs.read(data, faces, _embedder(fold_checkpoints(folder)[0]))
    clips = [pair.clip for pair in found.pairs]
    known, noisy = _voices(clips, folder), answers.out_of_fold(add_noise(clips), folder)
    training = TrainingRun(chosen, found, known, runs / "fusion" / chosen.network, resume)
    unseen = training.cross_validate()
    evaluation = study(found, known[0], noisy, unseen.logits, unseen.temperatures, unseen.number)
    evaluation.figures.update(_foreign_figures(found, known, unseen) | _translated_figures(training, unseen))
    return _with_notes(evaluation, [*found.notes, f"The network is {chosen.network!r}."])


def _speech_runs(config: Settings, data: Path) -> Path:
    """The folder of the folds' networks for voices; where there are none they are trained, by the default recipe."""
    folder = Path(config.voices)
    if not fold_checkpoints(folder):
        print(f"{folder}: no networks for voices that leave actors out; training them first", flush=True)
        resume = (folder / "settings.json").is_file()
        training = speech_training.TrainingRun(SpeechSettings(), data, folder, resume)
        training.cross_validate(folds.speaker_folds(training.corpus, training.seeds))
    return folder


def _embedder(weights: Path) -> Embedder | None:
    """What makes the vectors that these weights for voices take; None if they take MFCC."""
    spec = spec_of(checkpoint.load_arrays(weights, "speech")[1], weights)
    return Embedder(spec) if isinstance(spec, EmbeddingSpec) else None


def _voices(clips: Sequence[Clip], folder: Path) -> list[list[SpeechAnswers]]:
    """Answers about the clips of speakers that a network has not met: as strangers, and getting to know them; and, if
    there is one, those of a network that knows nothing of their corpus, which is how most voices will meet it."""
    answers = SpeechAnswerCache(CACHE)
    found = [answers.out_of_fold(clips, folder), answers.out_of_fold(clips, folder, calibrated=True)]
    if (foreign := checkpoint_without_corpus("ravdess", folder)) is not None:
        found += [answers.of(clips, foreign), answers.of(clips, foreign, calibrated=True)]
    return found


def _foreign_figures(
    found: Pairs, voices: Sequence[Sequence[SpeechAnswers]], unseen: "OutOfFoldModels"
) -> dict[str, float]:
    """Accuracy in the shared labels where the voices' network knows nothing of the corpus: fused, and either alone."""
    if len(voices) < 3:
        return {}
    targets = np.array([pair.name.label for pair in found.pairs])
    moment = whole_recordings(found.pairs, voices[2])
    figures = {}
    for name, part in {
        "fused": moment,
        "face": without_voice(moment),
        "voice": without_face(moment),
    }.items():
        said, right = shared_labels(softmax(unseen.logits(part), unseen.temperatures.numpy()), targets)
        figures[f"foreign_{name}_accuracy"] = float((said.argmax(1) == right).mean())
    return figures


def _translated_figures(training: TrainingRun, unseen: "OutOfFoldModels") -> dict[str, float]:
    """Accuracy and ECE in the shared labels, fused, with the faces of each translated table."""
    figures: dict[str, float] = {}
    for number, place in enumerate(training.places[1:], 1):
        logits = unseen.logits(training.wholes[place])
        said, right = shared_labels(softmax(logits, unseen.temperatures.numpy()), training.targets.numpy())
        found = metrics.summarise(torch.from_numpy(said).log(), torch.from_numpy(right), FACE, 1.0)
        figures |= {f"translated_{number}_{name}": found[name] for name in ("accuracy", "uar", "ece")}
    return figures


def _overlap_notes(found: Pairs, weights: Path | None, speech: Path | None) -> list[str]:
    """Notes of which scored actors a model was trained on."""
    notes = []
    for task, path in (("fusion", weights), ("speech", speech)):
        card = checkpoint.load_arrays(path or checkpoint.WEIGHTS_DIR / f"{task}.safetensors", task)[1]
        met = [actor for actor in found.actors if actor in card.config.get("trained_on", [])]
        if met:
            listed = ", ".join(map(str, met))
            notes.append(f"The {task} model was trained on {listed}: their recordings flatter it.")
    return notes


def _with_notes(evaluation: Evaluation, notes: Sequence[str]) -> Evaluation:
    return Evaluation(evaluation.answers, evaluation.figures, [*notes, *evaluation.notes])
