"""How often, and after which wait, a process is started again."""

from emopipe.pipeline.supervision.restarts import Failure, RestartPolicy
from emopipe.pipeline.supervision.settings import Restart, Supervision, strictest


def killed() -> Failure:
    return Failure("p", "stage a", "killed")


def policy(restart: Restart = "on-failure") -> RestartPolicy:
    return RestartPolicy(Supervision(restart=restart, max_restarts=3, restart_window=10, backoff=0.5))


def test_waits_double_and_end_with_the_last_restart() -> None:
    restarts = policy()
    assert [restarts.wait(killed(), at, playing=True) for at in (0, 1, 2, 3)] == [0.5, 1.0, 2.0, None]
    assert restarts.refusal == "it has been restarted 3 times in 10 s"


def test_restarts_are_counted_within_the_window() -> None:
    restarts = policy()
    assert all(restarts.wait(killed(), at, playing=True) == 0.5 for at in range(0, 100, 10))


def test_never() -> None:
    restarts = policy("never")
    assert restarts.wait(killed(), 0, playing=True) is None
    assert restarts.refusal == ""


def test_what_was_explained_is_tried_again_only_where_always_is_asked_for_and_it_has_played() -> None:
    def explained() -> Failure:
        return Failure("p", "stage a", "no camera", explained=True)

    assert policy().wait(explained(), 0, playing=True) is None
    assert policy("always").wait(explained(), 0, playing=False) is None
    assert policy("always").wait(explained(), 0, playing=True) == 0.5


def test_an_exception_that_comes_again_ends_it() -> None:
    def raised(text: str) -> Failure:
        return Failure("p", "stage a", text, repeats=True)

    restarts = policy()
    assert restarts.wait(raised("one"), 0, playing=True) == 0.5
    assert restarts.wait(raised("other"), 20, playing=True) == 0.5
    assert restarts.wait(raised("other"), 40, playing=True) is None
    assert restarts.refusal == "the same came again after a restart"


def test_several_stages_in_a_process_go_by_the_strictest() -> None:
    together = strictest(
        [
            Supervision(restart="always", kill_after=50, max_memory=200),
            Supervision(restart="on-failure", kill_after=20, max_restarts=1),
            Supervision(warn_after=2),
        ]
    )
    assert together == Supervision(restart="on-failure", kill_after=20, max_restarts=1, warn_after=2, max_memory=200)
