import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.networks import SpeechNetwork
from emopipe.models.speech.temperature import Temperature
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.layouts import parse
from emopipe.training.speech.scoring import ScoredClips, answers, concatenate, group_figures, score_rows
from tests.support.clips import make_clips

SPEC = MfccSpec()
AS_IT_IS = [Temperature([(1.0, 1.0)])]


class Oracle(SpeechNetwork):
    """Knows the class from the second coefficient, which is the clip's number."""

    def __init__(self) -> None:
        super().__init__(120, 1)

    def embed(self, features: Tensor) -> Tensor:
        return features[:, 0, 1:2]

    def classify(self, embedding: Tensor) -> Tensor:
        return 9.0 * torch.nn.functional.one_hot(embedding[:, 0].long() % 8, 8).float()


def make_scored() -> ScoredClips:
    clips = make_clips(16)
    for clip in clips:
        clip.windows = [(100, 150), (100, 200), (100, 260)]
    return score(clips)


def score(clips: list[Clip]) -> ScoredClips:
    return score_rows(Oracle(), [clip.name for clip in clips], [clip.rows(MfccSpec) for clip in clips], SPEC)


def figures(scored: ScoredClips) -> dict[str, float]:
    clips, windows = answers(scored, AS_IT_IS)
    named = {f"windows_{name}": value for name, value in windows.figures().items()} if len(windows.targets) else {}
    return clips.figures() | named | group_figures(scored, AS_IT_IS, None)


def test_whole_clips_and_windows_are_heard_and_scored() -> None:
    scored = make_scored()
    assert scored.clip_logits.shape == (16, 8)
    assert scored.window_logits.shape == (48, 8)
    assert scored.owners.tolist() == [index for index in range(16) for _ in range(3)]
    assert scored.clip_context.seconds == pytest.approx([1.6] * 16)
    found = figures(scored)
    assert (found["n"], found["windows_n"], found["unheard"]) == (16, 48, 0)
    assert found["uar"] == found["windows_accuracy"] == found["uar_male"] == found["uar_normal"] == 1
    assert "uar_female" not in found  # the only actor is a man
    assert found["windows_uar_under_1s"] == found["windows_uar_1_to_2s"] == 1
    assert "windows_uar_over_2s" not in found


def test_windows_are_scored_by_their_length() -> None:
    scored = make_scored()
    logits = scored.window_logits.clone()
    logits[torch.from_numpy(scored.context.seconds < 0.6)] = 0  # says neutral of all of them
    found = figures(dataclasses.replace(scored, window_logits=logits))
    assert found["windows_uar_under_1s"] == pytest.approx(1 / 8)
    assert found["windows_uar_1_to_2s"] == found["uar"] == 1


def test_a_mistake_counts_for_its_clip_its_group_and_not_for_others() -> None:
    scored = make_scored()
    logits = scored.clip_logits.clone()
    logits[0] = logits[1]  # a neutral clip is taken for a calm one
    names = [parse(f"03-01-{n % 8 + 1:02d}-{1 + n % 2:02d}-01-01-{1 + n // 8:02d}.wav") for n in range(16)]
    found = figures(dataclasses.replace(scored, names=names, clip_logits=logits))
    assert found["recall_neutral"] == 0.5
    assert found["uar_male"] == pytest.approx(7 / 8)
    assert found["uar_female"] == 1
    assert found["uar_normal"] < 1
    assert found["uar_strong"] == 1


def test_a_clip_without_windows_is_scored_whole_and_counted_as_unheard() -> None:
    clips = make_clips(8)
    clips[3].windows = [(100, 150)]
    found = figures(score(clips))
    assert (found["n"], found["windows_n"], found["unheard"]) == (8, 1, 7)
    found = figures(score(clips[:2]))
    assert found["unheard"] == 2
    assert "windows_uar" not in found


def test_clips_of_a_corpus_without_calm_are_scored_in_the_shared_labels() -> None:
    clips = make_clips(8)
    for clip in clips:
        clip.windows = [(100, 150)]
    scored = score(clips)
    names = [parse(f"YAF_word_{emotion}.wav") for emotion in ("neutral", "neutral", "happy", "sad", "angry", "fear")]
    names += [parse("YAF_word_disgust.wav"), parse("YAF_word_ps.wav")]
    found = dataclasses.replace(scored, names=names, shared=torch.ones(8, dtype=torch.bool))
    whole, windows = answers(found, AS_IT_IS)
    assert whole.figures()["accuracy"] == windows.figures()["accuracy"] == 1  # the second clip was called calm
    assert whole.labels[0] == "neutral"
    assert "calm" not in whole.labels
    assert whole.probabilities().sum(1) == pytest.approx(np.ones(8))


@pytest.mark.slow("a training")
def test_every_corpus_has_figures_of_its_own() -> None:
    scored = make_scored()
    names = [name if place < 8 else parse(f"f1/neu-f1-b{place - 8}.wav") for place, name in enumerate(scored.names)]
    mixed = dataclasses.replace(scored, names=names, shared=torch.arange(16) >= 8)
    found = group_figures(mixed, AS_IT_IS, None)
    assert (found["n_ravdess"], found["n_emovo"], found["uar_ravdess"]) == (8, 8, 1)
    assert found["uar_emovo"] == 2 / 8  # neutral, and calm, which counts as neutral there


def test_parts_are_chosen_and_joined_with_their_windows() -> None:
    scored = make_scored()
    keep = [number % 2 == 0 for number in range(16)]
    even, odd = scored.of(keep), scored.of([not kept for kept in keep])
    assert even.owners.tolist() == [index for index in range(8) for _ in range(3)]
    assert torch.equal(even.window_targets, scored.window_targets[torch.tensor(keep)[scored.owners]])
    both = concatenate([even, odd])
    assert len(both.names) == 16
    assert torch.equal(both.window_logits.argmax(1), both.window_targets)


def test_each_fold_s_answers_have_its_own_temperature_by_length() -> None:
    scored = make_scored()
    folds = torch.tensor([0, 1] * 8)
    clips, windows = answers(
        scored, [Temperature([(0.5, 1.0), (1.0, 2.0)]), Temperature([(0.5, 4.0), (1.0, 8.0)])], folds
    )
    assert clips.temperature.tolist() == pytest.approx([2.0, 8.0] * 8)
    assert windows.temperature[:6].tolist() == pytest.approx([1.0, 2.0, 2.0, 4.0, 8.0, 8.0])
    assert windows.folds is not None
    assert windows.folds[:6].tolist() == [0, 0, 0, 1, 1, 1]
    assert windows.groups is not None
    assert set(windows.groups.tolist()) == {0}
