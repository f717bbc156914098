"""Sentences of the daemon that the operator's pages show, listed for the catalogues.

Decides nothing. A test compares them with `ports.station_health` and `common.error_codes`.
"""

import re


def N_(text: str) -> str:  # noqa: N802 - gettext's name for a text that is translated where it is shown
    """Mark a text for the catalogues and return it unchanged (gettext's N_)."""
    return text


PATTERNS = tuple((re.compile(pattern), text) for pattern, text in (
    (r"meter (?P<meter>\S+)", N_("meter %(meter)s")),
    (r"certificate of (?P<name>.+)", N_("certificate of %(name)s")),
    (r"(?P<what>\w+) makes no progress", N_("%(what)s makes no progress")),
    (r"the event loop lags by (?P<late>\d+) ms", N_("the event loop lags by %(late)s ms")),
    (r"(?P<percent>\d+) % free", N_("%(percent)s %% free")),
    (r"(?P<percent>\d+) % free: the station refuses new sessions", N_("%(percent)s %% free: the station refuses new sessions")),
    (r"(?P<percent>\d+) % free: the disk is almost full", N_("%(percent)s %% free: the disk is almost full")),
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
    (r"expires in (?P<days>\d+) days", N_("expires in %(days)s days")),
    (
        r"without TLS \(security profile 1\), only for chargers in (?P<networks>.+)",
        N_("without TLS (security profile 1), only for chargers in %(networks)s"),
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
    N_("operational"),
    N_("drains before shutdown"),
    N_("enough space"),
    N_("no charger is configured"),
    N_("connected"),
    N_("no connection to the broker"),
    N_("not synchronized by NTP"),
    N_("has expired"),
)

HINTS = (
    N_("the service manager restarts the daemon; then run edgegw support"),
    N_("reduce the load of this machine"),
    N_("run edgegw charger url, then edgegw charger list"),
    N_("run edgegw charger approve ID or edgegw charger reject ID"),
    N_("check that the peer runs: edgegw ledger supply; waiting trades are not lost"),
    N_("run timedatectl set-ntp true; a peer refuses requests more than 15 minutes off"),
    N_("renew it (for the ledger: edgegw enroll), then run systemctl reload edgegw"),
    N_("with TLS (security profile 2); the charger must trust this station's CA certificate (tls/ca.pem)"),
)

REMEDIES_SHOWN = (
    N_("the URL contains no charger id"),
    N_("enter ws://HOST:PORT/ocpp/ID in the charger; edgegw charger url shows the address"),
    N_("the charger id is longer than 48 characters"),
    N_("set a shorter id in the charger"),
    N_("the charger id contains characters other than A-Z a-z 0-9 * - _ = : + | @ ."),
    N_("set an id of these characters in the charger"),
    N_("the charger requests no supported OCPP subprotocol"),
    N_("set the charger to OCPP 1.6J, 2.0.1 or 2.1"),
    N_("no charger with this id is configured"),
    N_("run edgegw charger list, then edgegw charger approve ID"),
    N_("too many unknown chargers wait for approval"),
    N_("approve or reject some of them: edgegw charger list"),
    N_("another connection with this charger id is alive"),
    N_("find the second charger with this id, or wait until the old connection ends"),
    N_("the request is not a WebSocket handshake"),
    N_("enter the ws:// or wss:// address in the charger, not in a browser"),
    N_("too many unidentified connections are open"),
    N_("find out who opens them: ss -tn; connected chargers stay connected"),
    N_("the charger sends no password"),
    N_("set HTTP Basic authentication in the charger; edgegw charger approve shows the values"),
    N_("the user name differs from the charger id in the URL"),
    N_("set the user name of Basic authentication in the charger to the charger id"),
    N_("the password is wrong"),
    N_("set a new password on both sides: edgegw charger approve ID --new-password"),
    N_("too many wrong passwords arrive"),
    N_("wait one minute and find out who sends them"),
    N_("the network requires TLS"),
    N_("use wss:// (security profile 2), or add the network to ocpp.plaintext_networks"),
    N_("the charger used TLS before and now connects without it"),
    N_("set the charger back to wss://; after a planned change: edgegw charger approve ID --lower-profile"),
    N_("the TLS handshake fails"),
    N_("install the station's CA certificate in the charger and use TLS 1.2 or later"),
    N_("the meter has no such register"),
    N_("check the meter profile: edgegw meter diagnose ID"),
    N_("the meter answers with a Modbus exception"),
    N_("check unit id and meter profile: edgegw meter diagnose ID"),
    N_("a register contains no number"),
    N_("no action: the gateway discards the reading; check the meter if the fault persists"),
    N_("the energy increases faster than the rated power allows"),
    N_("check the meter profile and its scale: edgegw meter diagnose ID"),
    N_("the meter does not answer"),
    N_("check cable, address and port: edgegw meter read ID"),
    N_("the energy register decreases"),
    N_("check whether the meter was reset; a new epoch begins"),
    N_("the serial number of the meter differs"),
    N_("after a planned replacement: edgegw meter adopt ID"),
    N_("another unit id answers"),
    N_("check the bus for two devices with the same unit id"),
    N_("the response does not match the request"),
    N_("check the bus for a second Modbus client, such as another gateway"),
    N_("the model of the meter differs from its meter profile"),
    N_("find the right meter profile: edgegw meter scan --host HOST"),
    N_("the disk is almost full"),
    N_("free disk space; telemetry stops at 10 % free, new sessions at 5 %"),
)
