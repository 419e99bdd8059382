"""Where results are published: addresses that will do, those that are taken, and those of other machines."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest
import zmq

from emopipe.pipeline.access.keys import write_pair
from emopipe.pipeline.errors import EmopipeError
from emopipe.stages.sinks.endpoint import endpoint_problem
from emopipe.stages.sinks.publish import Publish
from tests.support.publishing import publish


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/emotions"


def test_a_port_in_use_is_named_with_a_remedy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(EmopipeError) as caught:
            publish(address)
    assert str(caught.value) == (
        f"endpoint: {address} is in use; stop the program that has bound it (another run, perhaps), "
        "or choose another address"
    )


def test_a_file_is_never_replaced_by_a_socket(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "emotions").write_text("precious")
    with pytest.raises(EmopipeError, match=r"emotions exists and is not a socket; choose another path"):
        publish(endpoint)
    assert (tmp_path / "emotions").read_text() == "precious"


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:5560", "tcp://localhost:1", "tcp://127.0.0.2:65535", "tcp://[::1]:5560", "ipc:///tmp/emotions"],
)
def test_addresses_that_will_do(address: str) -> None:
    assert endpoint_problem(address) is None
    assert Publish.Settings(endpoint=address).check() == []


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("5560", "'5560' is not an address, expected tcp://127.0.0.1:PORT or ipc://PATH"),
        ("udp://127.0.0.1:1", "'udp://127.0.0.1:1' is not an address, expected"),
        ("inproc://here", "'inproc://here' is not an address, expected"),
        ("tcp://127.0.0.1", "tcp://127.0.0.1 has no port between 1 and 65535"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:* has no port between 1 and 65535"),
        ("tcp://127.0.0.1:65536", "tcp://127.0.0.1:65536 has no port between 1 and 65535"),
        ("tcp://*:5560", "tcp://*:5560 can be reached from other machines"),
        ("tcp://0.0.0.0:5560", "can be reached from other machines, which takes encryption and an allow-list"),
        ("tcp://192.168.1.2:5560", "or choose a loopback address such as tcp://127.0.0.1:5560"),
        ("tcp://eth0:5560", "can be reached from other machines"),
        ("tcp://[::]:5560", "can be reached from other machines"),
        ("ipc://", "ipc:// names no path, expected one such as ipc:///tmp/emotions.ipc"),
        ("ipc://*", "ipc://* names no path"),
        ("ipc:///no/such/place", "the directory /no/such does not exist; create it, or choose another path"),
        (f"ipc:///tmp/{'x' * 120}", f"the path is longer than the {zmq.IPC_PATH_MAX_LEN} bytes a socket's may have"),
    ],
)
def test_addresses_that_will_not_do(address: str, problem: str) -> None:
    found = endpoint_problem(address)
    assert found is not None
    assert problem in found
    assert Publish.Settings(endpoint=address).check() == [("endpoint", found)]
    with pytest.raises(EmopipeError, match=re.escape(f"endpoint: {found}")):
        publish(address)


def test_its_address_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def own(address: str) -> list[str]:
        return Publish.Settings(endpoint=address).writes()

    monkeypatch.chdir(tmp_path)
    assert own("tcp://localhost:5560") == own("tcp://127.0.0.1:5560") == ["tcp://127.0.0.1:5560"]
    assert own("ipc://results") == own(f"ipc://{tmp_path}/./results") == [str(tmp_path / "results")]


def test_wrong_keys_are_said_before_anything_runs(tmp_path: Path) -> None:
    desk, anna = write_pair(tmp_path, "desk"), write_pair(tmp_path / "allowed", "anna")
    secret, allowed = str(desk.secret_file), str(tmp_path / "allowed")

    def problems(endpoint: str = "tcp://0.0.0.0:5560", **keys: Any) -> list[tuple[str, str]]:
        return [(key, text) for key, text in Publish.Settings(endpoint=endpoint, **keys).check()]

    assert problems(secret_key=secret, allow=allowed) == []
    assert problems("tcp://[::]:5560", secret_key=secret, allow=[anna.public]) == []
    assert problems("ipc:///tmp/emotions", secret_key=secret, allow=allowed)[0][0] == "secret_key"
    assert problems(allow=allowed)[0][1].startswith("missing: the file of our own secret key")
    assert problems(secret_key=secret)[0][0] == "allow"
    assert problems(secret_key=secret, allow="nowhere")[0][1].startswith("nowhere: no such folder")
    assert problems(secret_key=secret, allow=["rubbish"])[0][1].startswith('"rubbish" is no public key')
    assert problems(secret_key="nothing", allow=allowed)[0][1].startswith("nothing: no such key file")
    desk.secret_file.chmod(0o644)
    assert "others may read this secret key" in problems(secret_key=secret, allow=allowed)[0][1]
    with pytest.raises(EmopipeError, match=r"^secret_key: .*others may read"):
        publish("tcp://0.0.0.0:5560", secret_key=secret, allow=allowed)
