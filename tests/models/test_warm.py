"""Models that outlast the stages they were loaded for."""

from emopipe.models.warm import keeping_models, kept


def test_a_model_is_made_once_for_each_key_while_they_are_kept() -> None:
    with keeping_models():
        first = kept(("facial", b"cpu"), object)
        assert kept(("facial", b"cpu"), object) is first
        assert kept(("facial", b"cuda"), object) is not first
    assert kept(("facial", b"cpu"), object) is not first


def test_else_every_stage_has_its_own() -> None:
    assert kept("key", object) is not kept("key", object)
