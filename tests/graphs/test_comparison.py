"""Where two files of results differ first, in words."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from emopipe.graphs.comparison import first_difference
from emopipe.pipeline.errors import EmopipeError


def line(seq: int, **fields: Any) -> bytes:
    face = {"id": 0, "emotion": "happy", "box": [0.1, 0.2]}
    known = {"stream": "clip", "seq": seq, "pts": seq * 40_000_000, "time": seq * 0.04, "faces": [face], "voice": None}
    return msgspec.json.encode(known | fields) + b"\n"


def said(tmp_path: Path, stored: bytes, now: bytes) -> str | None:
    (tmp_path / "stored").write_bytes(stored)
    (tmp_path / "now").write_bytes(now)
    found = first_difference(tmp_path / "stored", tmp_path / "now")
    return None if found is None else str(found)


SAME = line(0) + line(1)


@pytest.mark.parametrize(
    ("stored", "now", "expected"),
    [
        (SAME, SAME, None),
        (b"", b"", None),
        (
            SAME + line(2, faces=[{"id": 0, "emotion": "sad", "box": [0.1, 0.2]}]),
            SAME + line(2),
            'line 3, stream "clip" at 0.080 s: faces[0].emotion: "sad" stored, "happy" now',
        ),
        (
            SAME + line(2, faces=[]),
            SAME + line(2),
            'line 3, stream "clip" at 0.080 s: faces[0]: nothing stored, '
            '{"id":0,"emotion":"happy","box":[0.1,0.2]} now',
        ),
        (
            SAME + line(2, more=1),
            SAME + line(2),
            'line 3, stream "clip" at 0.080 s: more: 1 stored, nothing now',
        ),
        (SAME + line(2), SAME, 'line 3, stream "clip" at 0.080 s: stored, and not there now'),
        (SAME, SAME + line(2), 'line 3, stream "clip" at 0.080 s: not stored, and there now'),
        (SAME + b"{junk\n", SAME + line(2), 'line 3, stream "clip" at 0.080 s: stored as no result, and there now'),
        (SAME + line(2)[:-1], SAME + line(2), 'line 3, stream "clip" at 0.080 s: its spelling'),
    ],
)
def test_the_first_difference_is_named(tmp_path: Path, stored: bytes, now: bytes, expected: str | None) -> None:
    found = said(tmp_path, stored, now)
    assert found == expected if expected is None else found is not None and found.startswith(expected)


def test_streams_that_ran_at_once_may_stand_in_any_order(tmp_path: Path) -> None:
    desk = [line(n, stream="desk") for n in range(3)]
    cam = [line(n, stream="cam") for n in range(3)]
    stored = b"".join([desk[0], cam[0], desk[1], cam[1], desk[2], cam[2]])
    assert said(tmp_path, stored, b"".join([*desk, *cam])) is None
    changed = line(1, stream="cam", voice="sad")
    found = said(tmp_path, stored, b"".join([*desk, cam[0], changed, cam[2]]))
    assert found == 'line 4, stream "cam" at 0.040 s: voice: nothing stored, "sad" now'
    assert said(tmp_path, stored, b"".join([*desk, *cam[:2]])) == (
        'line 6, stream "cam" at 0.080 s: stored, and not there now'
    )
    swapped = said(tmp_path, stored, b"".join([desk[0], desk[2], desk[1], *cam])) or ""
    assert swapped.startswith('line 3, stream "desk" at 0.080 s: seq: 1 stored, 2 now')


def test_any_flipped_bit_is_found(tmp_path: Path) -> None:
    for place in range(len(SAME)):
        for bit in range(8):
            flipped = bytearray(SAME)
            flipped[place] ^= 1 << bit
            assert said(tmp_path, bytes(flipped), SAME)


def test_long_values_are_cut(tmp_path: Path) -> None:
    found = said(tmp_path, line(0, voice="x" * 500), line(0)) or ""
    assert found.endswith("…" + " stored, nothing now")
    assert len(found) < 200


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="cannot be read"):
        first_difference(tmp_path / "gone", tmp_path / "gone too")
