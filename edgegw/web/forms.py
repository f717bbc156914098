"""Parse forms: check the form token, return fields as text; and keep an error message for each field.

Decides what is a valid form; values of fields are validated by `formats` and the pages. Reads only
application/x-www-form-urlencoded; the guard limits its size.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request

from edgegw.web.site import Site
from edgegw.web.visitor_login import visitor_of

FIELDS_MAX = 64
TOKEN = "form_token"  # noqa: S105 - a field's name


class ForeignFormError(Exception):
    """The form was not made by this server for this visitor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Fields by name as typed, and error messages by field, in the visitor's language."""

    values: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, length_max: int = 200) -> str:
        """Return a field, stripped and cut to `length_max`; "" if it is missing."""
        return self.values.get(name, "").strip()[:length_max]

    def faulty(self, **faults: str) -> "Form":
        """Return a copy with these error messages added."""
        return Form(values=self.values, faults={**self.faults, **faults})


async def read_form(request: Request, site: Site) -> Form:
    """Read the form of a request; raises ForeignFormError, RepresentativeError."""
    visitor = await visitor_of(request, site)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind != "application/x-www-form-urlencoded":
        raise ForeignFormError
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError as error:
        raise ForeignFormError from error
    values = dict(reversed(pairs))  # the first value of a repeated name wins
    if not hmac.compare_digest(values.pop(TOKEN, "").encode(), visitor.form_token.encode()):
        raise ForeignFormError
    return Form(values=values)
