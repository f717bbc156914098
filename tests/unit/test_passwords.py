"""Password hashes: one set of parameters, and hashes of other parameters that go on being verified."""

from edgegw.common.passwords import hash_password, hash_random_password, password_fits, unmatched_hash


def test_a_hash_fits_its_password_alone() -> None:
    """Argon2id with 19 MiB, two passes, one lane; another password, and what is no hash, do not fit."""
    stored = hash_password("a long password")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert stored != hash_password("a long password")
    assert password_fits(stored, "a long password")
    assert not password_fits(stored, "another password")
    assert not password_fits("", "a long password")
    assert not password_fits("$argon2id$x", "a long password")


def test_a_hash_of_other_parameters_still_fits() -> None:
    """A hash names its parameters: one that was stored with cheaper ones is verified with those."""
    stored = hash_random_password("a long password")
    assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert password_fits(stored, "a long password")


def test_a_hash_of_an_earlier_version_still_fits() -> None:
    """A hash that was made when chargers, members and the operator had a hasher each."""
    stored = (
        "$argon2id$v=19$m=19456,t=2,p=1$4ztvox9aSLF5VaiRf3Cpqw$mPGXVC2l89NfqnBFv59rfjmyVu6ypURuiKIwumYb9xc"
    )
    assert password_fits(stored, "s")


def test_an_unmatched_hash_costs_as_much_and_fits_nothing() -> None:
    """The hash that no password fits has the same parameters and lengths, and random content."""
    unmatched, real = unmatched_hash(), hash_password("x")
    assert unmatched != unmatched_hash()
    assert [len(part) for part in unmatched.split("$")] == [len(part) for part in real.split("$")]
    assert unmatched.split("$")[:4] == real.split("$")[:4]
    assert not password_fits(unmatched, "x")
