"""Names from outside on a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.text import printable, readable

names = st.text(st.characters(), max_size=20)


def test_what_moves_a_cursor_or_turns_the_text_is_written_out() -> None:
    assert printable("a\x1b[2Jb\r\n\x9b\u202e\udcff") == r"a\x1b[2Jb\r\n\x9b\u202e\udcff"
    assert printable("Zoë 李 [anna] 🙂") == "Zoë 李 [anna] 🙂"


@given(names, names)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)
    assert printable(one).isprintable()


def test_a_message_keeps_its_lines_and_backslashes_and_shows_what_would_steer_the_terminal() -> None:
    assert readable("a\\b: \x1b[2J\nsecond\tline \u202e") == "a\\b: \\x1b[2J\nsecond\\tline \\u202e"
