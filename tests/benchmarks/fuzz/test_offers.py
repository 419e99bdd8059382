"""The offers' fuzzer: a short form of it, and that it can fail."""

import asyncio
import os
import subprocess
import sys

import pytest

from benchmarks.fuzz.offers import mutations, originals
from emopipe.stages.webrtc.offer import OfferError, parse_offer
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow("sends offers to a running server")


def test_the_same_seed_gives_the_same_offers() -> None:
    offers = ["v=0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"]
    assert list(mutations(offers, 50, 3)) == list(mutations(offers, 50, 3)) != list(mutations(offers, 50, 4))


def test_two_thousand_malformed_offers_are_read_or_refused_in_words() -> None:
    refusals = []
    for body in mutations(asyncio.run(originals()), 2000, 1):
        try:
            parse_offer(body, None)
        except OfferError as error:
            refusals.append((error.status, str(error)[-1]))
    assert set(refusals) == {(400, "."), (422, ".")}
    assert 200 < len(refusals) < 2000


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace of one's own needs root")
def test_a_running_stage_answers_them_on_purpose() -> None:
    command = [sys.executable, "-m", "benchmarks.fuzz.offers", "--count", "60", "--seed", "11"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sum(int(part.split(": ")[1]) for part in done.stdout.split(", ")) == 60
