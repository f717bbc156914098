"""The closed list of error codes: for each a stable code, the problem and the remedy.

Decides wording only. The caller logs the code with the values it knows (charger, meter, reading) and the remedy; an
unauthenticated client receives a shorter answer. docs/errors.md holds the same table; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One error: `problem` is a clause in the present tense, `remedy` an instruction, or "no action" with what happens."""

    problem: str
    remedy: str


def _remedy(problem: str, remedy: str) -> Remedy:
    return Remedy(problem=problem, remedy=remedy)


REMEDIES: Mapping[str, Remedy] = {
    # a charger opens a connection
    "EGW-1001": _remedy(
        "the URL contains no charger id",
        "enter ws://HOST:PORT/ocpp/ID in the charger; edgegw charger url shows the address",
    ),
    "EGW-1002": _remedy("the charger id is longer than 48 characters", "set a shorter id in the charger"),
    "EGW-1003": _remedy(
        "the charger id contains characters other than A-Z a-z 0-9 * - _ = : + | @ .",
        "set an id of these characters in the charger",
    ),
    "EGW-1004": _remedy("the charger requests no supported OCPP subprotocol", "set the charger to OCPP 1.6J, 2.0.1 or 2.1"),
    "EGW-1005": _remedy("no charger with this id is configured", "run edgegw charger list, then edgegw charger approve ID"),
    "EGW-1006": _remedy("too many unknown chargers wait for approval", "approve or reject some of them: edgegw charger list"),
    "EGW-1007": _remedy(
        "another connection with this charger id is alive",
        "find the second charger with this id, or wait until the old connection ends",
    ),
    "EGW-1008": _remedy("the request is not a WebSocket handshake", "enter the ws:// or wss:// address in the charger, not in a browser"),
    "EGW-1009": _remedy("too many unidentified connections are open", "find out who opens them: ss -tn; connected chargers stay connected"),
    # authentication of the charger
    "EGW-1101": _remedy(
        "the charger sends no password",
        "set HTTP Basic authentication in the charger; edgegw charger approve shows the values",
    ),
    "EGW-1102": _remedy(
        "the user name differs from the charger id in the URL",
        "set the user name of Basic authentication in the charger to the charger id",
    ),
    "EGW-1103": _remedy("the password is wrong", "set a new password on both sides: edgegw charger approve ID --new-password"),
    "EGW-1104": _remedy("too many wrong passwords arrive", "wait one minute and find out who sends them"),
    "EGW-1105": _remedy("the network requires TLS", "use wss:// (security profile 2), or add the network to ocpp.plaintext_networks"),
    "EGW-1106": _remedy(
        "the charger used TLS before and now connects without it",
        "set the charger back to wss://; after a planned change: edgegw charger approve ID --lower-profile",
    ),
    "EGW-1107": _remedy("the TLS handshake fails", "install the station's CA certificate in the charger and use TLS 1.2 or later"),
    # frames of the charger
    "EGW-1201": _remedy("the frame is not JSON", "report it to the charger's manufacturer"),
    "EGW-1202": _remedy("the frame is not an OCPP message", "report it to the charger's manufacturer"),
    "EGW-1203": _remedy("the message type is unknown", "no action: the gateway ignores the message"),
    "EGW-1204": _remedy("a billing value is missing or not a number", "no action: the meter bills; the journal keeps the frame"),
    "EGW-1205": _remedy("a JSON key appears twice", "no action: the meter bills; the journal keeps the frame"),
    "EGW-1206": _remedy("a value is not a decimal number (a decimal comma?)", "the meter bills; report it to the charger's manufacturer"),
    "EGW-1207": _remedy("a register value has no unit", "no action: the gateway assumes Wh, the default of OCPP"),
    "EGW-1208": _remedy("the message id is too long or not a string", "report it to the charger's manufacturer"),
    "EGW-1209": _remedy("the action is not part of this OCPP version", "no action: the gateway answers with an OCPP error"),
    "EGW-1210": _remedy("the charger's energy register decreases", "no action: the meter bills; the gateway marks the session as disputed"),
    "EGW-1211": _remedy("the transaction belongs to another charger", "find the second charger with copied settings"),
    "EGW-1212": _remedy("the transaction is unknown", "no action: the gateway stores the message"),
    "EGW-1213": _remedy(
        "a sequence number repeats with different content",
        "no action: the gateway uses the first message and stores the second",
    ),
    "EGW-1214": _remedy("the charger's clock is wrong", "synchronize the charger's clock with the gateway or with NTP"),
    "EGW-1215": _remedy("the connector is not configured", "add it to the charger as [[chargers.evses]] with its number"),
    "EGW-1220": _remedy("the JSON is nested deeper than 32 levels", "report it to the charger's manufacturer"),
    "EGW-1221": _remedy("the frame is larger than 65,536 bytes", "report it to the charger's manufacturer"),
    # meters
    "EGW-2001": _remedy("the meter has no such register", "check the meter profile: edgegw meter diagnose ID"),
    "EGW-2002": _remedy("the meter answers with a Modbus exception", "check unit id and meter profile: edgegw meter diagnose ID"),
    "EGW-2003": _remedy(
        "a register contains no number",
        "no action: the gateway discards the reading; check the meter if the fault persists",
    ),
    "EGW-2004": _remedy(
        "the energy increases faster than the rated power allows",
        "check the meter profile and its scale: edgegw meter diagnose ID",
    ),
    "EGW-2005": _remedy("the meter does not answer", "check cable, address and port: edgegw meter read ID"),
    "EGW-2006": _remedy("the energy register decreases", "check whether the meter was reset; a new epoch begins"),
    "EGW-2007": _remedy("the serial number of the meter differs", "after a planned replacement: edgegw meter adopt ID"),
    "EGW-2008": _remedy("another unit id answers", "check the bus for two devices with the same unit id"),
    "EGW-2009": _remedy("the response does not match the request", "check the bus for a second Modbus client, such as another gateway"),
    "EGW-2010": _remedy(
        "the model of the meter differs from its meter profile",
        "find the right meter profile: edgegw meter scan --host HOST",
    ),
    # HTTP
    "EGW-3001": _remedy("the request names an unknown host", "use http://127.0.0.1:PORT/, or add the host name to web.names"),
    "EGW-3002": _remedy("the form comes from another page or is too old", "open the page again by its code or address"),
    "EGW-3003": _remedy("the code of the screen is used or older than 60 seconds", "scan the code that the screen shows now"),
    "EGW-3004": _remedy("the page does not exist", "start at the home page of the station"),
    "EGW-3005": _remedy("the page belongs to another member", "log in as the member that owns the page"),
    "EGW-3006": _remedy("the request is larger than 65,536 bytes", "no action: the server reads nothing of it"),
    "EGW-3007": _remedy("the request has more than 64 headers", "no action: the server reads nothing of it"),
    "EGW-3008": _remedy("the page does not accept this request method", "no action: nothing changes"),
    "EGW-3009": _remedy("the page fails with an internal error", "report it with edgegw support; billing does not depend on pages"),
    "EGW-3010": _remedy("the representative is unreachable", "check its address and service; known cards continue to charge"),
    "EGW-3011": _remedy("too many attempts come from one address or for one login name", "wait one minute and find out who sends them"),
    # configuration
    "EGW-4001": _remedy("the disk is too small for storage.offline_days", "use a larger disk, or reduce storage.offline_days"),
    "EGW-4002": _remedy("other users can read a key file", "chmod 600 FILE"),
    "EGW-4003": _remedy("the private key does not match the certificate", "configure the pair that edgegw init created"),
    # storage
    "EGW-5001": _remedy("the disk is almost full", "free disk space; telemetry stops at 10 % free, new sessions at 5 %"),
    "EGW-5002": _remedy(
        "the schema of the journal is newer than this program",
        "install the version that wrote it, or run edgegw db restore",
    ),
    "EGW-5003": _remedy("another edgegw process uses this journal or store", "find it: systemctl status edgegw"),
    "EGW-5004": _remedy(
        "the disk has no space for the backup",
        "free disk space, then try again; nothing is changed",
    ),
    "EGW-5005": _remedy("a restore was interrupted", "run edgegw db restore FILE again; replaced/ keeps the replaced files"),
    "EGW-5006": _remedy(
        "a key is absent or does not open the backup",
        "put the key file back from its separate copy, then try again; nothing is changed",
    ),
    # MQTT
    "EGW-6001": _remedy(
        "a grid price is malformed or expired",
        "check the publisher of mqtt.price_topic; docs/mqtt.md describes the format; the gateway ignores the price",
    ),
    "EGW-6002": _remedy("the MQTT broker is unreachable", "check mqtt.host and mqtt.port, and that the broker runs: edgegw mqtt test"),
    "EGW-6003": _remedy(
        "the MQTT broker denies access",
        "check mqtt.username, mqtt.password_file and the access list of the broker: edgegw mqtt test",
    ),
    "EGW-6004": _remedy(
        "the TLS certificate of the MQTT broker is not trusted",
        "set mqtt.ca_file to its CA certificate and mqtt.host to the name in its certificate",
    ),
}  # fmt: skip


def explained(code: str, detail: str = "") -> str:
    """Return code, problem, detail and remedy as one line: `EGW-1103 the password is wrong: DETAIL; set a new …`."""
    known = REMEDIES[code]
    about = f": {detail}" if detail else ""
    return f"{code} {known.problem}{about}; {known.remedy}"
