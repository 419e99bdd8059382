from pathlib import Path

import numpy as np
import pytest
import torch

from emopipe.pipeline.errors import DataError
from emopipe.training.facial.batches import FaceBatches, Source, load
from emopipe.training.facial.settings import Settings
from tests.support.fer2013 import write_folder
from tests.support.rafdb import write_rafdb


def source(count: int, first: int = 0, draws: torch.Tensor | None = None) -> Source:
    """Images whose pixels tell their number."""
    images = torch.arange(first, first + count, dtype=torch.uint8).view(-1, 1, 1).expand(count, 48, 48).contiguous()
    shares, ones = torch.full((count, 7), 1 / 7), torch.ones(count)
    return Source(images, shares, ones, shares, ones, draws)


def numbers(batches: FaceBatches) -> list[list[int]]:
    return [[int(n) for part in batch for n in part.images[:, 0, 0]] for batch in batches]


def test_every_image_of_the_first_source_comes_at_most_once_an_epoch() -> None:
    batches = FaceBatches([source(10)], 4, seed=1)
    seen = [number for batch in numbers(batches) for number in batch]
    assert len(batches) == 2, "the rest is left out"
    assert len(set(seen)) == len(seen) == 8


def test_the_other_sources_have_their_share_of_every_batch() -> None:
    batches = FaceBatches([source(30), source(10, 100)], 8, seed=1)
    assert [[len(part) for part in batch] for batch in batches] == [[6, 2]] * 5
    rare = FaceBatches([source(30), source(10, 100, torch.eye(10)[3])], 8, seed=1)
    assert {number for batch in numbers(rare) for number in batch if number >= 100} == {103}


def test_the_order_is_the_epochs_own() -> None:
    sources = [source(10), source(10, 100)]
    batches = FaceBatches(sources, 4, seed=1)
    first = numbers(batches)
    batches.epoch = 1
    second = numbers(batches)
    batches.epoch = 0
    torch.manual_seed(99)
    assert numbers(batches) == first != second
    assert numbers(FaceBatches(sources, 4, seed=2)) != first


@pytest.mark.parametrize("world", [2, 3, 4])
def test_ranks_share_each_batch(world: int) -> None:
    alone = numbers(FaceBatches([source(10)], 4, seed=1))
    shares = [numbers(FaceBatches([source(10)], 4, 1, rank, world)) for rank in range(world)]
    for step, whole in enumerate(alone):
        parts = [share[step] for share in shares]
        assert len({len(part) for part in parts}) == 1, "every rank takes as many, or their steps would not match"
        assert sorted(number for part in parts for number in part) == sorted(whole[: 4 - 4 % world])


def test_teachers_stand_beside_labels_and_alone_without_any() -> None:
    answers = torch.stack([torch.eye(7)[:2], torch.eye(7)[2:4]], dim=1)  # of people, of FER2013
    unseen = source(2).subset(torch.arange(2))
    labelled = Source(
        unseen.images, torch.eye(7)[4:6], torch.ones(2), torch.eye(7)[5:7], torch.tensor([1.0, 0.0])
    ).taught(answers, label_share=0.4, vote_share=0.5, has_labels=True)
    torch.testing.assert_close(labelled.own, 0.4 * torch.eye(7)[4:6] + 0.6 * torch.eye(7)[2:4])
    torch.testing.assert_close(labelled.people[0], 0.5 * torch.eye(7)[5] + 0.5 * torch.eye(7)[0])
    torch.testing.assert_close(labelled.people[1], torch.eye(7)[1], msg="nobody voted on it")
    guessed = unseen.taught(answers, 0.4, 0.5, has_labels=False)
    torch.testing.assert_close(guessed.own, torch.eye(7)[2:4])
    assert guessed.own_weights.tolist() == [0.5, 0.5]


def test_loads_all_that_the_settings_name(tmp_path: Path) -> None:
    fer2013, rafdb = write_folder(tmp_path / "fer", 3, 2), write_rafdb(tmp_path / "raf", train=20)
    votes = tmp_path / "votes.csv"
    columns = "name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    names = [path.name for path in sorted(fer2013.rglob("*.jpg"))]
    rows = [f"{name},8,0,0,2,0,0,0,0,0,0" for name in names[:-1]] + [f"{names[-1]},0,0,0,0,0,0,0,0,0,10"]
    votes.write_text("\n".join([columns, *rows]))
    corpus = load(fer2013, Settings(votes=str(votes), rafdb=str(rafdb)))
    first, second = corpus.sources
    assert (len(first), first.images.shape[1:]) == (21, (48, 48))
    torch.testing.assert_close(first.people[0], torch.tensor([0, 0, 0, 0, 0.2, 0, 0.8]))
    assert corpus.left_out["no face, or hardly a vote"] == 1
    assert set(corpus.seen.tolist()) == {6}, "what most saw, not FER2013's label"
    assert second.images.shape[1:] == (64, 64)
    assert second.own_weights.sum() == 0
    assert corpus.rafdb is not None
    assert all(int(name.split("_")[1]) % 10 == 0 for name in corpus.rafdb.names)
    alone = load(fer2013, Settings())
    assert np.array_equal(alone.seen, alone.watched.targets)
    assert torch.equal(alone.sources[0].people, alone.sources[0].own)
    with pytest.raises(DataError, match="fer: not RAF-DB; expected train/<class>/train_NNNNN_aligned"):
        load(fer2013, Settings(rafdb=str(fer2013)))
