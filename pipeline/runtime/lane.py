"""Messages that wait on a link, in order. Data and gaps may be dropped; watermarks and EOS never are."""

from collections import deque

from emopipe.pipeline.message import Message


class Lane:
    """A queue of messages of one stream or of several.

    A dropped message leaves its watermark behind, so time never stands still for the receiver; of watermarks of one
    stream that wait with nothing of the stream between them the newest remains, so that what waits is bounded.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Message]] = deque()  # (offered at, message)
        self.items = 0  # data and gaps that wait

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def messages(self) -> list[Message]:
        return [message for _, message in self._waiting]

    def append(self, now: int, message: Message) -> None:
        """Put data, a gap or EOS at the end."""
        self.items += is_item(message)
        self._waiting.append((now, message))

    def mark(self, now: int, watermark: Message) -> None:
        """Put a watermark in the place of the one that waits last of its stream, else at the end."""
        for at in range(len(self._waiting) - 1, -1, -1):
            if self._waiting[at][1].stream == watermark.stream:
                if self._waiting[at][1].kind == "watermark":
                    self._waiting[at] = (now, watermark)
                    return
                break
        self._waiting.append((now, watermark))

    def pop(self) -> Message:
        """The message that has waited longest."""
        _, message = self._waiting.popleft()
        self.items -= is_item(message)
        return message

    def oldest(self) -> int | None:
        """When the oldest data or gap was offered, if there is any."""
        return next((offered for offered, message in self._waiting if is_item(message)), None)

    def drop(self) -> Message:
        """Take out the oldest data or gap, of which there must be one, and leave its watermark."""
        at = next(index for index, (_, message) in enumerate(self._waiting) if is_item(message))
        offered, message = self._waiting[at]
        del self._waiting[at]
        same = [index for index, (_, other) in enumerate(self._waiting) if other.stream == message.stream]
        ahead = next((index for index in reversed(same) if index < at), None)
        behind = next((index for index in same if index >= at), None)
        if behind is None:
            self._waiting.insert(behind := at, (offered, watermark_of(message)))
        if ahead is not None and self._waiting[ahead][1].kind == self._waiting[behind][1].kind == "watermark":
            self._waiting[ahead] = self._waiting[behind]
            del self._waiting[behind]
        self.items -= 1
        return message


def is_item(message: Message) -> bool:
    """Whether a message counts and may be dropped."""
    return message.kind in ("data", "gap")


def watermark_of(message: Message) -> Message:
    """What remains of a message that is dropped."""
    return Message(kind="watermark", stream=message.stream, watermark=message.watermark, epoch=message.epoch)
