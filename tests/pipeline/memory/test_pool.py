"""memory.pool: slots never overlap while somebody holds them, and where the system gives no memory that is said."""

import os
import resource
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.pipeline.memory.pool import PAGE_BYTES, SlotPool

POOL_BYTES = 32 * PAGE_BYTES


class Told(SlotPool):
    """A pool that keeps what it warns of."""

    def __init__(self, size: int = POOL_BYTES) -> None:
        self.told: list[str] = []
        super().__init__(self.told.append, size)


@pytest.fixture
def pool() -> Iterator[Told]:
    pool = Told()
    assert pool.file() is not None
    yield pool
    pool.close()


def content(pool: SlotPool, offset: int, like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a receiver would see."""
    file = pool.file()
    assert file is not None
    return np.frombuffer(os.pread(file, like.nbytes, offset), np.uint8).reshape(like.shape)


def pages(number: int, value: int = 0) -> NDArray[np.uint8]:
    return np.full(number * PAGE_BYTES, value, np.uint8)


@given(st.lists(st.tuples(st.integers(1, 5 * PAGE_BYTES), st.integers(0, 7))))
def test_whatever_is_held_stays_as_it_was(steps: list[tuple[int, int]]) -> None:
    pool = Told()
    pool.file()
    held: list[tuple[int, NDArray[np.uint8]]] = []
    for number, (size, release) in enumerate(steps):
        array = np.full(size, number % 251, np.uint8)
        if (offset := pool.place(array)) is not None:
            held.append((offset, array))
        for each, kept in held:
            assert (content(pool, each, kept) == kept).all()
        if release < len(held):
            pool.release(held.pop(release)[0])
    assert pool.used == len(held)
    assert pool.told == []
    pool.close()


def test_an_array_of_several_receivers_has_one_slot_until_the_last_has_let_go(pool: Told) -> None:
    array = pages(2, 7)
    offset = pool.place(array)
    assert offset is not None
    assert pool.place(array) == offset
    pool.release(offset)
    assert pool.place(pages(1)) != offset
    assert (content(pool, offset, array) == 7).all()
    pool.release(offset)
    assert pool.place(pages(2)) == offset


def test_another_array_at_the_address_of_one_that_is_gone_has_a_slot_of_its_own(pool: Told) -> None:
    offsets = []
    for value in range(8):  # each takes the place of the one before
        array = pages(1, value)
        offsets.append(pool.place(array))
        del array
    assert len(set(offsets)) == 8
    for value, offset in enumerate(offsets):
        assert offset is not None
        assert (content(pool, offset, pages(1)) == value).all()
        pool.release(offset)
    assert pool.used == 0


def test_an_array_is_stored_in_c_order_whatever_its_own(pool: Told) -> None:
    picture = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)
    for view in (picture.transpose(2, 1, 0), picture[::-1, :, 1:], picture[:, :0]):
        offset = pool.place(view)
        assert offset is not None
        assert (content(pool, offset, view) == view).all()


def test_where_all_slots_are_held_there_is_none_until_one_is_free(pool: Told) -> None:
    offsets = [pool.place(pages(8)) for _ in range(4)]
    assert None not in offsets
    assert pool.place(pages(1)) is None
    assert offsets[2] is not None
    pool.release(offsets[2])
    assert pool.place(pages(9)) is None
    assert pool.place(pages(8)) == offsets[2]
    assert pool.told == []  # that is no fault: it is copied


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may have more than a page: what a system says that has no room for shared memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WARNING = "pictures are copied from process to process, since no memory can be shared: "


@pytest.mark.usefixtures("small_files")
def test_a_system_without_room_is_said_once_and_nothing_is_placed() -> None:
    pool = Told()
    assert [pool.file() for _ in range(3)] == [None] * 3
    assert pool.place(pages(1)) is None
    assert pool.told == [WARNING + "File too large"]


def test_memory_that_is_refused_later_is_said_before_anybody_touches_it(
    pool: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pool.place(pages(2, 3))
    assert first is not None

    def full(file: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert [pool.place(pages(2)) for _ in range(3)] == [None] * 3
    assert pool.told == [WARNING + "No space left on device"]
    pool.release(first)
    assert pool.used == 0


def test_a_system_without_such_memory_copies_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    pool = Told()
    assert pool.file() is None
    assert pool.place(pages(1)) is None
    assert pool.told == []
