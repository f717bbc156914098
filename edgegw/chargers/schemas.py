"""Validators of OCPP payloads, compiled once from the `ocpp` package's own schema files.

Decides whether a payload is as the standard says: for what we send a must, for what we receive a flag only. Never
changes a payload. Source: the JSON schemas of OCPP 1.6, 2.0.1 and 2.1 as shipped by `ocpp`.
"""

import json
from importlib import resources
from typing import Any

import jsonschema_rs

from edgegw.chargers.exchange import Payload

_PACKAGES = {"1.6": "ocpp.v16", "2.0.1": "ocpp.v201", "2.1": "ocpp.v21"}


class Schemas:
    """Compiled validators of one version. `actions` are all request names of the standard."""

    def __init__(self, version: str, used: frozenset[str]) -> None:
        """Compile request and response of each action in `used`."""
        folder = resources.files(_PACKAGES[version]) / "schemas"
        texts = {
            file.name.removesuffix(".json"): file for file in folder.iterdir() if file.name.endswith(".json")
        }
        # 1.6 names its requests "Boot.json", 2.x "BootRequest.json".
        requests = {name.removesuffix("Request"): name for name in texts if not name.endswith("Response")}
        self.actions = frozenset(requests)
        self._requests = {action: _compile(texts[requests[action]].read_bytes()) for action in used}
        self._responses = {action: _compile(texts[f"{action}Response"].read_bytes()) for action in used}

    def is_compliant_request(self, action: str, payload: Payload) -> bool:
        """True when a charger's request is as the standard says."""
        return _is_valid(self._requests[action], payload)

    def assert_request(self, action: str, payload: Payload) -> None:
        """Raises AssertionError: we made a request that is against the standard."""
        _assert_valid(self._requests[action], f"{action}.req", payload)

    def assert_response(self, action: str, payload: Payload) -> None:
        """Raises AssertionError: we made an answer that is against the standard."""
        _assert_valid(self._responses[action], f"{action}.conf", payload)


def _compile(schema: bytes) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema.decode("utf-8-sig")))


def _is_valid(validator: Any, payload: Payload) -> bool:
    try:
        return bool(validator.is_valid(payload))
    except ValueError:  # a value that has no JSON form, such as an unpaired surrogate
        return False


def _assert_valid(validator: Any, name: str, payload: Payload) -> None:
    if not validator.is_valid(payload):
        fault = next(validator.iter_errors(payload))
        raise AssertionError(f"{name} is against its schema: {fault.message}")
