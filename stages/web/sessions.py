"""Who is being served: a session for each person (or program) that sends media, known by an unguessable secret.

The stage that takes the media opens a session; the page of that person, which alone was told the secret, finds it,
gets what is addressed to the person, and by leaving says that the person has left.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable

SECRET_BYTES = 24  # 192 bits: not to be guessed, and it is all that a caller needs to end the session
MAX_CLOSED_SESSIONS = 64  # sessions that are over, whose last words their pages may still ask for
MAX_NOTICES = 16  # texts nobody has asked for yet; of more, the newest are kept


class Notices:
    """Texts for one page, or for the next one that opens, until they are read; of too many the newest are kept."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=MAX_NOTICES)
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, *texts: str) -> None:
        self._texts.extend(texts)
        self._news.set()

    def take(self) -> list[str]:
        """All texts, oldest first."""
        texts = list(self._texts)
        self._texts.clear()
        return texts

    async def read(self) -> list[str]:
        """All texts, oldest first; waits until there is one."""
        while not self._texts:
            self._news.clear()
            await self._news.wait()
        return self.take()


class Session:
    """One sender and the pages that belong to it. Made by `Sessions.open`.

    Attributes:
        secret: names the session to its owner, in URLs.
        stream: the name of the stream that its media become.
        left: called when the last of its pages has gone; one may come back, so look at `pages` after a while.
        unread: what the person is to be told and no page has been; the next page gets it.
        closed: nothing more will come of it than the texts that are kept.
        final: the newest text says why it is over.
    """

    def __init__(self, secret: str, stream: str) -> None:
        self.secret = secret
        self.stream = stream
        self.left: list[Callable[[], None]] = []
        self.unread = Notices()
        self.closed = False
        self.final = False
        self._pages: list[Notices] = []

    @property
    def pages(self) -> int:
        """How many connections to its pages are open."""
        return len(self._pages)

    def notify(self, text: str, *, last: bool = False) -> None:
        """Say something to the person, on all their pages. The `last` text says why it is over."""
        self.final = last
        for page in self._pages or [self.unread]:
            page.add(text)

    def open_page(self) -> Notices:
        """A page of this session has connected: what it is to be told."""
        page = Notices()
        page.add(*self.unread.take())
        self._pages.append(page)
        return page

    def close_page(self, page: Notices) -> None:
        """A page of this session has gone. Call it once for each `open_page`."""
        self._pages.remove(page)
        if not self._pages:
            self.unread.add(*page.take())
            for callback in list(self.left):
                callback()


class Sessions:
    """All sessions of one server."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        self._over: dict[str, Session] = {}

    def open(self, stream: str) -> Session:
        """A new session for the media that become `stream`."""
        session = Session(secrets.token_urlsafe(SECRET_BYTES), stream)
        self._open[session.secret] = session
        return session

    def find(self, secret: str) -> Session | None:
        """The session of this secret, one that closed not long ago included."""
        return self._open.get(secret) or self._over.get(secret)

    def close(self, session: Session) -> None:
        """Its media have ended; what its page has not asked for yet is kept for a while."""
        if self._open.pop(session.secret, None) is None:
            return
        session.closed = True
        session.left.clear()  # they hold on to what is over
        self._over[session.secret] = session
        while len(self._over) > MAX_CLOSED_SESSIONS:
            del self._over[next(iter(self._over))]

    @property
    def streams(self) -> list[str]:
        """The streams of the open sessions, oldest first."""
        return [session.stream for session in self._open.values()]
