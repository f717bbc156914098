"""Provide a clean Debian to install the package in: made once by debootstrap, with a copy-on-write layer for each test.

`clean_root()` yields a root in which commands run as in a container without systemd; `booted(root)` starts its systemd, in a
network namespace that has only loopback. `wheel()` and `package()` are built by the Makefile. Everything is kept under
`build/`; no process outlives its context. Needs root, Debian and its archive: `missing()` returns what is missing.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
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
# Packages that every Debian installation has, but debootstrap's minimal variant lacks.
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
    """A root folder; `enter` is the command prefix that runs a command inside it."""

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
        """Run a command inside, with `words` on its standard input; another exit status fails the test with its output."""
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
        """Return what a command inside prints."""
        return self.run(*command).stdout.strip()

    def write(self, path: str, text: str, *, owner: str = "root:root", mode: str = "0644") -> None:
        """Write a file inside."""
        place = self.path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        self.run("chown", owner, path)
        self.run("chmod", mode, path)

    def serve(self, name: str, *command: str) -> None:
        """In a booted root, run a command as service NAME; `journalctl -u NAME` has its output."""
        self.run("systemd-run", f"--unit={name}", "--quiet", "--setenv=PYTHONUNBUFFERED=1", *command)

    def install(self, package: Path) -> str:
        """Install a package with apt, without answers to any question; return apt's output."""
        place = f"/var/tmp/{package.name}"
        shutil.copy(package, self.path / place.lstrip("/"))
        return self.run("apt-get", "install", "-y", "--no-install-recommends", "--reinstall", place).stdout


@functools.cache
def missing() -> str:
    """Return why this machine cannot make a clean root, in one line; empty if it can."""
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
    """Return why this machine cannot boot a clean root, in one line; empty if it can."""
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
    """Yield a fresh copy of the base root, deleted at the end; its processes end with each command. Call `missing` first."""
    base = _base_root()
    folder = Path(tempfile.mkdtemp(prefix="layer-", dir=BUILD))
    folder.chmod(0o755)
    place = folder / "root"
    for name in ("root", "upper", "work"):
        (folder / name).mkdir()
    layers = f"lowerdir={base},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    mounted = not _status("mount", "-t", "overlay", "overlay", "-o", layers, str(place))
    if not mounted:  # an overlay on an overlay is not possible
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
    """Boot a root with its own systemd as process 1 and its own loopback; shut it down at the end."""
    log = root.path.parent / "console.txt"
    with log.open("wb") as console:
        machine = subprocess.Popen(
            [*_NSPAWN, f"--directory={root.path}", "--console=pipe", "--boot"],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console,
        )  # fmt: skip
    try:
        inside = _wait_for_boot(machine, log)
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
    """Return the wheel of the current sources; needs neither root nor Debian."""
    return _built("wheel", "*.whl")


def package() -> Path:
    """Return the Debian package of the current sources."""
    return _built("deb", "*.deb")


def _built(target: str, pattern: str) -> Path:
    """Return the file that a target of the Makefile builds; rebuild it if the sources have changed."""
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
    """Return a hash of all files that packages are made of."""
    digest = hashlib.sha256()
    for name in MADE_OF:
        top = ROOT / name
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _base_root() -> Path:
    """Return the root that all others are copies of."""
    return BUILD / f"clean-root-{_release()['VERSION_CODENAME']}"


def _make_base_root() -> str:
    """Make the base root unless it exists; return debootstrap's last line if it fails, which is no failure of the test."""
    base = _base_root()
    with _lock("root"):
        if not base.is_dir():
            half = base.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            made = subprocess.run(
                # In its own mount namespace: a killed run leaves no /proc mounted in the incomplete root.
                ["unshare", "--mount", "--propagation", "private",
                 "debootstrap", "--variant=minbase", f"--include={INCLUDED}", _release()["VERSION_CODENAME"], str(half)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            if made.returncode != 0:
                return f"debootstrap cannot make a root here: {made.stdout.strip().splitlines()[-1]}"
            # Copies are temporary: dpkg need not wait for the disk.
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
    """Hold a lock that one process of the test run can have at a time."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _wait_for_boot(machine: subprocess.Popen[bytes], log: Path) -> CleanRoot:
    """Return the machine once its process 1 says that it runs.

    The child of systemd-nspawn is process 1 only after a moment: an earlier child of it sets the namespaces up.
    """
    children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
    end = time.monotonic() + LONG_PATIENCE_S
    state = ""
    while machine.poll() is None and time.monotonic() < end:
        for leader in filter(_is_process_1, children.read_text().split()):
            enter = ("nsenter", f"--target={leader}", "--all", "--")
            inside = CleanRoot(path=Path(f"/proc/{leader}/root"), enter=enter)
            with contextlib.suppress(FileNotFoundError):
                state = inside.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
            if state in {"running", "degraded"}:
                return inside
        time.sleep(0.1)
    raise AssertionError(f"the machine did not come up ({state}):\n{log.read_text(errors='replace')}")


def _is_process_1(pid: str) -> bool:
    """Return whether a process is number 1 of a process namespace of its own: no other is entered, least of all ours."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        numbers = re.search(r"^NSpid:(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return numbers is not None and len(numbers[1].split()) > 1 and numbers[1].split()[-1] == "1"
    return False
