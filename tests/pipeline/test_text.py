"""Names from outside on a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.text import printable

names = st.text(st.characters(), max_size=20)


def test_what_moves_a_cursor_or_turns_the_text_is_written_out() -> None:
    assert printable("a\x1b[2Jb\r\n\x9b\u202e\udcff") == r"a\x1b[2Jb\r\n\x9b\u202e\udcff"
    assert printable("Zoë 李 [anna] 🙂") == "Zoë 李 [anna] 🙂"


@given(names, names)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)
    assert printable(one).isprintable()
