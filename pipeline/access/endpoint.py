"""The keys of an endpoint that other machines reach: what is wrong with them, as settings have them."""

from emopipe.pipeline.access.allow_list import AllowList, expand, read_allow_list
from emopipe.pipeline.access.keys import KeyPair, read_pair
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.port import Invalid

KEYS_REMEDY = (
    "make a key with `emopipe keys new NAME`, and set secret_key to its file and allow to those who may come in"
)


def key_problems(endpoint: str, secret_key: str, allow: AllowList) -> list[Invalid]:
    """What is wrong with the keys of an endpoint: a file that is missing, or that others read; nobody on the list."""
    if not secret_key and not allow:
        return []
    if not endpoint.startswith("tcp://"):
        return [Invalid("secret_key", f"keys are for tcp addresses; {endpoint} is reached from this machine alone")]
    if not secret_key:
        return [Invalid("secret_key", "missing: the file of our own secret key; `emopipe keys new NAME` makes one")]
    if not allow:
        return [Invalid("allow", "missing: a folder of the public keys of those who may come in, or a list of keys")]
    problems = []
    for key, read in (("secret_key", lambda: read_pair(expand(secret_key))), ("allow", lambda: read_allow_list(allow))):
        try:
            read()
        except EmopipeError as error:
            problems.append(Invalid(key, str(error)))
    return problems


def read_keys(secret_key: str, allow: AllowList) -> tuple[KeyPair, frozenset[str]]:
    """Our own keys, and the public ones that are let in.

    Raises:
        EmopipeError: one cannot be had.
    """
    return read_pair(expand(secret_key)), frozenset(read_allow_list(allow))
