"""Write stand-ins for Fabric's programs, to test devnet's runner (order, files, deadlines, processes) without Fabric.

They take the same arguments and create the same kinds of files and ports; they order no blocks and call no chaincode. Each
call is recorded as one line in `calls.txt` beside them.
"""

import sys
from pathlib import Path

NAMES = ("peer", "orderer", "configtxgen", "cryptogen", "osnadmin")

_SCRIPT = """#!{python}
import http.server, os, pathlib, re, socketserver, sys, threading
here, name, arguments = pathlib.Path(__file__).parent, pathlib.Path(__file__).name, sys.argv[1:]
with (here / "calls.txt").open("a") as calls:
    calls.write(" ".join((name, *arguments)) + "\\n")

def option(*names):
    for at, one in enumerate(arguments):
        for wanted in names:
            if one == wanted:
                return arguments[at + 1]
            if one.startswith(wanted + "="):
                return one.partition("=")[2]

def serve(ports, metrics_port, gauge):
    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = (gauge + "\\n").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *_):
            pass
    socketserver.TCPServer.allow_reuse_address = True
    servers = [socketserver.TCPServer(("127.0.0.1", port), socketserver.BaseRequestHandler) for port in ports]
    servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", metrics_port), Metrics))
    print(name, "serves", flush=True)
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()

def configuration(file):
    return pathlib.Path(os.environ["FABRIC_CFG_PATH"], file).read_text()

def authority(folder, domain, stem):
    import datetime
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, stem + "." + domain)])
    start = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256()))
    folder.mkdir(parents=True)
    (folder / (stem + "." + domain + "-cert.pem")).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "priv_sk").write_bytes(key.private_bytes(serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

if name == "orderer":
    text = configuration("orderer.yaml")
    if "refusing" in os.listdir(here):
        sys.exit("orderer: panic: no")
    port = int(re.search(r"ListenPort: (\\d+)", text)[1])
    operations, admin = (int(one) for one in re.findall(r'ListenAddress: "127.0.0.1:(\\d+)"', text))
    leads = re.search(r"orderer0/", text) is not None
    gauge = 'consensus_etcdraft_is_leader{{channel="energych"}} ' + str(int(leads))
    serve([port, admin], operations, gauge)
elif name == "peer" and arguments[:1] == ["node"]:
    text = configuration("core.yaml")
    port = int(re.search(r'  listenAddress: "127.0.0.1:(\\d+)"', text)[1])
    chaincode = int(re.search(r'chaincodeListenAddress: "127.0.0.1:(\\d+)"', text)[1])
    operations = int(re.search(r'operations:\\n  listenAddress: "127.0.0.1:(\\d+)"', text)[1])
    serve([port, chaincode], operations, 'ledger_blockchain_height{{channel="energych"}} 1')
elif name == "peer" and arguments == ["version"]:
    print("peer:\\n Version: v{version}\\n Go version: go1.26.4")
elif name == "peer" and arguments[:3] == ["lifecycle", "chaincode", "install"]:
    pathlib.Path(os.environ["FABRIC_CFG_PATH"], "core.yaml").read_text()
    note = here / (os.environ["CORE_PEER_ADDRESS"] + ".installed")
    if note.exists():
        sys.exit("Error: chaincode install failed with status: 500 - chaincode already successfully installed")
    note.touch()
elif name == "peer" and arguments[:3] == ["lifecycle", "chaincode", "commit"]:
    (here / "sequence").write_text(option("--sequence"))
elif name == "peer" and arguments[:3] == ["lifecycle", "chaincode", "querycommitted"]:
    import json
    note = here / "sequence"
    found = [dict(name="token", sequence=int(note.read_text()))] if note.exists() else None
    print(json.dumps(dict(chaincode_definitions=found)))
elif name == "osnadmin":
    print("Status: 403" if "refused" in os.listdir(here) else "Status: 201")
elif name == "configtxgen":
    pathlib.Path(option("-outputBlock")).write_bytes(b"genesis")
elif name == "cryptogen":
    text, out = pathlib.Path(option("--config")).read_text(), pathlib.Path(option("--output"))
    kind = "ordererOrganizations"
    for line in text.splitlines():
        if line.startswith("PeerOrgs"):
            kind = "peerOrganizations"
        if found := re.search(r'Domain: "(.+)"', line):
            authority(out / kind / found[1] / "ca", found[1], "ca")
            authority(out / kind / found[1] / "tlsca", found[1], "tlsca")
"""


def write_stand_ins(folder: Path, *, version: str = "3.1.5") -> Path:
    """Write all stand-ins into a new folder and return it."""
    folder.mkdir(parents=True)
    for name in NAMES:
        script = folder / name
        script.write_text(_SCRIPT.format(python=sys.executable, version=version))
        script.chmod(0o755)
    return folder


def calls(folder: Path) -> list[str]:
    """Return the calls so far, in order, including the starts of nodes."""
    file = folder / "calls.txt"
    return file.read_text().splitlines() if file.exists() else []
