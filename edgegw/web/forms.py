"""What was filled in: a form's fields as texts, after its token was checked; and faults that stand next to their fields.

Decides the form of what came; what a field may hold is decided by `formats` and the pages. Only
application/x-www-form-urlencoded is read, and the guard has bounded its size.
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
    """The form did not come from a page of ours for this visitor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Fields by name, as typed in, and what is wrong with them by name (a text in the visitor's language)."""

    values: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, length_max: int = 200) -> str:
        """A field without surrounding space, cut to a length; "" where it was not sent."""
        return self.values.get(name, "").strip()[:length_max]

    def faulty(self, **faults: str) -> "Form":
        """The same form with faults beside its fields."""
        return Form(values=self.values, faults={**self.faults, **faults})


async def read_form(request: Request, site: Site) -> Form:
    """The form that was sent; raises ForeignFormError, OfficeError."""
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
    values = dict(reversed(pairs))  # the first of a name counts
    if not hmac.compare_digest(values.pop(TOKEN, "").encode(), visitor.form_token.encode()):
        raise ForeignFormError
    return Form(values=values)
