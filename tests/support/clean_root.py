"""A clean Debian to install the package in: made once with debootstrap, a copy-on-write layer for each test, booted on wish.

`clean_root()` gives a root in which commands run as in a container without systemd; `booted(root)` starts its own systemd
with a network of its own, in which nothing but loopback exists. `wheel()` and `package()` are built by the Makefile.
Everything is kept under `build/`; nothing outlives a context. Needs root, Debian and its archive: `missing()` says what is not there.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import LONG_PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
# What every Debian installation has, and debootstrap's smallest variant has not.
INCLUDED = "systemd,systemd-sysv,dbus,procps,python3"
MADE_OF = (
    "edgegw",
    "firmware_sim",
    "configs",
    "docs",
    "deb",
    "systemd",
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
)
END_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRoot:
    """A root folder; `enter` is what makes a command run inside it."""

    path: Path
    enter: Sequence[str]

    def run(
        self,
        *command: str,
        user: str = "root",
        check: bool = True,
        words: str = "",
        timeout_s: float = LONG_PATIENCE_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, with `words` on its standard input; a bad end fails the test with its output."""
        who = () if user == "root" else ("runuser", "--user", user, "--")
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/",
            "TERM": "dumb",
        }
        ended = subprocess.run(
            [*self.enter, *who, *command],
            input=words, capture_output=True, text=True, timeout=timeout_s, env=environment, check=False,
        )  # fmt: skip
        if check and ended.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
        return ended

    def read(self, *command: str) -> str:
        """What a command inside prints."""
        return self.run(*command).stdout.strip()

    def write(self, path: str, text: str, *, owner: str = "root:root", mode: str = "0644") -> None:
        """Write a file inside."""
        place = self.path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        self.run("chown", owner, path)
        self.run("chmod", mode, path)

    def serve(self, name: str, *command: str) -> None:
        """In a booted root: keep a command running as a service NAME, whose words `journalctl -u NAME` has."""
        self.run("systemd-run", f"--unit={name}", "--quiet", "--setenv=PYTHONUNBUFFERED=1", *command)

    def install(self, package: Path) -> str:
        """Install a package as a person does, without an answer to any question; gives what apt said."""
        place = f"/var/tmp/{package.name}"
        shutil.copy(package, self.path / place.lstrip("/"))
        return self.run("apt-get", "install", "-y", "--no-install-recommends", "--reinstall", place).stdout


@functools.cache
def missing() -> str:
    """Why no clean root can be had on this machine, in one line; empty where it can."""
    if os.geteuid() != 0:
        return "a clean Debian root needs root"
    if _release().get("ID") != "debian":
        return "a clean Debian root is made on Debian only"
    if _status("unshare", "--mount", "--pid", "--fork", "true"):
        return "a clean Debian root needs mounts, which this container may not make"
    for tool, package in (
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
        ("make", "make"),
    ):
        with _lock("apt"):
            if not shutil.which(tool) and not _apt_install(package):
                return f"{tool} is not here, and apt-get install {package} fails"
    return _make_base_root()


@functools.cache
def unbootable() -> str:
    """Why a clean root cannot be booted on this machine, in one line; empty where it can."""
    if reason := missing():
        return reason
    with clean_root() as root:
        probe = subprocess.run(
            [*_NSPAWN, f"--directory={root.path}", "/bin/true"], capture_output=True, text=True, check=False
        )
    return (
        ""
        if probe.returncode == 0
        else f"systemd-nspawn cannot run here: {probe.stderr.strip().splitlines()[-1]}"
    )


@contextlib.contextmanager
def clean_root() -> Iterator[CleanRoot]:
    """A fresh copy of the base root; processes in it end with each command, the copy with the context. Ask `missing` first."""
    base = _base_root()
    folder = Path(tempfile.mkdtemp(prefix="layer-", dir=BUILD))
    folder.chmod(0o755)
    place = folder / "root"
    for name in ("root", "upper", "work"):
        (folder / name).mkdir()
    layers = f"lowerdir={base},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    mounted = not _status("mount", "-t", "overlay", "overlay", "-o", layers, str(place))
    if not mounted:  # no overlay upon an overlay
        place.rmdir()
        subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(place)], check=True)
    enter = (
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        f"--mount-proc={place}/proc",
        "chroot",
        str(place),
    )
    try:
        yield CleanRoot(path=place, enter=enter)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        shutil.rmtree(folder)


@contextlib.contextmanager
def booted(root: CleanRoot) -> Iterator[CleanRoot]:
    """The same root with its own systemd as process 1 and its own loopback; shut down at the end."""
    log = root.path.parent / "console.txt"
    with log.open("wb") as console:
        machine = subprocess.Popen(
            [*_NSPAWN, f"--directory={root.path}", "--console=pipe", "--boot"],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console,
        )  # fmt: skip
    try:
        leader = _wait_for_leader(machine, log)
        enter = ("nsenter", f"--target={leader}", "--all", "--")
        inside = CleanRoot(path=Path(f"/proc/{leader}/root"), enter=enter)
        _wait_for_boot(inside, machine, log)
        yield inside
    finally:
        machine.terminate()  # systemd-nspawn shuts the machine down in order
        try:
            machine.wait(END_S)
        except subprocess.TimeoutExpired:
            machine.kill()
            machine.wait()


_NSPAWN = (
    "systemd-nspawn",
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--resolv-conf=off",
)


def wheel() -> Path:
    """The wheel of the sources as they are; needs neither root nor Debian."""
    return _built("wheel", "*.whl")


def package() -> Path:
    """The Debian package of the sources as they are."""
    return _built("deb", "*.deb")


def _built(target: str, pattern: str) -> Path:
    """What a target of the Makefile builds; built again where the last one was of other sources."""
    place = BUILD / "test" / target
    with _lock("built"):
        stamp, now = place / "made-of", _fingerprint()
        if not stamp.exists() or stamp.read_text() != now:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            made = subprocess.run(
                ["make", "--old-file=.venv/.runtime", target, f"DIST={place.relative_to(ROOT)}"],
                cwd=ROOT, env=os.environ | {"DEB_COMPRESSION": "-Zzstd -z3"}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert made.returncode == 0, made.stdout + made.stderr
            stamp.write_text(now)
    return next(place.glob(pattern))


def _fingerprint() -> str:
    """Of everything that packages are made of."""
    digest = hashlib.sha256()
    for name in MADE_OF:
        top = ROOT / name
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _base_root() -> Path:
    """The root that all others are copies of."""
    return BUILD / f"clean-root-{_release()['VERSION_CODENAME']}"


def _make_base_root() -> str:
    """Make the base root where it is not there yet; what debootstrap said last where it cannot, which is not our fault."""
    base = _base_root()
    with _lock("root"):
        if not base.is_dir():
            half = base.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            made = subprocess.run(
                # Of its own mounts: a test run killed here leaves no /proc mounted under the half.
                ["unshare", "--mount", "--propagation", "private",
                 "debootstrap", "--variant=minbase", f"--include={INCLUDED}", _release()["VERSION_CODENAME"], str(half)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            if made.returncode != 0:
                return f"debootstrap cannot make a root here: {made.stdout.strip().splitlines()[-1]}"
            # Copies are thrown away: dpkg need not wait for the disk.
            (half / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n", encoding="ascii")
            half.rename(base)
    return ""


def _release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


def _apt_install(package: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    commands = (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", package))
    done = (
        subprocess.run(["apt-get", *one], env=environment, capture_output=True, check=False)
        for one in commands
    )
    return all(one.returncode == 0 for one in done)


def _status(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


@contextlib.contextmanager
def _lock(name: str) -> Iterator[None]:
    """One process of the test run at a time."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _wait_for_leader(machine: subprocess.Popen[bytes], log: Path) -> int:
    """Process 1 of the machine, as it is numbered here."""
    children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
    end = time.monotonic() + LONG_PATIENCE_S
    while machine.poll() is None and time.monotonic() < end:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.05)
    raise AssertionError(f"systemd-nspawn ended:\n{log.read_text(errors='replace')}")


def _wait_for_boot(inside: CleanRoot, machine: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + LONG_PATIENCE_S
    state = ""
    while machine.poll() is None and time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            state = inside.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        if state in {"running", "degraded"}:
            return
        time.sleep(0.1)
    raise AssertionError(f"the machine did not come up ({state}):\n{log.read_text(errors='replace')}")
