"""The manual pages: every command and option is in them, in roff that a reader understands."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import click
import pytest

from edgegw.cli import main
from firmware_sim.__main__ import main as simulator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manual() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manual", ROOT / "deb" / "manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(manual: ModuleType, name: str) -> str:
    text: str = manual.manual((ROOT / "docs" / f"{name}.1").read_text(), name)
    return text


@pytest.mark.parametrize(("name", "command"), [("edgegw", main), ("firmware-sim", simulator)])
def test_every_command_and_option_is_in_the_manual(
    manual: ModuleType, name: str, command: click.Command
) -> None:
    """Each command has its heading, and each of its options its line; nothing of the template is left."""
    text = page(manual, name).replace("\\-", "-")
    assert "@" not in text
    headings = text.split("\n.SS ")[1:]
    found = dict(heading.split("\\fR", 1) for heading in headings)
    leaves = dict(manual.leaves(command, name))
    assert {heading.removeprefix("\\fB") for heading in found} == set(leaves)
    for path, leaf in leaves.items():
        for option in (one for one in leaf.params if isinstance(one, click.Option) and not one.hidden):
            assert option.opts[-1] in found[f"\\fB{path}"], (path, option.name)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here: apt-get install groff-base")
@pytest.mark.parametrize("name", ["edgegw", "firmware-sim"])
def test_the_manual_is_good_roff(manual: ModuleType, name: str) -> None:
    """The page is formatted by groff without a warning, and shows a command as it is typed."""
    formatted = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-c"],
        input=page(manual, name),
        capture_output=True,
        text=True,
        check=True,
    )
    assert formatted.stderr == ""
    assert f"{name} " in formatted.stdout


def test_text_is_shown_as_it_is(manual: ModuleType) -> None:
    """No line of a help text is taken for a request of roff's."""
    assert manual.plain(".so x") == "\\&.so x"
    assert manual.plain("'a") == "\\&'a"
    assert manual.plain("C:\\n --x") == "C:\\en \\-\\-x"
