"""What is said of a process that does not answer: where it is."""

from emopipe.pipeline.runtime.processes.process import _innermost

WAITING = [
    'Thread 0x03 (most recent call first):\n  File "/lib/emopipe/pipeline/resources.py", line 69 in _work\n'
    '  File "/lib/python3.11/threading.py", line 982 in run',
    'Thread 0x04 (most recent call first):\n  File "/lib/emopipe/pipeline/runtime/worker.py", line 355 in '
    "_exit_with_parent",
    'Current thread 0x01 (most recent call first):\n  File "/lib/python3.11/selectors.py", line 468 in select',
]
BUSY = (
    'Thread 0x02 (most recent call first):\n  File "/home/anna/stage.py", line 12 in work\n'
    '  File "/lib/emopipe/pipeline/resources.py", line 78 in _answer'
)
COMPUTES = BUSY.replace('  File "/home/anna/stage.py", line 12 in work\n', "", 1)


def test_the_place_is_that_of_the_thread_that_works_not_of_one_that_waits() -> None:
    assert _innermost("\n\n".join([BUSY, *WAITING])) == "work (stage.py:12)"
    assert _innermost("\n\n".join([WAITING[0], BUSY, *WAITING[1:]])) == "work (stage.py:12)"


def test_a_library_without_frames_of_its_own_is_placed_at_its_call() -> None:
    assert _innermost("\n\n".join([COMPUTES, *WAITING])) == "_answer (resources.py:78)"


def test_a_process_whose_threads_all_wait_is_nowhere() -> None:
    assert _innermost("\n\n".join(WAITING)) == ""
