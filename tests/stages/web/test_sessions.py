"""Sessions: found by their secret alone, with words for their person."""

import asyncio

from emopipe.stages.web.server import Session, Sessions
from emopipe.stages.web.sessions import MAX_CLOSED_SESSIONS, MAX_NOTICES


def test_a_session_is_found_by_its_secret_alone() -> None:
    sessions = Sessions()
    one, other = sessions.open("peer-1"), sessions.open("peer-2")
    assert len(one.secret) >= 32
    assert one.secret != other.secret
    assert sessions.find(one.secret) is one
    assert sessions.find("peer-1") is None
    assert sessions.streams == ["peer-1", "peer-2"]


def test_what_a_person_is_told_is_kept_until_the_page_asks() -> None:
    async def drive(session: Session) -> list[list[str]]:
        session.notify("one")
        session.notify("two")
        first = await session.unread.read()
        waiting = asyncio.create_task(session.unread.read())
        await asyncio.sleep(0)
        assert not waiting.done()
        session.notify("three")
        return [first, await waiting]

    assert asyncio.run(drive(Sessions().open("peer-1"))) == [["one", "two"], ["three"]]


def test_texts_nobody_asks_for_do_not_pile_up() -> None:
    session = Sessions().open("peer-1")
    for number in range(1000):
        session.notify(str(number))
    assert asyncio.run(session.unread.read()) == [str(number) for number in range(1000 - MAX_NOTICES, 1000)]


def test_a_session_that_is_over_keeps_its_last_words_and_is_forgotten_later() -> None:
    sessions = Sessions()
    session = sessions.open("peer-1")
    session.notify("too large")
    sessions.close(session)
    assert session.closed
    assert sessions.streams == []
    assert sessions.find(session.secret) is session
    assert asyncio.run(session.unread.read()) == ["too large"]
    for number in range(MAX_CLOSED_SESSIONS):
        sessions.close(sessions.open(f"peer-{number}"))
    assert sessions.find(session.secret) is None


def test_the_last_page_that_goes_is_noticed() -> None:
    session = Sessions().open("peer-1")
    gone: list[str] = []
    session.left.append(lambda: gone.append("left"))
    one, other = session.open_page(), session.open_page()
    session.close_page(one)
    assert gone == []
    session.close_page(other)
    assert gone == ["left"]


def test_every_page_is_told_and_none_twice() -> None:
    session = Sessions().open("peer-1")
    session.notify("before")
    one, other = session.open_page(), session.open_page()
    assert (one.take(), other.take()) == (["before"], [])
    session.notify("now")
    late = session.open_page()
    assert (one.take(), other.take(), late.take()) == (["now"], ["now"], [])
    session.notify("again")
    session.close_page(one)
    session.close_page(other)
    session.close_page(late)
    assert session.open_page().take() == ["again"]  # of the last page, which had not sent it
