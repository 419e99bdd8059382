"""Training and evaluating the voice classifier, on people and in languages that it has never heard.

The figures that count come from corpora that were left out, then from speakers who were: temperatures are fitted on
other corpora, or speakers, than they are scored on, and no schedule is cut short where it looks best.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import msgspec
import torch

from emopipe.models import checkpoint
from emopipe.models.calibration import class_shares, selective
from emopipe.models.labels import SPEECH
from emopipe.models.speech.embedding import Embedder, EmbeddingSpec
from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.model import Network, SpeechModel
from emopipe.models.speech.temperature import Temperature
from emopipe.pipeline.errors import DataError, EmopipeError
from emopipe.training.evaluation.results import Answers, Evaluation, need_labels
from emopipe.training.speech import corpora
from emopipe.training.speech.clips import Clip, Corpus
from emopipe.training.speech.discriminant import fit_head
from emopipe.training.speech.folds import (
    CrossValidation,
    Fitted,
    Fold,
    calibration_figures,
    corpus_folds,
    cross_validate,
    fit_temperature,
    random_folds,
    save_logits,
    score_with_calibration,
    speaker_folds,
)
from emopipe.training.speech.module import SpeechTraining
from emopipe.training.speech.scoring import ScoredClips, answered_figures, answers, group_figures, least_confidence
from emopipe.training.speech.settings import Settings, network_options, read_settings
from emopipe.training.trainer.fit import fit
from emopipe.training.trainer.settings import plain_settings, record_run, typed_command

PROTOCOLS = ("model", "corpora", "actor-folds", "random")
LEAK_NOTE = "random folds leak: every voice that is tested was trained on; read the figures of actor-folds instead"
_CALM = SPEECH.index("calm")

Data = Path | Sequence[Path]


class TrainingRun:
    """Trains networks on some clips each, in folders of `run`; with `resume` it goes on with what lies there."""

    def __init__(self, config: Settings, data: Data, run: Path, resume: bool) -> None:
        self.config, self.run, self.resume = config, run, resume
        embedder = Embedder(EmbeddingSpec(layers=config.layers)) if config.network == "head" else None
        self.spec = embedder.spec if embedder else MfccSpec()
        speeds = [1.0] if embedder else list(dict.fromkeys([1.0, *config.speeds]))
        read = corpora.read(data, MfccSpec(), speeds, embedder=embedder)
        self.corpus = read[1.0]
        self.versions = [self.corpus.clips] if embedder else [read[speed].clips for speed in config.speeds]
        self.noises = corpora.read_non_voices(data, embedder, config.non_voices, config.seed) if embedder else None
        record_run(run / "settings.json", config, self.corpus.sha256, resume)

    @property
    def seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.seeds)

    def fit(self, fold: Fold) -> Fitted:
        """Train on all clips but the fold's and the validation speakers'; keep the network in the fold's folder.

        Gives the averaged weights of the last step, or of the best one where there is `patience`.
        """
        watched = self.config.validation_speakers
        clips = self.corpus.clips
        left_out = {*fold.tested, *(index for index, clip in enumerate(clips) if clip.name.speaker in watched)}
        taken = [index for index in range(len(clips)) if index not in left_out]
        if not taken:
            raise DataError(f"{fold.name}: nobody is left to train on; leave out fewer validation_speakers")
        path = self.run / fold.name / "speech.safetensors"
        card = self.card(fold.seed, sorted({clips[index].name.speaker for index in taken}))
        calm = any(clips[index].name.label == _CALM for index in taken)
        if self.resume and path.is_file() and _same(checkpoint.load(path, "speech")[1], card):
            model = SpeechModel.load(path, "cpu")
            return Fitted(model.network, self.spec, model.speaker(), calm)
        network = self._train(fold, taken, [clip for clip in clips if clip.name.speaker in watched])
        checkpoint.save(path, network.state_dict(), card)
        return Fitted(network, self.spec, SpeechModel(network, self.spec, SPEECH, 1.0).speaker(), calm)

    def _train(self, fold: Fold, taken: Sequence[int], validation: Sequence[Clip]) -> Network:
        config, folder = self.config, self.run / fold.name
        train = [[clips[index] for index in taken] for clips in self.versions]
        if self.noises is not None:
            return fit_head(train[0], self.noises, config)
        pl.seed_everything(fold.seed, verbose=False)
        module = SpeechTraining(config, MfccSpec(), train, validation, fold.seed)
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

    def card(self, seed: int, speakers: Sequence[str]) -> checkpoint.Card:
        """Of a network that was trained on these speakers; what is measured is filled in later."""
        labels = [clip.name.label for clip in self.corpus.clips if clip.name.speaker in speakers]
        # A head's classes count alike, however often each was acted.
        prior = class_shares(list(range(len(SPEECH))) if self.config.network == "head" else labels, SPEECH)
        return checkpoint.Card(
            task="speech",
            network=self.config.network,
            options=network_options(self.config),
            labels=list(SPEECH),
            features=msgspec.to_builtins(self.spec),
            temperature=1.0,
            prior=prior,
            config=plain_settings(self.config) | {"trained_on": list(speakers)},
            seed=seed,
            data_sha256=self.corpus.sha256,
            command=typed_command(),
            metrics={},
        )

    def cross_validate(self, folds: Sequence[Fold], beside: Sequence[ScoredClips] = ()) -> CrossValidation:
        """Test each fold on what the others taught, and write the temperatures into the folds' networks."""
        result = cross_validate(self.corpus, folds, self.fit)
        for fold, temperature in zip(folds, result.temperatures(beside), strict=True):
            path = self.run / fold.name / "speech.safetensors"
            state, card = checkpoint.load(path, "speech")
            checkpoint.save(path, state, _with_temperature(card, temperature))
        return result


def train(config: dict[str, Any], data: Data, out: Path, resume: bool = False, runs: Path = Path("runs")) -> None:
    """Cross-validate over speakers, and over corpora where there are several, then train on all but
    `validation_speakers` and write to `out`.

    `runs`/speech/ holds a folder for each fold and for the last training, with the network (speech.safetensors) and,
    where it was trained in steps, its log (metrics.csv) and the state to resume from (last.ckpt); what the folds'
    networks made of the clips they were not trained on (out-of-fold.safetensors), and their figures
    (cross-validation.json).

    Raises:
        EmopipeError: a setting is unknown or out of range, or there is no run with these settings to resume.
        DataError: the data set is missing, or lacks the speakers that are needed.
    """
    chosen = read_settings(config)
    training = TrainingRun(chosen, data, runs / "speech", resume)
    watched, speakers = chosen.validation_speakers, training.corpus.speakers
    if missing := [speaker for speaker in watched if speaker not in speakers]:
        raise DataError(
            f"validation_speakers: {', '.join(missing)} are not among the speakers of the data ({', '.join(speakers)})"
        )
    measured: dict[str, float] = {}
    temperature, validated = None, None
    if chosen.cross_validate:
        unseen = training.cross_validate(speaker_folds(training.corpus, training.seeds))
        tested, parts = unseen, unseen.parts
        measured = unseen.evaluation().report().flat()
        if len(training.corpus.corpora) > 1:
            tested = training.cross_validate(corpus_folds(training.corpus, training.seeds), unseen.parts)
            beside = {f"speaker_folds_{name}": value for name, value in measured.items()}
            measured = tested.evaluation(beside=unseen.parts).report().flat() | beside
            parts = [*tested.parts, *unseen.parts]
        save_logits(training.run / "out-of-fold.safetensors", tested)
        (training.run / "cross-validation.json").write_text(json.dumps(measured, indent=2))
        temperature = fit_temperature(parts)
        validated = _strangers(tested, [part for part in unseen.parts if tested is not unseen])
    fitted = training.fit(Fold("final", (), chosen.seed))
    if validated is None and watched:
        clips = [clip for clip in training.corpus.clips if clip.name.speaker in watched]
        scored = score_with_calibration(fitted, clips).strict
        temperature = fit_temperature([scored])
        whole, validated = answers(scored, [temperature])
        measured = {f"validation_{name}": value for name, value in whole.figures().items()}
    card = training.card(chosen.seed, [speaker for speaker in speakers if speaker not in watched])
    if temperature is not None and validated is not None:
        table = selective(validated.probabilities().numpy(), validated.targets.numpy())
        card = msgspec.structs.replace(_with_temperature(card, temperature), selective=table, metrics=measured)
    checkpoint.save(out, fitted.network.state_dict(), card)


def evaluate(
    data: Data,
    weights: Path | None = None,
    protocol: str = "model",
    config: dict[str, Any] | None = None,
    resume: bool = False,
    runs: Path = Path("runs"),
) -> Evaluation:
    """Evaluate on whole clips (first), on windows, and on both after speaker calibration.

    Args:
        data: corpora of emotional speech, whole or in part.
        weights: what *model* scores; by default the committed ones.
        protocol: *model* scores weights as they are; *corpora* trains on all corpora but one in turn, and tests on that
            one; *actor-folds* does so with folds of speakers; *random* with random folds of clips, which leak the
            speaker, and gives actor-folds beside it.
        config: settings for the protocols that train.
        resume: go on with an evaluation that was cut short; what is trained already is taken as it is.
        runs: where these protocols train, in speech/.

    Raises:
        DataError: the data set is missing, or has too few speakers or corpora for the protocol.
        EmopipeError: there is no such protocol, or a setting is wrong.
    """
    if protocol not in PROTOCOLS:
        raise EmopipeError(f"protocol: {protocol!r} is unknown; the protocols are {', '.join(PROTOCOLS)}")
    if protocol == "model":
        return _evaluate_model(data, weights)
    training = TrainingRun(read_settings(config or {}), data, runs / "speech", resume)
    if protocol == "corpora":
        # As in `train`, a temperature rests on both.
        known = training.cross_validate(speaker_folds(training.corpus, training.seeds)).parts
        return training.cross_validate(corpus_folds(training.corpus, training.seeds), known).evaluation(beside=known)
    if protocol == "actor-folds":
        return training.cross_validate(speaker_folds(training.corpus, training.seeds)).evaluation()
    leaking = training.cross_validate(random_folds(training.corpus, training.seeds)).evaluation([LEAK_NOTE])
    try:
        folds = speaker_folds(training.corpus, training.seeds)
    except DataError as error:
        return Evaluation(leaking.answers, leaking.figures, [*leaking.notes, f"no actor-folds beside it: {error}"])
    strict = training.cross_validate(folds).evaluation()
    beside = {f"actor_folds_{name}": answer for name, answer in strict.answers.items()}
    return Evaluation(leaking.answers | beside, leaking.figures, leaking.notes)


def _evaluate_model(data: Data, weights: Path | None) -> Evaluation:
    _, card = checkpoint.load(weights or checkpoint.WEIGHTS_DIR / "speech.safetensors", "speech")
    need_labels(card.labels, SPEECH, weights)
    model = SpeechModel.load(weights)
    corpus = corpora.read(data, MfccSpec(), embedder=model.embedder)[1.0]
    scores = score_with_calibration(Fitted(model.network, model.spec, model.speaker()), corpus.clips)
    given = model.temperature
    temperatures = [given if isinstance(given, Temperature) else Temperature([(1.0, given)])]
    clips, windows = answers(scores.strict, temperatures)
    calibrated, calibrated_windows = answers(scores.calibrated, temperatures)
    found = {"clips": clips, "windows": windows, "calibrated": calibrated, "calibrated_windows": calibrated_windows}
    notes = _overlap_notes(corpus, card.config.get("trained_on", []))
    if notes:
        unseen = [clip.name.speaker not in card.config["trained_on"] for clip in corpus.clips]
        if any(unseen):
            strangers = answers(scores.strict.of(unseen), temperatures)
            found |= {"unseen": strangers[0], "unseen_windows": strangers[1]}
    if not len(scores.strict.owners):
        notes.append("no speech was heard in any clip, so there are no windows")
        found = {name: answer for name, answer in found.items() if len(answer.targets)}
    if clips.labels != SPEECH:
        notes.append("calm counts as neutral: not every corpus here tells them apart")
    figures = answered_figures(clips, least_confidence(model.selective))
    figures |= group_figures(scores.strict, temperatures, None)
    return Evaluation(found, figures | calibration_figures(scores.strict, scores.after), notes)


def _strangers(tested: CrossValidation, beside: Sequence[ScoredClips]) -> Answers:
    """Answers about strangers' clips and windows, each fold's with the temperature of the others."""
    clips, windows = answers(tested.scored, tested.temperatures(beside), tested.index)
    probabilities = torch.cat([clips.probabilities(), windows.probabilities()])
    return Answers(probabilities.log(), torch.cat([clips.targets, windows.targets]), clips.labels, 1.0)


def _overlap_notes(corpus: Corpus, trained_on: Sequence[str]) -> list[str]:
    seen = [speaker for speaker in corpus.speakers if speaker in trained_on]
    return [f"the model was trained on {', '.join(seen)}: their clips flatter it"] if seen else []


def _with_temperature(card: checkpoint.Card, temperature: Temperature) -> checkpoint.Card:
    doubt = (temperature.distance, temperature.known)
    return msgspec.structs.replace(card, temperatures=list(temperature.knots), doubt=doubt)


def _same(one: checkpoint.Card, other: checkpoint.Card) -> bool:
    """Whether two networks come from the same recipe and data."""
    return (one.config, one.seed, one.data_sha256) == (other.config, other.seed, other.data_sha256)
