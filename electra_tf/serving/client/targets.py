"""Where a model server is: its address, TLS, and what the environment puts in between."""

import ipaddress
import os
import re
import ssl
import urllib.parse
from typing import NamedTuple

from electra_tf.errors import UserError, one_line

DEFAULT_PORTS = {"grpc": 8500, "rest": 8501}  # TensorFlow Serving's
_TLS_PORT = 443
_ADDRESS = re.compile(
    r"(?P<scheme>https?://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/?#@\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?"
)


class Target(NamedTuple):
    """A server.

    Attributes:
        address: HOST:PORT.
        tls: whether it speaks TLS.
    """

    address: str
    tls: bool = False

    @property
    def host(self) -> str:
        """The name or the address, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def is_this_machine(self) -> bool:
        """Whether it is asked directly, whatever the environment says of proxies."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


def parse(target: str, protocol: str) -> Target:
    """A target of HOST, HOST:PORT or https://HOST:PORT; for rest also of http://HOST:PORT.

    Raises:
        UserError: it is anything else.
    """
    match = _ADDRESS.fullmatch(target)
    if (
        not match
        or int(match["port"] or 1) not in range(1, 65536)
        or (match["scheme"] == "http://" and protocol == "grpc")
        or (target.endswith("/") and not match["scheme"])
    ):
        raise UserError(
            f"A target must be HOST:PORT, such as localhost:{DEFAULT_PORTS[protocol]}, or "
            f"https://HOST:PORT for TLS. Received: {target}"
        )
    tls = match["scheme"] == "https://"
    port = match["port"] or (_TLS_PORT if tls else DEFAULT_PORTS[protocol])
    return Target(f"{match['host']}:{port}", tls)


def require_certificates(path: str, target: Target) -> None:
    """Raises UserError unless a file holds certificates, and the target is one for them."""
    if not target.tls:
        raise UserError(
            "--ca_file must be given with a target that begins with https://. "
            f"Received: {target.address}"
        )
    if not os.path.isfile(path):
        raise UserError(f"--ca_file must be a file. Received: {path}")
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise UserError(
            f"--ca_file must hold certificates as PEM. Received: {path} ({one_line(error)})"
        ) from None


def proxy_of_grpc(target: Target) -> str | None:
    """The proxy that gRPC takes from the environment on the way to a target; None: none."""
    names = ("grpc_proxy", "https_proxy", "http_proxy")
    proxy = next(filter(None, map(os.environ.get, names)), None)
    around = next(filter(None, map(os.environ.get, ("no_grpc_proxy", "no_proxy"))), "")
    hosts = [name.strip() for name in around.split(",") if name.strip()]
    is_direct = target.is_this_machine or any(target.host.endswith(name) for name in hosts)
    return None if is_direct else proxy


def without_password(url: str) -> str:
    """A URL without what stands before the host."""
    parts = urllib.parse.urlsplit(url if "//" in url else f"//{url}")
    return parts.netloc.rpartition("@")[2] or url
