"""Validates and normalizes the fields of a person: login name, password, name and contact.

Decides which values a form accepts, and when two contacts are equal. Stores nothing.
Source: RFC 5321 (an address's length), ITU-T E.164 (15 digits), NIST SP 800-63B (length before composition).
"""

import re
import unicodedata
from dataclasses import dataclass, field

from edgegw.common.canonical_json import canonical_json
from edgegw.ports.representative import Kind, Language, Profile, RefusalCode, RefusedRequest

PASSWORD_LENGTH_MIN = 10
_PASSWORD_LENGTH_MAX = 256
_DISTINCT_MIN = 5
_NAME_LENGTH_MAX = 100
_CONTACT_LENGTH_MAX = 254
_LOGIN = re.compile(r"[^\s@:/\\]{3,64}|[^\s:/\\]{3,64}@[^\s:/\\@]{1,64}")
_MAIL = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}")
_PHONE = re.compile(r"\+?[0-9]{7,17}")
_PHONE_SEPARATORS = re.compile(r"[\s.()/-]")
_KOREA = "+82"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A member's personal data, which is stored encrypted; `login` as it was typed."""

    login: str = field(repr=False)
    name: str = field(repr=False)
    contact: str = field(repr=False)
    language: Language
    kind: Kind

    @property
    def identity(self) -> str:
        """The normal form of the contact, which identifies a person."""
        return normal_contact(self.contact)

    @property
    def committed(self) -> str:
        """The text that the commitment on the ledger covers."""
        return canonical_json({"contact": self.identity, "kind": self.kind, "name": shown(self.name)})

    @classmethod
    def of(cls, profile: Profile) -> "Person":
        """Return the personal data of a profile."""
        return cls(
            login=profile.login,
            name=shown(profile.name),
            contact=shown(profile.contact),
            language=profile.language,
            kind=profile.kind,
        )


def folded_login(login: str) -> str:
    """Return the normal form of a login name: NFKC, case-folded, stripped."""
    return unicodedata.normalize("NFKC", login).casefold().strip()


def normal_contact(contact: str) -> str:
    """Return an e-mail address case-folded, or a telephone number as +82...; "" where it is neither."""
    text = unicodedata.normalize("NFKC", contact).casefold().strip()
    if len(text) > _CONTACT_LENGTH_MAX:
        return ""
    if "@" in text:
        return text if _MAIL.fullmatch(text) else ""
    number = _PHONE_SEPARATORS.sub("", text)
    return _international(number) if _PHONE.fullmatch(number) else ""


def shown(text: str) -> str:
    """Return a text as it is stored: NFC, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def fault_of(person: Person) -> RefusedRequest | None:
    """Return a refusal that names the first invalid field, or None."""
    if not _LOGIN.fullmatch(folded_login(person.login)) or not person.login.isprintable():
        return bad_field("login")
    if not 1 <= len(person.name) <= _NAME_LENGTH_MAX or not person.name.isprintable():
        return bad_field("name")
    if not normal_contact(person.contact):
        return bad_field("contact")
    return None


def password_fault(password: str, login: str) -> RefusedRequest | None:
    """Return a refusal of a password that is too short or too long, repeats few characters or contains the login; else None."""
    weak = (
        not PASSWORD_LENGTH_MIN <= len(password) <= _PASSWORD_LENGTH_MAX
        or len(set(password)) < _DISTINCT_MIN
        or folded_login(login) in folded_login(password)
    )
    return RefusedRequest(code=RefusalCode.WEAK_PASSWORD, detail=str(PASSWORD_LENGTH_MIN)) if weak else None


def bad_field(name: str) -> RefusedRequest:
    """Return a refusal that names an invalid field."""
    return RefusedRequest(code=RefusalCode.BAD_FIELD, detail=name)


def _international(number: str) -> str:
    """Return a number in E.164 form, with +82 for a national Korean number; "" where its length is invalid."""
    if number.startswith("00"):
        number = "+" + number[2:]
    elif number.startswith("0"):
        number = _KOREA + number[1:]
    elif not number.startswith("+"):
        number = "+" + number if number.startswith(_KOREA[1:]) else _KOREA + number
    if number.startswith(_KOREA + "0"):  # +82 (0)10 ...
        number = _KOREA + number[len(_KOREA) + 1 :]
    return number if 8 <= len(number) - 1 <= 15 else ""
