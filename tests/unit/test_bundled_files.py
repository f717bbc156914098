"""The files that edgegw brings, and the configuration, are found from a checkout and from any kind of installation."""

import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import edgegw
import firmware_sim
from edgegw.cli import console, main
from edgegw.common.bundled_files import configs, find_configs
from edgegw.common.errors import ConfigError
from edgegw.config.schema import Config
from edgegw.participants.settings import IndustrySettings, ProducerSettings, Settings
from firmware_sim.places import MeterProfile, meter_profiles

ROOT = Path(__file__).parents[2]


def bring(folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "configs" / "edgegw.toml", folder)
    return folder


def test_a_checkout_uses_its_own_files() -> None:
    """Beside the package first."""
    assert configs() == ROOT / "configs"


def test_an_installation_uses_its_environment(tmp_path: Path) -> None:
    """share/edgegw of the environment; a foreign package that is called configs is not taken for it."""
    package = tmp_path / "lib" / "python3.11" / "site-packages" / "edgegw"
    package.mkdir(parents=True)
    (package.parent / "configs").mkdir()
    place = bring(tmp_path / "share" / "edgegw" / "configs")
    assert find_configs(package, tmp_path) == place
    assert find_configs(package, tmp_path / "python's own prefix") == place  # pip install --user


def test_without_files_the_environment_is_named(tmp_path: Path) -> None:
    """If no files are found, the error names the environment's folder."""
    package = tmp_path / "a" / "edgegw"
    assert find_configs(package, tmp_path) == tmp_path / "share" / "edgegw" / "configs"


def test_participants_default_to_files_that_are_there() -> None:
    """Nothing that a settings file leaves out depends on the working folder."""
    fields = (
        Settings.model_fields["tariff"],
        ProducerSettings.model_fields["sun"],
        IndustrySettings.model_fields["load"],
    )
    for field in fields:
        path = field.get_default(call_default_factory=True)
        assert path.is_absolute()
        assert path.is_file()


def test_the_simulator_knows_every_meter_by_name() -> None:
    """`--meter-profile NAME` finds the map of that name; a file is used as it is; anything else lists the known names."""
    kind = MeterProfile()
    assert set(meter_profiles()) == {path.stem for path in (ROOT / "configs" / "meters").glob("*.json")}
    file = ROOT / "configs" / "meters" / "abb-b23.json"
    assert kind.convert("abb-b23", None, None) == kind.convert(str(file), None, None) == file
    with pytest.raises(click.BadParameter, match=r"none of: abb-b23, .*siemens-pac2200"):
        kind.convert("abb-b24", None, None)


def test_all_versions_are_one() -> None:
    """The package, its simulator and its metadata name the same version."""
    metadata = (ROOT / "pyproject.toml").read_text()
    assert f'\nversion = "{edgegw.__version__}"\n' in metadata
    assert firmware_sim.__version__ == edgegw.__version__


def seen_config(monkeypatch: pytest.MonkeyPatch) -> str:
    asked: list[Path] = []

    def load(path: Path) -> Config:
        asked.append(path)
        raise ConfigError(("as far as here",))

    monkeypatch.setattr(console, "load", load)
    CliRunner().invoke(main, ["trade", "list"])
    return str(asked[0])


@pytest.mark.parametrize("as_root", [True, False])
def test_the_configuration_is_looked_for_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, as_root: bool
) -> None:
    """Root's first is the installation's, everybody else's the working folder's; one that may not be seen is there too."""
    system = tmp_path / "etc" / "edgegw.toml"
    here = tmp_path / "home"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("os.geteuid", lambda: 0 if as_root else 1000)
    monkeypatch.setattr(console, "PLACES", (Path("edgegw.toml"), system))
    monkeypatch.delenv("EDGEGW_CONFIG", raising=False)
    assert seen_config(monkeypatch) == "edgegw.toml"
    system.parent.mkdir()
    system.touch()
    assert seen_config(monkeypatch) == str(system)
    (here / "edgegw.toml").touch()
    assert seen_config(monkeypatch) == (str(system) if as_root else "edgegw.toml")
    (here / "edgegw.toml").unlink()
    unseen = tmp_path / ("n" * 300)  # a fault other than absence
    monkeypatch.setattr(console, "PLACES", (Path("edgegw.toml"), unseen))
    assert seen_config(monkeypatch) == str(unseen)
    monkeypatch.setenv("EDGEGW_CONFIG", "other.toml")
    assert seen_config(monkeypatch) == "other.toml"


def test_without_a_configuration_the_next_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """78, the files that were looked for, and what makes one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "PLACES", (Path("edgegw.toml"), tmp_path / "etc" / "edgegw.toml"))
    monkeypatch.delenv("EDGEGW_CONFIG", raising=False)
    ended = CliRunner().invoke(main, ["trade", "list"])
    assert ended.exit_code == console.Exit.CONFIGURATION
    assert "edgegw.toml: No such file or directory" in ended.stderr
    assert str(tmp_path / "etc" / "edgegw.toml") in ended.stderr
    assert "sudo edgegw init" in ended.stderr
    named = CliRunner().invoke(main, ["trade", "list", "--config", "mine.toml"])
    assert (named.exit_code, "etc" in named.stderr) == (console.Exit.CONFIGURATION, False)
