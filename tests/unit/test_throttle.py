"""Throttles: windows, pauses that double, and memory that is bounded, on a clock of the test's own."""

import pytest

from edgegw.common.throttle import Backoff, Rule, Throttle, Window, client_network
from edgegw.representative.service import NAME_FREE, SOURCE_FREE, login_throttles
from edgegw.web.operator.login import PAUSES
from edgegw.web.visitor_login import ATTEMPTS_MAX, form_throttle


class Clock:
    """Seconds, as the test sets them."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def pauses(throttle: Throttle, clock: Clock, *, attempts: int) -> list[float]:
    """The wait after each of so many failures, each waited out."""
    waits = []
    for _ in range(attempts):
        clock.now_s += throttle.wait_s("a")
        throttle.count("a")
        waits.append(throttle.wait_s("a"))
    return waits


def test_a_sliding_window_lets_each_attempt_expire_by_itself() -> None:
    """In a sliding window each attempt expires by itself."""
    clock = Clock()
    throttle = Throttle(Window(most=2, window_s=60.0), clock, keys_max=10)
    throttle.count("a")
    clock.now_s = 30.0
    assert not throttle.wait_s("a")
    throttle.count("a")
    assert throttle.wait_s("a") == 30.0
    clock.now_s = 60.0
    assert throttle.admits("a")
    assert throttle.wait_s("a") == 30.0
    throttle.count("a")  # counted although it had to wait: the window moves on
    assert throttle.wait_s("a") == 60.0


def test_a_fixed_window_ends_with_its_first_attempt() -> None:
    """In a fixed window a key waits until the window of its first attempt ends, and then has its whole share again."""
    clock = Clock()
    throttle = Throttle(Window(most=2, window_s=60.0, sliding=False), clock, keys_max=10)
    assert throttle.admits("a")
    clock.now_s = 59.0
    assert [throttle.admits("a") for _ in range(3)] == [True, False, False]
    assert throttle.wait_s("a") == 1.0
    clock.now_s = 60.0
    assert [throttle.admits("a") for _ in range(3)] == [True, True, False]


def test_pauses_grow_and_end() -> None:
    """Logins: free attempts, then 15 s doubled with each failure up to a quarter of an hour; an hour of rest forgives."""
    clock = Clock()
    for throttle, free in zip(login_throttles(clock), (NAME_FREE, SOURCE_FREE), strict=True):
        waits = pauses(throttle, clock, attempts=free + 20)
        assert waits[: free - 1] == [0.0] * (free - 1)
        assert waits[free - 1 : free + 3] == [15.0, 30.0, 60.0, 120.0]
        assert waits[-1] == 900.0
        assert throttle.wait_s("b") == 0.0
        clock.now_s += 3601
        throttle.count("a")
        assert throttle.wait_s("a") == 0.0


def test_the_operators_pauses_grow_and_are_not_forgiven() -> None:
    """The operator's login: three free attempts, then 2 s doubled up to a quarter of an hour, however long the rest."""
    clock = Clock()
    throttle = Throttle(PAUSES, clock, keys_max=10)
    assert pauses(throttle, clock, attempts=14)[1:] == [
        *(0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 900.0, 900.0, 900.0),
    ]
    clock.now_s += 1_000_000
    throttle.count("a")
    assert throttle.wait_s("a") == 900.0


def test_what_was_no_failure_is_taken_back() -> None:
    """A success forgets a key; one attempt taken back leaves the others, and never shortens the longest pause."""
    clock = Clock()
    throttle = Throttle(Backoff(free=2, first_s=15.0, max_s=900.0), clock, keys_max=10)
    throttle.count("a")
    throttle.take_back("a")
    throttle.take_back("unknown")
    assert len(throttle) == 0
    for _ in range(40):
        throttle.count("a")
    throttle.take_back("a")
    assert throttle.wait_s("a") == 900.0
    throttle.forget("a")
    assert throttle.wait_s("a") == 0.0
    throttle.forget("unknown")


@pytest.mark.parametrize(
    "rule",
    [
        Window(most=30, window_s=60.0),
        Window(most=30, window_s=60.0, sliding=False),
        Backoff(free=5, first_s=15.0, max_s=900.0),
    ],
)
def test_memory_is_bounded(rule: Rule) -> None:
    """However many keys are tried, so many are remembered: those counted last, and what they counted."""
    throttle = Throttle(rule, lambda: 0.0, keys_max=100)
    for number in range(1000):
        throttle.count(number)
        for _ in range(2):
            throttle.count("the one that attempts all the time")
    assert len(throttle) == 100
    assert throttle.wait_s("the one that attempts all the time")
    assert not throttle.wait_s(0)


def test_an_address_has_its_share_of_forms() -> None:
    """A minute later an address has its share again; IPv6 neighbours share one, IPv4 neighbours do not."""
    clock = Clock()
    throttle = form_throttle(clock)
    neighbours = [client_network(f"2001:db8::{number:x}") for number in range(1, ATTEMPTS_MAX + 2)]
    assert [throttle.admits(one) for one in neighbours] == [True] * ATTEMPTS_MAX + [False]
    assert throttle.admits(client_network("2001:db8:0:1::1"))
    assert throttle.admits(client_network("::ffff:192.0.2.1"))
    assert throttle.admits(client_network("not an address"))
    clock.now_s = 60.0
    assert throttle.admits(neighbours[0])


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::ffff", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("not an address", "not an address"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_client_is_known_by_its_network(address: str, network: str) -> None:
    """An IPv4 address in either form, the /64 of an IPv6 one, and of anything else no more than 64 characters."""
    assert client_network(address) == network
