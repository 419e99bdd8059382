"""memory.pool: slots never overlap while somebody holds them, and where the system gives no memory that is said."""

import os
import resource
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.pipeline.memory.arrays import empty, use_pool
from emopipe.pipeline.memory.pool import LARGE_ARRAY_BYTES, PAGE_BYTES, SlotPool

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


def test_an_array_that_was_made_in_a_slot_is_placed_without_a_copy(pool: Told) -> None:
    array = pool.empty((2, PAGE_BYTES), np.uint8)
    assert array is not None
    array[:] = 7
    whole = pool.place(array)
    assert whole is not None
    array[0] = 8  # seen at once: it is the same memory
    assert (content(pool, whole, array) == array).all()
    for part in (array[1:], array[:, ::-1], array[:, :9]):
        offset = pool.place(part)  # which does not begin there, or has gaps: that is copied
        assert offset not in (None, whole)
        assert (content(pool, offset or 0, part) == part).all()
        pool.release(offset or 0)
    assert pool.place(array.reshape(-1)) == whole
    pool.release(whole)
    del array, part
    assert pool.used == 1  # a receiver has it still
    pool.release(whole)
    assert pool.used == 0


def test_an_array_that_was_made_in_a_slot_and_not_sent_gives_it_back(pool: Told) -> None:
    arrays = [pool.empty((8 * PAGE_BYTES,), np.uint8) for _ in range(5)]
    assert [array is None for array in arrays] == [False] * 4 + [True]
    part = arrays[0][:3] if arrays[0] is not None else None
    arrays.clear()
    assert pool.used == 1
    del part
    assert pool.used == 0


def test_what_is_made_goes_to_the_pool_once_it_is_large_and_somebody_has_mapped_that(pool: Told) -> None:
    use_pool(pool)
    few, many = LARGE_ARRAY_BYTES // 2 - 1, LARGE_ARRAY_BYTES // 2
    for mapped, size, used in [(False, many, 0), (True, few, 0), (True, many, 1)]:
        pool.mapped = mapped
        array = empty((size,), np.int16)
        assert (array.shape, array.dtype, array.flags.writeable) == ((size,), np.int16, True)
        assert pool.used == used
    del array
    pool.close()
    assert empty((many,), np.int16).base is None


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
    assert pool.empty((2 * PAGE_BYTES,), np.uint8) is None
    assert pool.told == []  # it may be in a thread, where nothing can be said
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
