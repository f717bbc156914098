"""Run a real mosquitto broker for a test, on a free port with its own files, and a client that records messages."""

import datetime as dt
import ipaddress
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgegw.commissioning.addresses import free_port
from tests.support.patience import PATIENCE_S

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
MISSING = "mosquitto is missing: apt-get install mosquitto"
ACL = Path(__file__).parents[2] / "configs" / "mosquitto" / "edgegw.acl"
PASSWORDS = {"ST": "of ST", "OTHER": "of OTHER", "homeassistant": "of ha", "grid": "of grid"}


class Broker:
    """A mosquitto process; `lines` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            "\n".join(
                [
                    "user root",  # what a test made is not for others to read; ignored unless it runs as root
                    f"log_dest file {self._log}",
                    "log_type all",
                    f"listener {self.port} 127.0.0.1",
                    *(lines or ("allow_anonymous true",)),
                    "",
                ]
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start or restart it on the same port; return when it accepts connections."""
        assert MOSQUITTO is not None
        command = [MOSQUITTO, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            assert self._process.poll() is None, self.log()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(self.log())

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal, also while it is paused."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(PATIENCE_S)
            self._process = None

    def pause(self) -> None:
        """Stop the process (SIGSTOP): sockets stay open and get no answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the paused process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """Return its log."""
        return self._log.read_text() if self._log.exists() else "no log"


def guarded(folder: Path) -> tuple[str, ...]:
    """Return configuration lines of a broker that requires a password, with edgegw's access list."""
    passwords = folder / "passwords"
    passwords.write_text("".join(f"{name}:{password}\n" for name, password in PASSWORDS.items()))
    tool = shutil.which("mosquitto_passwd")
    assert tool is not None
    subprocess.run([tool, "-U", str(passwords)], check=True, timeout=PATIENCE_S)
    return ("allow_anonymous false", f"password_file {passwords}", f"acl_file {ACL}")


def tls(folder: Path) -> tuple[str, ...]:
    """Return configuration lines of a broker with TLS; its authority is in `ca.pem`, an unrelated one in `other.pem`."""
    _authority(folder / "other.pem")
    issuer, key = _authority(folder / "ca.pem")
    own = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        _builder("broker", issuer.subject).public_key(own.public_key()).add_extension(names, critical=False)
    )
    (folder / "broker.pem").write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    (folder / "broker.key").write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return ("allow_anonymous true", f"certfile {folder}/broker.pem", f"keyfile {folder}/broker.key")


def _authority(path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, path.stem)])
    usage = x509.BasicConstraints(ca=True, path_length=None)
    builder = _builder(path.stem, name).public_key(key.public_key()).add_extension(usage, critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _builder(subject: str, issuer: x509.Name) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )


@dataclass
class Ear:
    """A client that subscribes to everything and can publish; with `name` the broker keeps its session."""

    port: int
    name: str = ""
    user: str | None = None
    heard: list[MQTTMessage] = field(default_factory=list)
    ready: bool = False
    answers: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, client_id=self.name, protocol=MQTTProtocolVersion.MQTTv5
        )
        if self.user is not None:
            client.username_pw_set(self.user, PASSWORDS[self.user])
        client.on_connect = lambda client, *_: client.subscribe("#", 1)
        client.on_subscribe = lambda *_: setattr(self, "ready", True)
        client.on_message = lambda _client, _user, message: self.heard.append(message)
        client.on_publish = lambda _client, _user, mid, reason, _more: self.answers.update({mid: str(reason)})
        client.reconnect_delay_set(1, 1)
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        kept.SessionExpiryInterval = 3600 if self.name else 0
        client.connect_async("127.0.0.1", self.port, clean_start=not self.name, properties=kept)
        client.loop_start()

    def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> int:
        """Publish; return the message id under which `answers` will have the broker's reason code."""
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    def of(self, topic: str) -> list[str]:
        """Return the payloads received on a topic, oldest first."""
        return [message.payload.decode() for message in self.heard if message.topic == topic]

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
