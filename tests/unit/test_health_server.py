"""The health server has four paths with plain answers, and refuses requests under another host name."""

import http.client
import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator

import pytest

from edgegw.common.errors import AddressTakenError
from edgegw.ops.health_server import Views, serve_health
from edgegw.ops.logs import configure
from tests.support.patience import PATIENCE_S

STATE: dict[str, bool] = {}


@pytest.fixture
def port() -> Iterator[int]:
    STATE.update(alive=True, ready=False)
    views = Views(
        alive=lambda: {"ok": STATE["alive"]},
        ready=lambda: {"ok": STATE["ready"], "waits_for": ["listener"]},
        status=lambda: {"level": "ok"},
        metrics=lambda: b"edgegw_sessions_total 1.0\n",
        metrics_type="text/plain; version=1.0.0",
    )
    with serve_health("127.0.0.1", 0, views) as found:
        yield found


def get(port: int, path: str, *, method: str = "GET", host: str = "") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def test_alive_and_ready_are_told_by_the_status_code(port: int) -> None:
    """200 for yes, 503 for no with what is waited for."""
    assert get(port, "/healthz")[0] == 200
    assert get(port, "/readyz")[0] == 503
    assert json.loads(get(port, "/readyz")[2])["waits_for"] == ["listener"]
    STATE.update(alive=False, ready=True)
    assert get(port, "/healthz")[0] == 503
    assert get(port, "/readyz?x=1")[0] == 200


def test_status_and_metrics_are_shown_in_their_own_types(port: int) -> None:
    """JSON for people's tools, the exposition format for Prometheus; HEAD has no body."""
    assert get(port, "/status.json") == (200, "application/json", b'{"level": "ok"}\n')
    assert get(port, "/metrics") == (200, "text/plain; version=1.0.0", b"edgegw_sessions_total 1.0\n")
    assert get(port, "/metrics", method="HEAD")[2] == b""


def test_other_paths_methods_and_hosts_are_refused(port: int) -> None:
    """404 names the paths there are; a page of another origin cannot read this (DNS rebinding): 421."""
    assert get(port, "/../etc/passwd")[0] == 404
    assert get(port, "/healthz", method="POST")[0] == 501
    assert get(port, "/healthz", host="evil.example")[0] == 421
    assert b"EGW-3001" in get(port, "/metrics", host="evil.example:80")[2]
    assert get(port, "/healthz", host="localhost")[0] == 200


def test_a_taken_address_is_said_with_what_to_do(port: int) -> None:
    """A second daemon on the same port hears which key to change."""
    views = Views(alive=dict, ready=dict, status=dict, metrics=bytes, metrics_type="")
    with (
        pytest.raises(
            AddressTakenError, match=f"health.port: 127.0.0.1:{port}: Address already in use"
        ) as refused,
        serve_health("127.0.0.1", port, views),
    ):
        pass
    assert "health.port" in refused.value.hint


def test_ipv6_is_served_by_its_own_name() -> None:
    """An address of either family may be configured, and is what the Host header says then."""
    views = Views(alive=lambda: {"ok": True}, ready=dict, status=dict, metrics=bytes, metrics_type="")
    with serve_health("::1", 0, views) as port:
        connection = http.client.HTTPConnection("::1", port, timeout=PATIENCE_S)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def test_who_hangs_up_is_not_worth_a_word_and_a_view_that_fails_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A scraper that goes away leaves no traceback; a fault of ours is a log line that says where."""
    heard = threading.Event()

    def failing() -> bytes:
        heard.set()
        raise KeyError("x")

    views = Views(alive=dict, ready=dict, status=dict, metrics=failing, metrics_type="")
    configure("info", "json", sys.stdout)
    with serve_health("127.0.0.1", 0, views) as port:
        with socket.create_connection(("127.0.0.1", port)) as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")  # and a reset in place of the rest
        with pytest.raises(http.client.RemoteDisconnected):
            get(port, "/metrics")
    assert heard.is_set()
    out, errors = capsys.readouterr()
    (line,) = (json.loads(text) for text in out.splitlines())
    assert (line["event"], errors) == ("health.failed", "")
    assert line["reason"].startswith("KeyError: 'x' (test_health_server.py:")
