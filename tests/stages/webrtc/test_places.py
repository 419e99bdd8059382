"""Places of senders: by number and by address, and who goes where too many wait."""

from emopipe.stages.webrtc.places import MAX_CONNECTING, Places


class Sender:
    def __init__(self, network: str | None, *, connected: bool = False) -> None:
        self.network = network
        self.connected = connected
        self.reasons: list[str] = []

    def finish(self, reason: str = "") -> None:
        self.reasons.append(reason)


def places(*senders: Sender | None, most: int = 8) -> Places:
    return Places(most, 2, {str(number): sender for number, sender in enumerate(senders)})


def gone(senders: list[Sender]) -> list[int]:
    return [number for number, sender in enumerate(senders) if sender.reasons]


def test_places_are_those_of_who_has_connected() -> None:
    one, other, offered = Sender("a", connected=True), Sender(None, connected=True), Sender("b")
    assert places(one, offered, None, most=2).refusal("c") == ""  # None: an offer that is being answered
    made = places(one, other, offered, None, most=2)
    assert made.refusal("c") == made.refusal(None) == "All 2 places are taken; try again later."


def test_places_are_counted_by_address_too() -> None:
    made = places(*(Sender(network, connected=True) for network in ("a", "a", None, None, None)))
    assert made.refusal("a") == "From one address 2 may send at a time; try again later."
    assert made.refusal("b") == made.refusal(None) == ""


def test_the_oldest_offer_of_an_address_goes_for_its_newest() -> None:
    senders = [Sender("b", connected=True), Sender("b"), Sender("c"), Sender("b")]
    places(*senders).make_room("c")
    assert gone(senders) == []
    places(*senders).make_room("b")
    assert gone(senders) == [1]


def test_where_too_many_wait_the_address_with_most_of_them_loses_its_oldest() -> None:
    senders = [Sender(f"{number}") for number in range(MAX_CONNECTING - 3)] + [Sender("x") for _ in range(3)]
    places(*senders).make_room("y")
    assert gone(senders) == [MAX_CONNECTING - 3]
