"""`edgegw check`, `edgegw doctor` and `edgegw support`: check the configuration and the station, and collect evidence."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgegw.cli.console import Exit, config_option, config_path, json_option, show
from edgegw.cli.daemon import DaemonAwayError, ask_daemon
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.diagnostics.doctor import Finding

_SIGNS = {"ok": "ok  ", "warning": "WARN", "failed": "FAIL"}


@click.command()
@click.option(
    "--online", is_flag=True, help="Also check the clock, the peer, the MQTT broker and the meters."
)
@config_option
@json_option
def check(*, online: bool, config: Config, as_json: bool) -> None:
    """Check the configuration and the files it names; exit status 78 if the daemon would refuse to start."""
    from edgegw.diagnostics import doctor

    findings = list(doctor.offline(config))
    if online:
        findings += asyncio.run(doctor.online(config))
    _print_findings(findings, as_json=as_json)


@click.command()
@config_option
@json_option
def doctor(*, config: Config, as_json: bool) -> None:
    """Run every check that moves neither energy nor tokens: machine, files, disk, clock, peer, broker, meters, daemon."""
    from edgegw.diagnostics import doctor

    status = _status(config)
    findings = [
        *doctor.machine(config, running=status is not None),
        *doctor.offline(config),
        *asyncio.run(doctor.online(config)),
        *doctor.told(status),
    ]
    _print_findings(findings, as_json=as_json)


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Output file; default: edgegw-support-TIME.tar.gz in the current folder.",
)
@config_option
@json_option
def support(*, output: Path | None, config: Config, as_json: bool) -> None:
    """Write a support bundle: configuration, status, findings and log, without secrets, cards or members."""
    from edgegw.diagnostics import doctor
    from edgegw.diagnostics.support_bundle import write_bundle

    status = _status(config)
    findings = [
        *doctor.machine(config, running=status is not None),
        *doctor.offline(config),
        *asyncio.run(doctor.online(config)),
    ]
    path = write_bundle(
        output,
        config_path(),
        config,
        status=status,
        findings=[asdict(finding) for finding in findings],
    )
    if as_json:
        show({"file": str(path)}, as_json=True)
    else:
        click.echo(f"{path}: review it before you send it; it contains charger ids, meter ids and addresses")


def _status(config: Config) -> dict[str, Any] | None:
    try:
        status: dict[str, Any] = ask_daemon(config, "status")
    except DaemonAwayError:
        return None
    return status


def _print_findings(findings: "Sequence[Finding]", *, as_json: bool) -> None:
    from edgegw.diagnostics.doctor import Verdict, worst

    verdict = worst(findings)
    if as_json:
        show({"verdict": verdict, "findings": [asdict(finding) for finding in findings]}, as_json=True)
    else:
        for finding in sorted(findings, key=lambda one: list(Verdict).index(one.verdict)):
            click.echo(f"{_SIGNS[finding.verdict]}  {finding.check}: {finding.detail}")
            if finding.hint and finding.verdict is not Verdict.OK:
                click.echo(f"      {finding.hint}")
    if any(finding.exit_78 for finding in findings):
        sys.exit(Exit.CONFIGURATION)
    sys.exit(Exit.PROBLEMS if verdict is Verdict.FAILED else Exit.DONE)
