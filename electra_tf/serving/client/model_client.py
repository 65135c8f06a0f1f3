"""One model of a model server, whatever the protocol, and errors that say what was met."""

import abc
import re
from collections.abc import Sequence
from typing import Any

from electra_tf.errors import UserError
from electra_tf.serving.client import ranking, targets
from electra_tf.serving.client.targets import DEFAULT_PORTS, Target

_UNKNOWN_HOST = re.compile(
    "name resolution|DNS resolution|[Nn]ame or service|nodename|No address associated|"
    "not known|Domain name not found"
)


class Client(abc.ABC):
    """One model of a server.

    Args:
        target: the server.
        model: its name at the server.
        version: None: the one that the server takes, its largest.
        timeout: seconds until a call is given up.
        ca_file: certificates to trust, as PEM; None: the public ones.
    """

    protocol: str  # for people

    def __init__(
        self,
        target: Target,
        model: str,
        version: int | None = None,
        timeout: float = 10.0,
        ca_file: str | None = None,
    ):
        self.server, self.target, self.model = target, target.address, model
        self.version, self.timeout, self._ca_file = version, timeout, ca_file

    def predict(self, inputs: dict[str, list[str]], signature: str) -> dict[str, list]:
        """Calls a signature with strings.

        Args:
            inputs: lists of equal length by the names of the inputs.
            signature: such as serving_default.

        Returns:
            Nested lists by the names of the outputs, one entry per text in each.

        Raises:
            UserError: the server has no such model or signature, refuses the inputs, or does not
                answer text by text.
            ConnectionError: no answer, because of the server or the way to it.
        """
        outputs = self._outputs(inputs, signature)
        number = len(next(iter(inputs.values())))
        for name, values in outputs.items():
            if not isinstance(values, list) or len(values) != number:
                raise UserError(
                    f"{signature} must answer text by text. Received: {name} of "
                    f"{len(values) if isinstance(values, list) else 'no'} rows for {number} texts"
                )
        return outputs

    def rank(self, candidates: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """Which of some texts is the most plausible, by the signature `score`.

        Args:
            candidates: lists of texts to choose from. All are sent in one call.

        Returns:
            What `electra_tf.load(DIR).rank` gives; see `ranking.rank`.

        Raises:
            UserError, ConnectionError: as of `predict`, and of `ranking.rank`.
        """

        def scores_of(texts: list[str]) -> list[ranking.TextScore]:
            outputs = self.predict({"text": texts}, "score") if texts else {}
            ends = [sum(end > 0 for end in row) for row in outputs.get("end_offset", ())]
            return [ranking.TextScore(*each) for each in zip(outputs.get("score", ()), ends)]

        return ranking.rank(candidates, scores_of)

    @abc.abstractmethod
    def _outputs(self, inputs: dict[str, list[str]], signature: str) -> dict[str, list]:
        """What the server answers."""

    @abc.abstractmethod
    def _versions(self) -> dict[int, str]:
        """The states of the model's versions; empty where the server knows no such model."""

    @abc.abstractmethod
    def _proxy(self) -> str | None:
        """The proxy that calls go through."""

    def _missing(self, message: str) -> Exception:
        """The error to raise when the server does not find the model."""
        states = self._versions()
        known = ", ".join(f"version {number} is {state}" for number, state in states.items())
        if not states:
            return UserError(
                f"The server at {self.target} must know the model. Received: "
                f"{self.model}, which it does not have ({message}); set --model_name "
                f"to the server's"
            )
        if self.version is not None and self.version not in states:
            return UserError(
                f"The version must be one that the server has: {known}. Received: {self.version}"
            )
        return ConnectionError(
            f"{self.model} at {self.target} is not ready: {known}. Try again when it is AVAILABLE"
        )

    def _silent(self, detail: str) -> ConnectionError:
        """The error to raise when nobody is met; says of which kind that is."""
        if _UNKNOWN_HOST.search(detail):
            return ConnectionError(
                f"the host of {self.target} is not known ({detail}): check its name{self._way()}"
            )
        if "CERTIFICATE_VERIFY_FAILED" in detail:
            return ConnectionError(
                f"the certificate of {self.target} is not trusted ({detail}): --ca_file names a "
                f"file of those to trust{self._way()}"
            )
        if "SSL" in detail.upper():
            return ConnectionError(
                f"{self.target} does not speak TLS ({detail}): does it without https://?"
                f"{self._way()}"
            )
        hint = "" if self.server.tls else "; one that speaks TLS is asked as https://HOST:PORT"
        return ConnectionError(
            f"no server answers at {self.target} over {self.protocol} ({detail}). Is it running, "
            f"and is this its port of the protocol? By default gRPC has {DEFAULT_PORTS['grpc']} "
            f"and REST {DEFAULT_PORTS['rest']}{hint}{self._way()}"
        )

    def _foreign(self, detail: str) -> ConnectionError:
        """The error to raise when another kind of server is met."""
        return ConnectionError(
            f"what answers at {self.target} is no model server ({detail}){self._way()}"
        )

    def _way(self) -> str:
        proxy = self._proxy()
        if not proxy:
            return ""
        return (
            f"; asked through the proxy {targets.without_password(proxy)} of the environment: "
            f"no_proxy={self.server.host} goes without"
        )

    def _late(self) -> TimeoutError:
        return TimeoutError(
            f"{self.target} did not answer within {self.timeout:g} s: raise "
            f"--timeout, or ask for less at once{self._way()}"
        )
