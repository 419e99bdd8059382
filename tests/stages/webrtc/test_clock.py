"""A peer's clocks, by simulation: senders whose clocks start anywhere, drift and slip, over a network with jitter."""

import random
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.webrtc.clock import FASTEST_WINDOW_NS, LagDetector, PeerClock, RtpTime, WindowedMinimum, ntp

START = 1_000_000 * SECOND  # ns of the sender's own clock at our time 0


class Sender(NamedTuple):
    """One track: a packet every `every`, from `begins` on, sent `encoding` after it was captured."""

    rate: int
    every: int
    begins: int = 0
    encoding: int = 0
    first: int = 12345
    reports: tuple[int, ...] = tuple(range(SECOND, 60 * SECOND, SECOND))
    slips: tuple[tuple[int, int], ...] = ()  # from this true time on the RTP clock is off by so much


VIDEO = Sender(90_000, 33_366_700, encoding=25 * MS)
AUDIO = Sender(48_000, 20 * MS, encoding=2 * MS)


def simulate(
    senders: dict[str, Sender], length: int, *, delay: int = 30 * MS, jitter: int = 20 * MS, set_at: int | None = None
) -> dict[str, list[tuple[int, int]]]:
    """By track, of each packet when it was captured and what the clock says of it (ns)."""
    clock, rng = PeerClock(), random.Random(1)
    events: list[tuple[int, int, str, int]] = []
    for name, sender in senders.items():
        for captured in range(sender.begins, length, sender.every):
            travel = delay + round(abs(rng.gauss(0, jitter)) if jitter else 0)
            events.append((captured + sender.encoding + travel, 0, name, captured))
        events += [(when + delay, 1, name, when) for when in sender.reports if sender.begins < when < length]
    lines = {name: RtpTime(sender.rate) for name, sender in senders.items()}
    told: dict[str, list[tuple[int, int]]] = {name: [] for name in senders}
    newest = dict.fromkeys(senders, -1)

    def timestamp(sender: Sender, captured: int) -> int:
        slip = sum(by for since, by in sender.slips if captured >= since)
        return (sender.first + (captured + slip) * sender.rate // SECOND) % 2**32

    for now, kind, name, captured in sorted(events):
        sender, line = senders[name], lines[name]
        stamp = timestamp(sender, captured)
        if kind:
            own = START + captured + (3600 * SECOND if set_at is not None and captured >= set_at else 0)
            if line.begun:
                clock.reported(name, line.ns(stamp), own, now)
            continue
        media = line.to_ns(line.unwrap(stamp))
        clock.arrived(name, media, now)
        if captured > newest[name]:  # the jitter buffer gives them in order
            newest[name] = captured
            told[name].append((captured, clock.at(name, media)))
    return told


def error(told: list[tuple[int, int]], since: int, until: int = 10**15) -> tuple[float, float]:
    """The smallest and the largest difference from the truth, in ms."""
    differences = [(said - captured) / MS for captured, said in told if since <= captured < until]
    return min(differences), max(differences)


# -- tracks that belong together -----------------------------------------------------------------------------


@pytest.mark.parametrize("jitter", [0, 5 * MS, 20 * MS, 60 * MS])
def test_sound_and_pictures_agree_once_there_are_reports(jitter: int) -> None:
    told = simulate({"video": VIDEO, "audio": AUDIO}, 20 * SECOND, jitter=jitter)
    video, audio = error(told["video"], 5 * SECOND), error(told["audio"], 5 * SECOND)
    assert max(video[1], audio[1]) - min(video[0], audio[0]) < 3  # both within so much of each other
    assert 25 < min(video[0], audio[0]) < 40  # and behind the truth by what the fastest packet took


def test_without_reports_each_track_goes_by_its_fastest_packet() -> None:
    told = simulate({"video": VIDEO._replace(reports=()), "audio": AUDIO._replace(reports=())}, 10 * SECOND)
    assert 50 < error(told["video"], 3 * SECOND)[0] < 60  # 30 on the way, 25 in the encoder
    assert 30 < error(told["audio"], 3 * SECOND)[0] < 36


def test_a_track_that_starts_half_a_second_later_is_not_moved_to_the_other_s_start() -> None:
    told = simulate({"video": VIDEO._replace(begins=500 * MS), "audio": AUDIO}, 20 * SECOND)
    assert abs(error(told["video"], 0)[0] - error(told["audio"], 0)[0]) < 60  # by arrival
    video, audio = error(told["video"], 5 * SECOND), error(told["audio"], 5 * SECOND)
    assert max(video[1], audio[1]) - min(video[0], audio[0]) < 3


def test_the_newest_report_counts_when_the_sender_s_clock_slips() -> None:
    slipping = AUDIO._replace(slips=((8 * SECOND, -40 * MS), (12 * SECOND, -40 * MS)))
    told = simulate({"video": VIDEO, "audio": slipping}, 24 * SECOND)
    video, audio = error(told["video"], 16 * SECOND), error(told["audio"], 16 * SECOND)
    assert max(video[1], audio[1]) - min(video[0], audio[0]) < 3


def test_reports_of_one_track_only_leave_the_other_on_its_arrival() -> None:
    told = simulate({"video": VIDEO, "audio": AUDIO._replace(reports=())}, 10 * SECOND, jitter=2 * MS)
    video, audio = error(told["video"], 3 * SECOND), error(told["audio"], 3 * SECOND)
    assert abs(video[0] - audio[0]) < 30


def test_a_sender_whose_clock_is_set_keeps_its_tracks_together() -> None:
    told = simulate({"video": VIDEO, "audio": AUDIO}, 30 * SECOND, set_at=10_500 * MS)
    video, audio = error(told["video"], 16 * SECOND), error(told["audio"], 16 * SECOND)
    assert max(video[1], audio[1]) - min(video[0], audio[0]) < 3
    for track in told.values():
        low, high = error(track, 5 * SECOND)
        assert low > 20  # never thrown off, in between either
        assert high < 80


def test_corrections_are_gradual_so_that_pictures_keep_their_order() -> None:
    told = simulate({"video": VIDEO, "audio": AUDIO}, 20 * SECOND, jitter=40 * MS)
    for track in told.values():
        for (captured, said), (captured_next, said_next) in pairwise(track):
            assert 0.94 < (said_next - said) / (captured_next - captured) < 1.06


def test_a_time_line_that_breaks_off_begins_anew() -> None:
    clock = PeerClock()
    said = []
    for captured in range(0, 20 * SECOND, 40 * MS):
        media = captured + (0 if captured < 10 * SECOND else 3600 * SECOND)
        clock.arrived("video", media, captured + 30 * MS)
        said.append(clock.at("video", media) - captured)
    assert set(said) == {30 * MS}


def test_a_clock_that_drifts_is_followed() -> None:
    drifting = Sender(90_009, 33_366_700, encoding=25 * MS)  # 100 ppm
    clock, line = PeerClock(), RtpTime(90_000)
    off = []
    for captured in range(0, 120 * SECOND, drifting.every):
        media = line.to_ns(line.unwrap(captured * drifting.rate // SECOND % 2**32))
        clock.arrived("video", media, captured + 30 * MS)
        off.append((clock.at("video", media) - captured) / MS)
    assert max(off) - min(off) < 2


# -- timestamps ----------------------------------------------------------------------------------------------


def test_times_go_on_where_timestamps_wrap() -> None:
    told = simulate({"video": VIDEO._replace(first=2**32 - 90_000 * 7)}, 20 * SECOND, jitter=0)
    low, high = error(told["video"], 0)
    assert high - low < 30


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-90_000, 900_000), max_size=50))
def test_unwrapping_keeps_every_step(first: int, steps: list[int]) -> None:
    line, ticks = RtpTime(90_000), 0
    assert line.unwrap(first) == 0
    highest = 0
    for step in steps:
        ticks = max(highest + step, highest - 2**30)
        assert line.unwrap((first + ticks) % 2**32) == ticks
        highest = max(highest, ticks)


def test_a_report_may_be_older_or_newer_than_the_last_packet() -> None:
    line = RtpTime(90_000)
    line.unwrap(2**32 - 1)
    assert line.ns(89_999) == SECOND
    assert line.ns(2**32 - 1 - 90_000) == -SECOND


def test_an_ntp_timestamp_is_seconds_and_a_fraction_of_32_bits_each() -> None:
    assert ntp(0) == 0
    assert ntp((3 << 32) + (1 << 31)) == 3 * SECOND + 500 * MS


def test_the_fastest_packet_counts_for_a_while() -> None:
    fastest = WindowedMinimum()
    assert fastest.value is None
    fastest.add(5, 0)
    fastest.add(9, SECOND // 2)
    assert fastest.value == 5
    fastest.add(8, FASTEST_WINDOW_NS - 1)
    assert fastest.value == 5
    fastest.add(8, FASTEST_WINDOW_NS + SECOND)
    assert fastest.value == 8


def test_a_report_before_any_packet_says_nothing() -> None:
    clock = PeerClock()
    clock.reported("video", 0, START, 0)
    assert not clock.synchronised("video")
    clock.arrived("video", 0, 30 * MS)
    assert clock.at("video", 0) == 30 * MS
    clock.reported("video", 0, START, 30 * MS)
    assert clock.synchronised("video")


def test_sound_is_left_behind_by_a_correction_and_not_by_drift() -> None:
    lag = LagDetector(0.005, 30 * MS)
    drift = [lag.left_behind(media, media + media // 2_000) for media in range(0, 600 * SECOND, 20 * MS)]
    assert not any(drift)  # 500 ppm, ten minutes
    start = 600 * SECOND
    off = start // 2_000
    small = [lag.left_behind(start + n * 20 * MS, start + n * 20 * MS + off + 25 * MS) for n in range(500)]
    assert not any(small)
    start += 500 * 20 * MS
    large = [lag.left_behind(start + n * 20 * MS, start + n * 20 * MS + off - 15 * MS) for n in range(500)]
    assert large == [True] + [False] * 499


def test_a_correction_is_under_way_until_it_is_made() -> None:
    clock = PeerClock()
    clock.arrived("audio", 0, 100 * MS)
    assert clock.at("audio", 0) == 100 * MS
    assert clock.settled("audio")
    clock.arrived("audio", 20 * MS, 20 * MS)  # the first packet had been slow
    assert clock.at("audio", 20 * MS) > 20 * MS
    assert not clock.settled("audio")
    for media in range(40 * MS, 3 * SECOND, 20 * MS):
        clock.arrived("audio", media, media)
        last = clock.at("audio", media) - media
    assert clock.settled("audio")
    assert last == 0
