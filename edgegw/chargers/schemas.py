"""Validates OCPP payloads with the schema files of the `ocpp` package, compiled at their first use.

Decides whether a payload is compliant: asserted for what is sent, a flag only for what is received. Never changes a
payload. Source: the JSON schemas of OCPP 1.6, 2.0.1 and 2.1 as shipped by `ocpp`.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs

from edgegw.chargers.call_types import Payload

_FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}


class Schemas:
    """Validators of one version, compiled lazily: all of them take 27 MB, and a station needs few.

    `actions` are all request names of the standard.
    """

    def __init__(self, version: str, used: frozenset[str]) -> None:
        """Find the schemas of each action in `used`; raise KeyError where the standard has no such action."""
        folder = resources.files("ocpp") / _FOLDERS[version] / "schemas"  # its code is never imported
        texts = {
            file.name.removesuffix(".json"): file for file in folder.iterdir() if file.name.endswith(".json")
        }
        # 1.6 names its requests "Boot.json", 2.x "BootRequest.json".
        requests = {name.removesuffix("Request"): name for name in texts if not name.endswith("Response")}
        self.actions = frozenset(requests)
        self._requests: Mapping[str, Any] = {action: texts[requests[action]] for action in used}
        self._responses: Mapping[str, Any] = {action: texts[f"{action}Response"] for action in used}

    def is_compliant_request(self, action: str, payload: Payload) -> bool:
        """Return True where a charger's request fits its schema."""
        return _is_valid(_validator(self._requests[action]), payload)

    def assert_request(self, action: str, payload: Payload) -> None:
        """Raise AssertionError where a request of ours violates its schema."""
        _assert_valid(_validator(self._requests[action]), f"{action}.req", payload)

    def assert_response(self, action: str, payload: Payload) -> None:
        """Raise AssertionError where an answer of ours violates its schema."""
        _assert_valid(_validator(self._responses[action]), f"{action}.conf", payload)


@cache
def _validator(file: Any) -> Any:
    return jsonschema_rs.validator_for(json.loads(file.read_bytes().decode("utf-8-sig")))


def _is_valid(validator: Any, payload: Payload) -> bool:
    try:
        return bool(validator.is_valid(payload))
    except ValueError:  # a value that has no JSON form, such as an unpaired surrogate
        return False


def _assert_valid(validator: Any, name: str, payload: Payload) -> None:
    if not validator.is_valid(payload):
        fault = next(validator.iter_errors(payload))
        raise AssertionError(f"{name} is against its schema: {fault.message}")
