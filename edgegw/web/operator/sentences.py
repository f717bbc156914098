"""Sentences of the daemon that operators' pages show, for the catalogues. A test holds them against `condition` and `remedies`.

Decides nothing; only lists.
"""

import re


def N_(text: str) -> str:  # noqa: N802 - gettext's name for a text that is translated where it is shown
    """A text for the catalogues."""
    return text


PATTERNS = tuple((re.compile(pattern), text) for pattern, text in (
    (r"meter (?P<meter>\S+)", N_("meter %(meter)s")),
    (r"certificate of (?P<name>.+)", N_("certificate of %(name)s")),
    (r"(?P<what>\w+) makes no progress", N_("%(what)s makes no progress")),
    (r"runs (?P<late>\d+) ms late", N_("runs %(late)s ms late")),
    (r"(?P<percent>\d+) % free", N_("%(percent)s %% free")),
    (r"(?P<percent>\d+) % free: new sessions are refused", N_("%(percent)s %% free: new sessions are refused")),
    (r"(?P<percent>\d+) % free: it is filling up", N_("%(percent)s %% free: it is filling up")),
    (r"(?P<away>\d+) of (?P<all>\d+) not connected: (?P<names>.+)", N_("%(away)s of %(all)s not connected: %(names)s")),
    (r"(?P<count>\d+) connected", N_("%(count)s connected")),
    (r"(?P<count>\d+) wait for approval: (?P<names>.+)", N_("%(count)s wait for approval: %(names)s")),
    (r"not read yet: (?P<names>.+)", N_("not read yet: %(names)s")),
    (r"(?P<count>\d+) read", N_("%(count)s read")),
    (
        r"(?P<trades>\d+) trades and (?P<submissions>\d+) submissions wait",
        N_("%(trades)s trades and %(submissions)s submissions wait"),
    ),
    (
        r"(?P<trades>\d+) trades and (?P<submissions>\d+) submissions wait: (?P<why>.+)",
        N_("%(trades)s trades and %(submissions)s submissions wait: %(why)s"),
    ),
    (r"ends in (?P<days>\d+) days", N_("ends in %(days)s days")),
    (
        r"without TLS \(security profile 1\), for chargers in (?P<networks>.+) only",
        N_("without TLS (security profile 1), for chargers in %(networks)s only"),
    ),
))  # fmt: skip

PARTS = (
    N_("daemon"),
    N_("disk"),
    N_("chargers"),
    N_("unknown chargers"),
    N_("meters"),
    N_("ledger"),
    N_("mqtt"),
    N_("clock"),
)

CONDITIONS = (
    N_("serves"),
    N_("drains before it ends"),
    N_("room enough"),
    N_("none is configured"),
    N_("connected"),
    N_("no broker"),
    N_("not kept by NTP"),
    N_("has ended"),
)

HINTS = (
    N_("the service manager restarts it; then: edgegw support"),
    N_("the machine is slow or busy"),
    N_("edgegw charger url, then: edgegw charger list"),
    N_("edgegw charger approve ID, or: edgegw charger reject ID"),
    N_("nothing is lost; is the peer running? edgegw ledger supply"),
    N_("timedatectl set-ntp true; a peer refuses what is more than 15 minutes off"),
    N_("renew it (edgegw enroll, for the ledger), then: systemctl reload edgegw"),
    N_("with TLS (security profile 2), once the charger trusts this station's authority (tls/ca.pem)"),
)

REMEDIES_SHOWN = (
    N_("no station id in the URL"),
    N_("enter ws://HOST:PORT/ocpp/ID into the charger; see: edgegw charger url"),
    N_("the station id is longer than 48 characters"),
    N_("give the charger a shorter identity"),
    N_("the station id has characters outside A-Z a-z 0-9 * - _ = : + | @ ."),
    N_("give the charger a plain identity"),
    N_("no OCPP sub-protocol that is spoken here was offered"),
    N_("set the charger to OCPP 1.6J, 2.0.1 or 2.1"),
    N_("no charger of this id is configured"),
    N_("edgegw charger list, then: edgegw charger approve ID"),
    N_("too many unknown chargers wait already"),
    N_("approve or reject some: edgegw charger list"),
    N_("a charger of this id is connected and alive"),
    N_("look for a second charger with the same identity, or wait until its old connection is dead"),
    N_("this is no WebSocket handshake"),
    N_("enter the address as ws:// or wss:// into the charger, not into a browser"),
    N_("too many connections at once of which nobody knows whose they are"),
    N_("look who opens them: ss -tn; chargers that are connected stay so"),
    N_("the charger sent no password"),
    N_("set Basic authentication in the charger; edgegw charger approve shows how"),
    N_("the user name is not the id in the URL"),
    N_("the charger's Basic user name must be its identity"),
    N_("the password is wrong"),
    N_("set it again on both sides: edgegw charger approve ID --new-password"),
    N_("too many wrong passwords"),
    N_("wait a minute; look who tries"),
    N_("this network may not connect without TLS"),
    N_("use wss:// (security profile 2), or name the network in ocpp.plaintext_networks"),
    N_("the charger came with TLS before and now comes without"),
    N_("set the charger back to wss://; after a planned change: edgegw charger approve ID --lower-profile"),
    N_("the TLS handshake failed"),
    N_("install the authority's certificate in the charger and use TLS 1.2 or newer"),
    N_("the meter has no such register"),
    N_("check the profile: edgegw meter diagnose ID"),
    N_("the meter answered with an exception"),
    N_("check unit id and profile: edgegw meter diagnose ID"),
    N_("a register holds no number"),
    N_("the reading is discarded; look at the meter when it stays"),
    N_("the energy jumped further than the rated power allows"),
    N_("check the profile and its scale: edgegw meter diagnose ID"),
    N_("the meter does not answer"),
    N_("check cable, address and port: edgegw meter read ID"),
    N_("the register went back"),
    N_("a new epoch begins; check whether the meter was reset"),
    N_("the meter's serial number changed"),
    N_("after a planned change: edgegw meter adopt ID"),
    N_("another unit id answered"),
    N_("check the bus for two devices with one id"),
    N_("the answer is not what was asked for"),
    N_("look for a second master, or another gateway, on this bus"),
    N_("the meter is of another model than its profile"),
    N_("name the right one: edgegw meter scan --host HOST"),
    N_("the disk is filling up"),
    N_("make room; telemetry stops at 10 % free, new sessions at 5 %"),
)
