"""Whether the workers of a cluster reach each other, asked before TensorFlow waits for them."""

import concurrent.futures
import contextlib
import socket
import time

from electra_tf.errors import UserError
from electra_tf.train.cluster import Cluster

SECONDS = 3.0
_PAUSE = 0.2
_SILENT = "no answer in time"


class Unreachable(UserError):
    """A worker cannot be spoken to."""


@contextlib.contextmanager
def listening(cluster: Cluster):
    """Holds this task's port while the block runs, so that the probes of others are accepted.

    Raises:
        UserError: the address is not this machine's, or in use.
    """
    address = cluster.tasks.get(cluster.own)
    if address is None:
        yield
        return
    host, port = _split(address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        server = socket.create_server((host, port), family=family)
    except OSError as error:
        name = " ".join(map(str, cluster.own))
        raise UserError(
            "This task must be able to listen at its own address. Received: "
            f"{name} at {address} ({error.strerror or error}); correct the task's index or "
            "the address in TF_CONFIG, or end what uses the port"
        ) from error
    with server:
        yield


def probe(cluster: Cluster) -> dict[str, str | Unreachable]:
    """Tries for `SECONDS` to speak to every other worker, all at a time.

    Returns:
        By the worker's name in words: what it did, or why it cannot be reached.
    """
    others = cluster.others()
    if not others:
        return {}
    threads = concurrent.futures.ThreadPoolExecutor(len(others))
    asked = {name: threads.submit(_speak, name, address) for name, address in others.items()}
    # Looking a name up has no time limit of its own.
    concurrent.futures.wait(asked.values(), timeout=SECONDS + 1)
    threads.shutdown(wait=False, cancel_futures=True)
    return {
        name: answer.result() if answer.done() else _unreachable(name, others[name], _SILENT)
        for name, answer in asked.items()
    }


def _speak(name: str, address: str) -> str | Unreachable:
    end = time.monotonic() + SECONDS
    while True:
        try:
            left = max(_PAUSE, end - time.monotonic())
            socket.create_connection(_split(address), left).close()
            return "accepts connections"
        except TimeoutError:
            return _unreachable(name, address, _SILENT)
        except OSError as error:
            if time.monotonic() < end:
                time.sleep(_PAUSE)
            elif isinstance(error, ConnectionRefusedError):
                return "its machine answers, nothing listens there yet"
            else:
                return _unreachable(name, address, error.strerror or str(error))
        except UserError as error:
            return Unreachable(str(error))


def _unreachable(name: str, address: str, reason: str) -> Unreachable:
    return Unreachable(
        f"Every worker must be reachable from the others. Received: {name} at {address} "
        f"({reason}); correct its address in TF_CONFIG, or let the firewall pass this port"
    )


def _split(address: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets."""
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UserError(
            "The address of a task in TF_CONFIG must be HOST:PORT. "
            f"Received: {address}; add the port"
        )
    return host.strip("[]"), int(port)
