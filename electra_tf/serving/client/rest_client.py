"""Asks a model server over HTTP and JSON."""

import json
import re
import urllib.parse

from electra_tf import extras
from electra_tf.errors import UserError, one_line
from electra_tf.serving.client.model_client import Client
from electra_tf.serving.client.rest_requests import Asked


class RestClient(Client):
    """Over HTTP and JSON. Arguments as of `Client`."""

    protocol = "REST"

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        with extras.needed("serving"):
            import requests

        self._requests, self._session = requests, requests.Session()
        self._session.trust_env = not self.server.is_this_machine  # no proxy to oneself
        self._base = f"http{'s' * self.server.tls}://{self.target}/v1/models/"

    def pass_on(self, asked: Asked, body: bytes = b"") -> tuple[dict, int]:
        """The answer to a request about the model, with its HTTP status.

        Args:
            asked: what; of any model.
            body: sent as it is.

        Raises:
            ConnectionError, TimeoutError: there is none, or one that is no model server's.
        """
        path = urllib.parse.quote(asked.model, safe="")
        if asked.version is not None:
            path += f"/versions/{asked.version}"
        elif asked.label is not None:
            path += f"/labels/{urllib.parse.quote(asked.label, safe='')}"
        is_get = asked.verb in ("", "metadata")
        if asked.verb:
            path += f"/{asked.verb}" if is_get else f":{asked.verb}"
        response = self._request("GET" if is_get else "POST", path, None if is_get else body)
        return self._content(response), response.status_code

    def _outputs(self, inputs: dict[str, list[str]], signature: str) -> dict[str, list]:
        body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()
        content, status = self.pass_on(self._asked("predict"), body)
        if status == 404:
            raise self._missing(content["error"])
        if "outputs" not in self._accepted(content, status):
            raise self._foreign("its answer has no outputs")
        outputs = content["outputs"]
        # The only output of a signature comes without its name.
        return outputs if isinstance(outputs, dict) else {self._only_output(signature): outputs}

    def _versions(self) -> dict[int, str]:
        content, status = self.pass_on(Asked("", self.model))
        if status == 404:
            return {}
        try:
            return {
                int(version["version"]): version["state"]
                for version in self._accepted(content, status)["model_version_status"]
            }
        except (KeyError, TypeError, ValueError):
            raise self._foreign("it tells no versions of the model") from None

    def _only_output(self, signature: str) -> str:
        content, status = self.pass_on(self._asked("metadata"))
        try:
            definitions = self._accepted(content, status)["metadata"]["signature_def"]
            (name,) = definitions["signature_def"][signature]["outputs"]
        except (KeyError, TypeError, ValueError):
            raise self._foreign("its metadata does not tell the only output") from None
        return name

    def _asked(self, verb: str) -> Asked:
        return Asked(verb, self.model, self.version)

    def _accepted(self, content: dict, status: int) -> dict:
        if status != 200:
            raise UserError(
                f"{self.target} refuses the request (HTTP {status}): {one_line(content['error'])}"
            )
        return content

    def _request(self, method: str, path: str, body: bytes | None):
        exceptions = self._requests.exceptions
        try:
            return self._session.request(
                method,
                self._base + path,
                data=body,
                headers=None if body is None else {"Content-Type": "application/json"},
                timeout=self.timeout,
                allow_redirects=False,  # of a POST it would make a GET
                verify=self._ca_file or True,
            )
        except exceptions.ConnectTimeout as error:
            raise self._silent(f"no connection within {self.timeout:g} s") from error
        except exceptions.Timeout as error:
            raise self._late() from error
        except exceptions.RequestException as error:
            raise self._silent(_reason(error)) from error

    def _content(self, response) -> dict:
        """The object that a model server answers with, and that says "error" if it refuses."""
        try:
            content = response.json()
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict) and (
            response.status_code == 200 or isinstance(content.get("error"), str)
        ):
            return content
        kind = response.headers.get("Content-Type", "no content type")
        to = f" to {response.headers['Location']}" if response.is_redirect else ""
        raise self._foreign(f"HTTP {response.status_code}{to}, {kind}")

    def _proxy(self) -> str | None:
        if self.server.is_this_machine:
            return None
        environ = self._requests.utils.get_environ_proxies(self._base)
        return self._requests.utils.select_proxy(self._base, environ)


def _reason(error: Exception) -> str:
    """The innermost cause of a failed connection, such as "Connection refused"."""
    text = " ".join(str(error).split())  # not `one_line`, which drops "[Errno …]"
    for pattern in (
        r"\[Errno -?\d+\] ([^'\")]+)",
        r"(\[SSL.+?)(?: \(_ssl|\"\)|'\)|$)",
        r"\('Connection aborted\.', (.+)\)",
        r"Caused by (.+)\)",
    ):
        found = re.search(pattern, text)
        if found:
            return found[1].strip()
    return f"{type(error).__name__}: {text[:200]}"
