"""Where the web server listens and who may use it: the settings of every stage on it, and what is wrong with them."""

import os
import ssl
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from emopipe.pipeline.access.addresses import is_loopback
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.port import Invalid, about
from emopipe.pipeline.stage import Stage

TOKEN_VARIABLE = "EMOPIPE_TOKEN"
MIN_TOKEN_LENGTH = 16
EXAMPLE_ENDPOINT = "http://127.0.0.1:8080"


class WebSettings(Stage.Settings, kw_only=True):
    """The base of the settings of every stage that serves HTTP; stages of one process share an endpoint."""

    endpoint: Annotated[str, about("the address to serve: http://HOST:PORT, or https:// with a certificate")] = (
        EXAMPLE_ENDPOINT
    )
    token: Annotated[
        str,
        about(
            f"what callers must present, at least {MIN_TOKEN_LENGTH} characters; if empty, that of the environment's "
            f"{TOKEN_VARIABLE}; required unless the address is loopback"
        ),
    ] = ""
    certificate: Annotated[str, about("PEM file of the certificate chain, for https")] = ""
    key: Annotated[str, about("PEM file of the certificate's private key, for https")] = ""

    def check(self) -> list[Invalid]:
        try:
            where = parse_endpoint(self.endpoint)
        except ValueError as error:
            return [Invalid("endpoint", str(error))]
        return [*_token_problems(self, where), *_tls_problems(self, where)]

    def secrets(self) -> list[str]:
        return [self.token]

    def serves(self) -> list[str]:
        return [] if WebSettings.check(self) else [parse_endpoint(self.endpoint).endpoint]


class Address(NamedTuple):
    """A parsed endpoint."""

    scheme: str
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    @property
    def endpoint(self) -> str:
        """In the spelling that all stages' endpoints share, so that two that collide are found."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{'127.0.0.1' if host == 'localhost' else host}:{self.port}"


def parse_endpoint(endpoint: str) -> Address:
    """Raises: ValueError, with a sentence for the user: it is not an address."""
    expected = f"expected an address such as {EXAMPLE_ENDPOINT}"
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port
    except ValueError:
        raise ValueError(f"{endpoint!r} is not an address, {expected}") from None
    if url.scheme not in ("http", "https") or not host:
        raise ValueError(f"{endpoint!r} is not an address, {expected}")
    if not port:
        raise ValueError(f"{endpoint} has no port between 1 and 65535, {expected}")
    if url.path.strip("/") or url.query or url.fragment or url.username is not None:
        raise ValueError(f"{endpoint} says more than a host and a port, {expected}")
    return Address(url.scheme, host, port)


def token(settings: WebSettings) -> str:
    """The token that callers must present; empty where none is needed."""
    return settings.token or os.environ.get(TOKEN_VARIABLE, "")


def ssl_context(settings: WebSettings) -> ssl.SSLContext | None:
    """The context to serve https with; none for http.

    Raises:
        EmopipeError: the certificate or the key cannot be used.
    """
    if not settings.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        files = f"{settings.certificate} and {settings.key}"
        reason = f"cannot be used as certificate and key: {error}"
        raise EmopipeError(f"certificate: {files} {reason}; expected two PEM files that belong together") from None
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one without a password")


def _token_problems(settings: WebSettings, where: Address) -> list[Invalid]:
    given = token(settings)
    if not given and not where.loopback:
        what = f"{settings.endpoint} can be reached from other machines, so callers need a token"
        return [
            Invalid(
                "token", f"{what}; set it here or in the environment's {TOKEN_VARIABLE}, or serve {EXAMPLE_ENDPOINT}"
            )
        ]
    if given and len(given) < MIN_TOKEN_LENGTH:
        what = f"{len(given)} characters are too easily guessed; expected at least {MIN_TOKEN_LENGTH}"
        return [Invalid("token", f"{what}, such as those of `openssl rand -hex 16`")]
    if not (given.isascii() and given.isprintable()) or " " in given:
        return [Invalid("token", "holds characters that no HTTP header can; expected letters and digits")]
    return []


def _tls_problems(settings: WebSettings, where: Address) -> list[Invalid]:
    if where.scheme == "http" and (settings.certificate or settings.key):
        return [
            Invalid("endpoint", f"{settings.endpoint} is not encrypted, but there is a certificate; expected https://")
        ]
    if where.scheme == "http":
        return []
    files = {"certificate": settings.certificate, "key": settings.key}
    missing = [Invalid(key, f"https needs a {key}: the path of a PEM file") for key, file in files.items() if not file]
    absent = [Invalid(key, f"no such file: {file}") for key, file in files.items() if file and not Path(file).is_file()]
    if missing or absent:
        return [*missing, *absent]
    try:
        ssl_context(settings)
    except EmopipeError as error:
        return [Invalid("certificate", str(error).partition(": ")[2])]
    return []
