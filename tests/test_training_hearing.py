import pytest
import torch
from torch import Tensor, nn

from models.features import MfccSpec
from tests.test_training_crops import make_clips
from training.hearing import Heard, figures, hear, join, mean_and_sd
from training.ravdess import parse_name

SPEC = MfccSpec()


class Oracle(nn.Module):
    """Knows the class from the second coefficient, which is the clip's number."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        return 9.0 * nn.functional.one_hot(features[:, 0, 1].long() % 8, 8).float()


def make_heard() -> Heard:
    clips = make_clips(16)
    for clip in clips:
        clip.windows = [(100, 150), (100, 200), (100, 260)]
    return hear(Oracle(), clips, SPEC)


def test_whole_clips_and_windows_are_heard_and_scored() -> None:
    heard = make_heard()
    assert heard.clip_logits.shape == (16, 8)
    assert heard.window_logits.shape == (48, 8)
    assert heard.owners.tolist() == [index for index in range(16) for _ in range(3)]
    found = figures(heard, 1.0)
    assert (found["n"], found["window_n"], found["unheard"]) == (16, 48, 0)
    assert found["uar"] == found["window_accuracy"] == found["uar_male"] == found["uar_normal"] == 1
    assert "uar_female" not in found  # the only actor is a man
    assert found["window_uar_under_1s"] == found["window_uar_1_to_2s"] == 1
    assert "window_uar_over_2s" not in found


def test_windows_are_scored_by_their_length() -> None:
    heard = make_heard()
    logits = heard.window_logits.clone()
    logits[heard.frames < 60] = 0  # says neutral of all of them
    found = figures(Heard(heard.names, heard.clip_logits, logits, heard.owners, heard.frames), 1.0)
    assert found["window_uar_under_1s"] == pytest.approx(1 / 8)
    assert found["window_uar_1_to_2s"] == found["uar"] == 1


def test_a_mistake_counts_for_its_clip_its_group_and_not_for_others() -> None:
    heard = make_heard()
    logits = heard.clip_logits.clone()
    logits[0] = logits[1]  # a neutral clip is taken for a calm one
    names = [parse_name(f"03-01-{n % 8 + 1:02d}-{1 + n % 2:02d}-01-01-{1 + n // 8:02d}") for n in range(16)]
    found = figures(Heard(names, logits, heard.window_logits, heard.owners, heard.frames), 1.0)
    assert found["recall_neutral"] == 0.5
    assert found["uar_male"] == pytest.approx(7 / 8)
    assert found["uar_female"] == 1
    assert found["uar_normal"] < 1
    assert found["uar_strong"] == 1


def test_a_clip_without_windows_is_scored_whole_and_counted_as_unheard() -> None:
    clips = make_clips(8)
    clips[3].windows = [(100, 150)]
    found = figures(hear(Oracle(), clips, SPEC), 1.0)
    assert (found["n"], found["window_n"], found["unheard"]) == (8, 1, 7)
    found = figures(hear(Oracle(), clips[:2], SPEC), 1.0)
    assert found["unheard"] == 2
    assert "window_uar" not in found


def test_parts_are_chosen_and_joined_with_their_windows() -> None:
    heard = make_heard()
    keep = [number % 2 == 0 for number in range(16)]
    even, odd = heard.of(keep), heard.of([not kept for kept in keep])
    assert even.owners.tolist() == [index for index in range(8) for _ in range(3)]
    assert torch.equal(even.window_targets, heard.window_targets[torch.tensor(keep)[heard.owners]])
    both = join([even, odd])
    assert len(both.names) == 16
    assert torch.equal(both.window_logits.argmax(1), both.window_targets)


def test_mean_and_deviation_over_folds_and_sums_of_counts() -> None:
    folds = [{"n": 10.0, "uar": 0.4, "recall_calm": 0.1}, {"n": 30.0, "uar": 0.6}]
    assert mean_and_sd(folds) == {"n": 40.0, "uar": 0.5, "uar_sd": pytest.approx(0.1 * 2**0.5)}
