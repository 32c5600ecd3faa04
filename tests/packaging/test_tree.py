"""What holds of the checkout as a whole: one version, one list of packages, no addresses, loopback only."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("spec", "reference", "conformance", "adapters")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
README = (ROOT / "README.md").read_text()

#: Files that tell a machine where to get something.
FETCHING = ("pyproject.toml", "docker-compose.yml", ".pre-commit-config.yaml", ".ci/run", "scripts/**/*")
COMMANDS = ("pip install -e . && pytest conformance --adapter=reference", "pip install -e '.[dev]' && pytest")


def test_version_stands_in_one_place() -> None:
    """The version stands in pyproject.toml alone: no module repeats it, and the installed metadata agree."""
    version = PYPROJECT["project"]["version"]
    assert metadata.version("celeriac") == version
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [
        path.name for path in sources if re.search(rf"""["']{re.escape(version)}["']""", path.read_text())
    ] == []


def test_every_package_is_listed() -> None:
    """The packages in pyproject.toml are exactly the folders that hold an __init__.py, each once."""
    found = {
        ".".join(("celeriac", *path.parent.relative_to(ROOT).parts))
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert sorted(PYPROJECT["tool"]["setuptools"]["packages"]) == sorted(found)


def test_no_pytest11_entry_point() -> None:
    """The checkout loads the plugin in its own addopts, never through an entry point."""
    assert "entry-points" not in PYPROJECT["project"]
    assert "-p celeriac.conformance.plugin" in PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"]


def test_every_lint_exception_has_its_reason() -> None:
    """Each rule that the linter leaves out has its reason beside it."""
    section = (ROOT / "pyproject.toml").read_text().split("[tool.ruff.lint]")[1]
    excepted = [
        line for line in section.splitlines() if re.search(r'"[A-Z]{1,4}\d*"', line) and "ALL" not in line
    ]
    assert excepted
    assert [line for line in excepted if not re.search(r"# \w+", line)] == []


@pytest.mark.parametrize("pattern", FETCHING)
def test_no_download_addresses(pattern: str) -> None:
    """No file that installs something says from which host: that is the machine's own configuration."""
    files = sorted(path for path in ROOT.glob(pattern) if path.is_file())
    assert files
    for path in files:
        assert (
            re.findall(r"https?://(?!127\.0\.0\.1)\S+|--?(?:extra-)?index-url|--find-links", path.read_text())
            == []
        )


def test_no_lock_file() -> None:
    """No lock file records where packages were once downloaded."""
    locks = ("*.lock", "requirements*.txt", "package-lock.json", "Pipfile*", "pylock*.toml")
    assert [path.name for pattern in locks for path in ROOT.glob(pattern)] == []


def test_no_image_holds_what_a_checkout_gathers() -> None:
    """Whatever git ignores, and its history, stays out of an image that copies the checkout."""
    ignored = (ROOT / ".gitignore").read_text().split()
    kept_out = {line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert [each for each in (".git/", *ignored) if each not in kept_out] == []


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_compose_binds_loopback_only(service: str) -> None:
    """Every published port of docker-compose.yml is bound to 127.0.0.1 and can be moved by a variable."""
    ports = COMPOSE["services"][service]["ports"]
    assert ports
    assert [
        port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\$\{CELERIAC_PORT_\w+:-\d+\}:\d+", port)
    ] == []


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_compose_knows_when_a_broker_is_ready(service: str) -> None:
    """Every service of docker-compose.yml has a health check that runs a command in the container."""
    health = COMPOSE["services"][service]["healthcheck"]
    assert health["test"][0] == "CMD"
    assert health["retries"] > 1


def test_compose_ports_differ() -> None:
    """All services of docker-compose.yml can run side by side."""
    hosts = [port.rsplit(":", 1)[0] for service in COMPOSE["services"].values() for port in service["ports"]]
    assert len(set(hosts)) == len(hosts)


def test_compose_has_a_rabbitmq_with_a_short_consumer_timeout() -> None:
    """The wall-time checks find a RabbitMQ that closes a channel after two seconds and looks every half second."""
    mounted = {entry["target"]: entry["source"] for entry in COMPOSE["services"]["rabbitmq-short"]["configs"]}
    contents = {target: COMPOSE["configs"][source]["content"].strip() for target, source in mounted.items()}
    assert contents == {
        "/etc/rabbitmq/conf.d/90-short-timeout.conf": "consumer_timeout = 2000",
        "/etc/rabbitmq/advanced.config": "[{rabbit, [{channel_tick_interval, 500}]}].",
    }


def test_compose_has_a_rabbitmq_whose_clock_can_be_moved() -> None:
    """On request there is a RabbitMQ that obeys a control file in a folder of the host, in the image made for that."""
    service = COMPOSE["services"]["rabbitmq-travel"]
    control, folder = (
        Path(service["environment"]["FAKETIME_TIMESTAMP_FILE"]),
        "${CELERIAC_CLOCK:-./.celeriac/clock}",
    )
    assert service["profiles"] == ["travel"]
    assert service["volumes"] == [f"{folder}:{control.parent}:ro"]
    assert service["environment"]["LD_PRELOAD"].endswith("/faketime/libfaketimeMT.so.1")
    recipe = ROOT / service["build"]["context"] / service["build"]["dockerfile"]
    assert "apt-get install -y -q --no-install-recommends libfaketime" in recipe.read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_shows_the_commands_that_ci_runs(command: str) -> None:
    """The README shows the two commands of the first minute, each on a line of its own, which CI reads there."""
    assert command in README.splitlines()


def test_readme_links_lead_somewhere() -> None:
    """Every relative link of the README and the guides leads to a file of the checkout."""
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "spec" / "adapter-protocol.md",
    ]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
