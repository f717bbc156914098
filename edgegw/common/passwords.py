"""Hashes and verifies passwords with argon2id, with one set of parameters for chargers, members and the operator.

Decides what a hash costs. A hash contains its parameters, so that one made with other parameters is still verified.
Source: RFC 9106; OWASP Password Storage Cheat Sheet, second choice (19 MiB, two passes, one lane).
"""

import base64
import secrets

import argon2

# After a power cut all chargers connect at once to a small machine: a hash takes about 0.1 s of one core.
TIME_COST, MEMORY_KIB, PARALLELISM = 2, 19 * 1024, 1
_HASHER = argon2.PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)
_CHEAP_HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def hash_password(password: str) -> str:
    """Return the argon2id hash to store, with its salt and parameters."""
    return _HASHER.hash(password)


def hash_random_password(password: str) -> str:
    """Return a cheap hash of a generated password; 80 random bits or more cannot be guessed at any speed."""
    return _CHEAP_HASHER.hash(password)


def unmatched_hash() -> str:
    """Return a random hash that no password matches; verify against it for an unknown user, so that the time is equal."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={TIME_COST},p={PARALLELISM}${salt}${digest}"


def password_fits(password_hash: str, password: str) -> bool:
    """Return whether the password matches the hash; False for a text that is no argon2 hash."""
    try:
        return _HASHER.verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
