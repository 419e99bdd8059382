"""Training and evaluating the voice classifier on RAVDESS, on people it has never heard.

Every figure comes from actors who were not trained on: folds of whole actors, a schedule of fixed length (the last
weights are taken, no epoch is picked), temperatures fitted on other actors than they are scored on.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import msgspec

from emopipe.models import checkpoint
from emopipe.models.calibration import class_shares, selective
from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.model import SpeechModel
from emopipe.models.speech.networks import SpeechNetwork
from emopipe.models.speech.speaker import SpeakerStatistics
from emopipe.models.speech.temperature import Knot
from emopipe.pipeline.errors import DataError, EmopipeError
from emopipe.training.evaluation import metrics
from emopipe.training.evaluation.results import Evaluation, need_labels
from emopipe.training.speech import ravdess
from emopipe.training.speech.folds import (
    CALIBRATION_CLIPS,
    CrossValidation,
    Fold,
    actor_folds,
    calibration_figures,
    cross_validate,
    random_folds,
    save_logits,
    score_with_calibration,
)
from emopipe.training.speech.module import SpeechTraining
from emopipe.training.speech.ravdess import Clip
from emopipe.training.speech.scoring import ScoredClips, answers, group_figures, score_clips
from emopipe.training.speech.settings import Settings, network_options, read_settings
from emopipe.training.trainer.fit import fit
from emopipe.training.trainer.settings import plain_settings, record_run, typed_command

PROTOCOLS = ("model", "actor-folds", "random")
LEAK_NOTE = "random folds leak: every voice that is tested was trained on; read the figures of actor-folds instead"


class TrainingRun:
    """Trains networks on some clips each, in folders of `run`; with `resume` it goes on with what lies there."""

    def __init__(self, config: Settings, data: Path, run: Path, resume: bool) -> None:
        self.config, self.run, self.resume = config, run, resume
        self.spec = MfccSpec()
        speeds = list(dict.fromkeys([1.0, *config.speeds]))
        corpora = ravdess.read(data, self.spec, speeds)
        self.corpus = corpora[1.0]
        self.versions = [corpora[speed].clips for speed in config.speeds]
        record_run(run / "settings.json", config, self.corpus.sha256, resume)

    @property
    def seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.seeds)

    def fit(self, fold: Fold) -> tuple[SpeechNetwork, SpeakerStatistics]:
        """Train on all clips but the fold's and the validation actors'; keep the network in the fold's folder.

        Gives the averaged weights of the last step, or of the best one where there is `patience`.
        """
        watched = self.config.validation_actors
        clips = self.corpus.clips
        left_out = {*fold.tested, *(index for index, clip in enumerate(clips) if clip.name.actor in watched)}
        taken = [index for index in range(len(clips)) if index not in left_out]
        path = self.run / fold.name / "speech.safetensors"
        card = self.card(fold.seed, sorted({clips[index].name.actor for index in taken}))
        if self.resume and path.is_file() and _same(checkpoint.load(path, "speech")[1], card):
            model = SpeechModel.load(path, "cpu")
            return model.network, model.speaker()
        network = self._train(fold, taken, [clip for clip in clips if clip.name.actor in watched])
        checkpoint.save(path, network.state_dict(), card)
        return network, SpeechModel(network, self.spec, SPEECH, 1.0).speaker()

    def _train(self, fold: Fold, taken: Sequence[int], validation: Sequence[Clip]) -> SpeechNetwork:
        config, folder = self.config, self.run / fold.name
        pl.seed_everything(fold.seed, verbose=False)
        train = [[clips[index] for index in taken] for clips in self.versions]
        if not train[0]:
            raise DataError(f"{fold.name}: nobody is left to train on; leave out fewer validation_actors")
        module = SpeechTraining(config, self.spec, train, validation, fold.seed)
        fit(
            module,
            folder,
            epochs=config.epochs,
            resume=self.resume and (folder / "last.ckpt").is_file(),
            threads=config.threads,
            monitor="window_nll",
            precision=config.precision,
            devices=config.devices,
            patience=config.patience or None,
            validate_every=min(10, config.epochs),
            gradient_clip=1.0,
        )
        return module.result()

    def card(self, seed: int, actors: Sequence[int]) -> checkpoint.Card:
        """The card of a network that was trained on these actors, without its figures."""
        labels = [clip.name.label for clip in self.corpus.clips if clip.name.actor in actors]
        return checkpoint.Card(
            task="speech",
            network=self.config.network,
            options=network_options(self.config),
            labels=list(SPEECH),
            features=msgspec.structs.asdict(self.spec),
            temperature=1.0,
            prior=class_shares(labels, SPEECH),
            config=plain_settings(self.config) | {"trained_on": list(actors)},
            seed=seed,
            data_sha256=self.corpus.sha256,
            command=typed_command(),
            metrics={},
        )

    def cross_validate(self, folds: Sequence[Fold]) -> CrossValidation:
        """Test each fold on what the others taught, and write the temperatures into the folds' networks."""
        result = cross_validate(self.corpus, self.spec, folds, self.fit)
        for fold, temperatures in zip(folds, result.temperatures_by_fold(), strict=True):
            path = self.run / fold.name / "speech.safetensors"
            state, card = checkpoint.load(path, "speech")
            checkpoint.save(path, state, msgspec.structs.replace(card, temperatures=temperatures))
        return result


def train(config: dict[str, Any], data: Path, out: Path, resume: bool = False, runs: Path = Path("runs")) -> None:
    """Cross-validate over the usual folds of actors, then train on all but `validation_actors` and write to `out`.

    `runs`/speech/ holds a folder for each fold and for the last training, with its log (metrics.csv), the state to
    resume from (last.ckpt) and, once trained, the network (speech.safetensors); what the folds' networks made of the
    clips they were not trained on (out-of-fold.safetensors), and their figures (cross-validation.json).

    Raises:
        EmopipeError: a setting is unknown or out of range, or there is no run with these settings to resume.
        DataError: the data set is missing, or lacks the actors that are needed.
    """
    chosen = read_settings(config)
    training = TrainingRun(chosen, data, runs / "speech", resume)
    watched, actors = chosen.validation_actors, training.corpus.actors
    if missing := [actor for actor in watched if actor not in actors]:
        raise DataError(f"validation_actors: {_list(missing)} are not among the actors of {data} ({_list(actors)})")
    measured: dict[str, float] = {}
    validated: ScoredClips | None = None
    if chosen.cross_validate:
        result = training.cross_validate(actor_folds(training.corpus, training.seeds))
        evaluation = result.evaluation()
        measured, validated = evaluation.report().flat(), result.scored
        save_logits(training.run / "out-of-fold.safetensors", result)
        (training.run / "cross-validation.json").write_text(json.dumps(measured, indent=2))
    network, _ = training.fit(Fold("final", (), chosen.seed))
    if validated is None and watched:
        clips = [clip for clip in training.corpus.clips if clip.name.actor in watched]
        validated = score_clips(network, clips, training.spec)
        measured = {f"validation_{name}": value for name, value in _plain(validated).items()}
    card = training.card(chosen.seed, [actor for actor in actors if actor not in watched])
    checkpoint.save(out, network.state_dict(), _calibrated(card, validated, measured))


def evaluate(
    data: Path,
    weights: Path | None = None,
    protocol: str = "model",
    config: dict[str, Any] | None = None,
    resume: bool = False,
    runs: Path = Path("runs"),
) -> Evaluation:
    """Evaluate on whole clips (first), on windows, and on both after speaker calibration.

    Args:
        data: RAVDESS speech, all of it or some actors.
        weights: what *model* scores; by default the committed ones.
        protocol: *model* scores weights as they are; *actor-folds* trains and tests in the usual folds of actors;
            *random* does so in random folds of clips, which leak the speaker, and gives actor-folds beside it.
        config: settings for the protocols that train.
        resume: go on with an evaluation that was cut short; what is trained already is taken as it is.
        runs: where these protocols train, in speech/.

    Raises:
        DataError: the data set is missing, or has too few actors for the protocol.
        EmopipeError: there is no such protocol, or a setting is wrong.
    """
    if protocol not in PROTOCOLS:
        raise EmopipeError(f"protocol: {protocol!r} is unknown; the protocols are {', '.join(PROTOCOLS)}")
    if protocol == "model":
        return _evaluate_model(data, weights)
    chosen = read_settings(config or {})
    training = TrainingRun(chosen, data, runs / "speech", resume)
    if protocol == "actor-folds":
        return training.cross_validate(actor_folds(training.corpus, training.seeds)).evaluation()
    leaking = training.cross_validate(random_folds(training.corpus, training.seeds)).evaluation([LEAK_NOTE])
    try:
        folds = actor_folds(training.corpus, training.seeds)
    except DataError as error:
        return Evaluation(leaking.answers, leaking.figures, [*leaking.notes, f"no actor-folds beside it: {error}"])
    strict = training.cross_validate(folds).evaluation()
    beside = {f"actor_folds_{name}": answer for name, answer in strict.answers.items()}
    return Evaluation(leaking.answers | beside, leaking.figures, leaking.notes)


def _evaluate_model(data: Path, weights: Path | None) -> Evaluation:
    _, card = checkpoint.load(weights or checkpoint.WEIGHTS_DIR / "speech.safetensors", "speech")
    need_labels(card.labels, SPEECH, weights)
    model = SpeechModel.load(weights)
    corpus = ravdess.read(data, model.spec)[1.0]
    temperatures: list[list[Knot]] = [list(model.temperatures) or [(1.0, model.temperature)]]
    scores = score_with_calibration(model.network, corpus.clips, model.spec, model.speaker())
    clips, windows = answers(scores.strict, temperatures)
    calibrated, calibrated_windows = answers(scores.calibrated[CALIBRATION_CLIPS[-1]], temperatures)
    found = {"clips": clips, "windows": windows, "calibrated": calibrated, "calibrated_windows": calibrated_windows}
    seen = [actor for actor in corpus.actors if actor in card.config.get("trained_on", [])]
    notes = []
    if seen:
        notes.append(f"the model was trained on actors {_list(seen)}: their clips flatter it")
        unseen = [actor not in seen for actor in clips.groups.tolist()] if clips.groups is not None else []
        if any(unseen):
            strangers = answers(scores.strict.of(unseen), temperatures)
            found |= {"unseen": strangers[0], "unseen_windows": strangers[1]}
    if not len(scores.strict.owners):
        notes.append("no speech was heard in any clip, so there are no windows")
        found = {name: answer for name, answer in found.items() if len(answer.targets)}
    return Evaluation(
        found, group_figures(scores.strict) | calibration_figures(scores.strict, scores.calibrated), notes
    )


def _calibrated(card: checkpoint.Card, scored: ScoredClips | None, measured: dict[str, float]) -> checkpoint.Card:
    """The card with what follows from clips of people who were not trained on."""
    if scored is None:
        return card
    temperatures = scored.temperatures()
    windows = answers(scored, [temperatures])[1]
    return msgspec.structs.replace(
        card,
        temperature=metrics.fit_temperature(scored.window_logits, scored.window_targets),
        temperatures=temperatures,
        selective=selective(windows.probabilities().numpy(), windows.targets.numpy()),
        metrics=measured,
    )


def _plain(scored: ScoredClips) -> dict[str, float]:
    return answers(scored, [scored.temperatures()])[0].figures()


def _same(one: checkpoint.Card, other: checkpoint.Card) -> bool:
    """Whether two networks come from the same recipe and data."""
    return (one.config, one.seed, one.data_sha256) == (other.config, other.seed, other.data_sha256)


def _list(actors: Sequence[int]) -> str:
    return ", ".join(map(str, actors))
