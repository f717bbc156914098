"""The closed list of refusals a user meets: a stable code, what was wrong, and what to do about it.

Decides wording only. Whoever refuses something logs the code with what it knows (charger, meter, value) and the remedy;
what a stranger is told on the wire is shorter. Explained in docs/errors.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One kind of refusal: `problem` in a few words, `remedy` as an instruction."""

    problem: str
    remedy: str


def _remedy(problem: str, remedy: str) -> Remedy:
    return Remedy(problem=problem, remedy=remedy)


REMEDIES: Mapping[str, Remedy] = {
    # a charger opens a connection
    "EGW-1001": _remedy("no station id in the URL", "enter ws://HOST:PORT/ocpp/ID into the charger; see: edgegw charger url"),
    "EGW-1002": _remedy("the station id is longer than 48 characters", "give the charger a shorter identity"),
    "EGW-1003": _remedy(
        "the station id has characters outside A-Z a-z 0-9 * - _ = : + | @ .", "give the charger a plain identity"
    ),
    "EGW-1004": _remedy(
        "no OCPP sub-protocol that is spoken here was offered", "set the charger to OCPP 1.6J, 2.0.1 or 2.1"
    ),
    "EGW-1005": _remedy("no charger of this id is configured", "edgegw charger list, then: edgegw charger approve ID"),
    "EGW-1006": _remedy("too many unknown chargers wait already", "approve or reject some: edgegw charger list"),
    "EGW-1007": _remedy(
        "a charger of this id is connected and alive",
        "look for a second charger with the same identity, or wait until its old connection is dead",
    ),
    "EGW-1008": _remedy("this is no WebSocket handshake", "enter the address as ws:// or wss:// into the charger, not into a browser"),
    "EGW-1009": _remedy(
        "too many connections at once of which nobody knows whose they are",
        "look who opens them: ss -tn; chargers that are connected stay so",
    ),
    # who it is
    "EGW-1101": _remedy("the charger sent no password", "set Basic authentication in the charger; edgegw charger approve shows how"),
    "EGW-1102": _remedy("the user name is not the id in the URL", "the charger's Basic user name must be its identity"),
    "EGW-1103": _remedy("the password is wrong", "set it again on both sides: edgegw charger approve ID --new-password"),
    "EGW-1104": _remedy("too many wrong passwords", "wait a minute; look who tries"),
    "EGW-1105": _remedy(
        "this network may not connect without TLS",
        "use wss:// (security profile 2), or name the network in ocpp.plaintext_networks",
    ),
    "EGW-1106": _remedy(
        "the charger came with TLS before and now comes without",
        "set the charger back to wss://; after a planned change: edgegw charger approve ID --lower-profile",
    ),
    "EGW-1107": _remedy(
        "the TLS handshake failed", "install the authority's certificate in the charger and use TLS 1.2 or newer"
    ),
    # what it says
    "EGW-1201": _remedy("the frame is not JSON", "report it to the charger's maker"),
    "EGW-1202": _remedy("the frame is no OCPP message", "report it to the charger's maker"),
    "EGW-1203": _remedy("the message type is unknown", "none is needed: it is ignored"),
    "EGW-1204": _remedy("a billing value is missing or no number", "the meter bills; look at the stored frame"),
    "EGW-1205": _remedy("a key appears twice", "the meter bills; look at the stored frame"),
    "EGW-1206": _remedy("a value is not a decimal (a comma?)", "the meter bills; report it to the charger's maker"),
    "EGW-1207": _remedy("a register has no unit", "none is needed: Wh is taken, as the standard says"),
    "EGW-1208": _remedy("the message id is too long or no text", "report it to the charger's maker"),
    "EGW-1209": _remedy("the action is not part of this version", "none is needed: it is answered so"),
    "EGW-1210": _remedy("the charger's register went back", "the meter bills; the session is marked as disputed"),
    "EGW-1211": _remedy("the transaction is another charger's", "look for a second charger with copied settings"),
    "EGW-1212": _remedy("the transaction is not known here", "none is needed: the message is stored"),
    "EGW-1213": _remedy("a sequence number repeats with different content", "the first counts; the second is stored"),
    "EGW-1214": _remedy("the charger's clock is far off", "let the charger take its time from the gateway or from NTP"),
    "EGW-1215": _remedy("the connector is not configured", "add it to the charger as [[chargers.evses]] with its number"),
    "EGW-1220": _remedy("the JSON is nested deeper than 32", "report it to the charger's maker"),
    "EGW-1221": _remedy("the frame is larger than 65,536 bytes", "report it to the charger's maker"),
    # meters
    "EGW-2001": _remedy("the meter has no such register", "check the profile: edgegw meter diagnose ID"),
    "EGW-2002": _remedy("the meter answered with an exception", "check unit id and profile: edgegw meter diagnose ID"),
    "EGW-2003": _remedy("a register holds no number", "the reading is discarded; look at the meter when it stays"),
    "EGW-2004": _remedy("the energy jumped further than the rated power allows", "check the profile and its scale: edgegw meter diagnose ID"),
    "EGW-2005": _remedy("the meter does not answer", "check cable, address and port: edgegw meter read ID"),
    "EGW-2006": _remedy("the register went back", "a new epoch begins; check whether the meter was reset"),
    "EGW-2007": _remedy("the meter's serial number changed", "after a planned change: edgegw meter adopt ID"),
    "EGW-2008": _remedy("another unit id answered", "check the bus for two devices with one id"),
    # HTTP
    "EGW-3001": _remedy("the request names an unknown host", "ask as http://127.0.0.1:PORT/, or name the host in web.names"),
    "EGW-3002": _remedy("a form came from another page, or from an old one", "open the page again, by its code or address"),
    "EGW-3003": _remedy("a screen's code was used already, or is older than 60 seconds", "scan the one that is shown now"),
    "EGW-3004": _remedy("there is no such page", "begin at the station's first page"),
    "EGW-3005": _remedy("the page belongs to another member", "log in as the member whose it is"),
    "EGW-3006": _remedy("the request is larger than 65,536 bytes", "none is needed: nothing was read"),
    "EGW-3007": _remedy("the request has more than 64 headers", "none is needed: nothing was read"),
    "EGW-3008": _remedy("the page cannot be asked in this way", "none is needed: nothing was changed"),
    "EGW-3009": _remedy("a page failed", "report it with edgegw support; nothing that bills depends on it"),
    "EGW-3010": _remedy("the representative cannot be reached", "check its address and service; cards that are known go on charging"),
    "EGW-3011": _remedy("too many tries from one address or for one name", "wait a minute; look who tries"),
    "EGW-2009": _remedy("the answer is not what was asked for", "look for a second master, or another gateway, on this bus"),
    "EGW-2010": _remedy("the meter is of another model than its profile", "name the right one: edgegw meter scan --host HOST"),
    # configuration and storage
    "EGW-4001": _remedy("the disk cannot hold the promised days", "use a larger disk, or lower storage.offline_days"),
    "EGW-4002": _remedy("a key file may be read by others", "chmod 600 FILE"),
    "EGW-4003": _remedy("key and certificate do not belong together", "name the pair that edgegw init made"),
    "EGW-5001": _remedy("the disk is filling up", "make room; telemetry stops at 10 % free, new sessions at 5 %"),
    "EGW-5002": _remedy("the journal is newer than this program", "install the version that wrote it, or: edgegw db restore"),
    "EGW-5003": _remedy("another edgegw runs on this journal", "systemctl status edgegw"),
    "EGW-5004": _remedy("no room for the backup that precedes a migration", "make room, then start edgegw again; nothing was changed"),
    "EGW-5005": _remedy("a restore was interrupted", "edgegw db restore FILE once more; what was replaced is kept in replaced/"),
    # MQTT
    "EGW-6001": _remedy("a grid price is malformed or expired, and was ignored", "look at who publishes to mqtt.price_topic; docs/mqtt.md shows the form"),
    "EGW-6002": _remedy("the MQTT broker is out of reach", "check mqtt.host and mqtt.port, and that the broker runs: edgegw mqtt test"),
    "EGW-6003": _remedy(
        "the MQTT broker does not allow it",
        "check mqtt.username, mqtt.password_file and the broker's access list: edgegw mqtt test",
    ),
    "EGW-6004": _remedy(
        "the MQTT broker's TLS cannot be trusted",
        "name its authority in mqtt.ca_file, and the broker as its certificate does in mqtt.host",
    ),
}  # fmt: skip


def explained(code: str, detail: str = "") -> str:
    """`EGW-1103 the password is wrong: DETAIL; set it again …` as one line for people."""
    known = REMEDIES[code]
    about = f": {detail}" if detail else ""
    return f"{code} {known.problem}{about}; {known.remedy}"
