"""What a person tells the representative: normal forms and limits of login, password, name and contact.

Decides what a form may say, and when two contacts are one person's. Stores nothing.
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
    """What is kept about a member, sealed; `login` as it was typed."""

    login: str = field(repr=False)
    name: str = field(repr=False)
    contact: str = field(repr=False)
    language: Language
    kind: Kind

    @property
    def identity(self) -> str:
        """What makes a person unique: the contact, however it is spelt."""
        return normal_contact(self.contact)

    @property
    def committed(self) -> str:
        """The text that the commitment on the ledger covers."""
        return canonical_json({"contact": self.identity, "kind": self.kind, "name": shown(self.name)})

    @classmethod
    def of(cls, profile: Profile) -> "Person":
        """The part of a profile that a person tells."""
        return cls(
            login=profile.login,
            name=shown(profile.name),
            contact=shown(profile.contact),
            language=profile.language,
            kind=profile.kind,
        )


def folded_login(login: str) -> str:
    """The one spelling under which a login name is known."""
    return unicodedata.normalize("NFKC", login).casefold().strip()


def normal_contact(contact: str) -> str:
    """An e-mail address without case, or a telephone number as +82...; empty where it is neither."""
    text = unicodedata.normalize("NFKC", contact).casefold().strip()
    if len(text) > _CONTACT_LENGTH_MAX:
        return ""
    if "@" in text:
        return text if _MAIL.fullmatch(text) else ""
    number = _PHONE_SEPARATORS.sub("", text)
    return _international(number) if _PHONE.fullmatch(number) else ""


def shown(text: str) -> str:
    """A text as it is kept: composed, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def fault_of(person: Person) -> RefusedRequest | None:
    """The first field that cannot be taken."""
    if not _LOGIN.fullmatch(folded_login(person.login)) or not person.login.isprintable():
        return bad_field("login")
    if not 1 <= len(person.name) <= _NAME_LENGTH_MAX or not person.name.isprintable():
        return bad_field("name")
    if not normal_contact(person.contact):
        return bad_field("contact")
    return None


def password_fault(password: str, login: str) -> RefusedRequest | None:
    """Long enough, not a few letters again and again, and not the login."""
    weak = (
        not PASSWORD_LENGTH_MIN <= len(password) <= _PASSWORD_LENGTH_MAX
        or len(set(password)) < _DISTINCT_MIN
        or folded_login(login) in folded_login(password)
    )
    return RefusedRequest(code=RefusalCode.WEAK_PASSWORD, detail=str(PASSWORD_LENGTH_MIN)) if weak else None


def bad_field(name: str) -> RefusedRequest:
    """This field cannot be taken."""
    return RefusedRequest(code=RefusalCode.BAD_FIELD, detail=name)


def _international(number: str) -> str:
    """+82 for what is written as in Korea."""
    if number.startswith("00"):
        number = "+" + number[2:]
    elif number.startswith("0"):
        number = _KOREA + number[1:]
    elif not number.startswith("+"):
        number = "+" + number if number.startswith(_KOREA[1:]) else _KOREA + number
    if number.startswith(_KOREA + "0"):  # +82 (0)10 ...
        number = _KOREA + number[len(_KOREA) + 1 :]
    return number if 8 <= len(number) - 1 <= 15 else ""
