"""Claims: what an adapter says its implementation can do, and how ``--adapter=NAME`` finds one."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import util
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from celeriac import adapters
from celeriac.conformance.adapter import Adapter
from celeriac.conformance.environments import Build, Made, Tell, make
from celeriac.conformance.nearest import did_you_mean
from celeriac.spec import schema, validator

__all__ = [
    "Candidate",
    "Claim",
    "ClaimError",
    "bundled",
    "find_adapter",
    "import_class",
    "installed",
    "load_claim",
]

FILE = "adapter.toml"

#: The group of entry points by which an installed distribution makes an adapter known.
ENTRY_POINTS = "celeriac.adapters"

EXPECTATIONS = "expectations.toml"

#: The prefix of a feature's name -> the list in ``[features]`` that must hold the rest.
LISTS: Mapping[str, str] = {
    "serializer": "serializers",
    "compression": "compressions",
    "result": "results",
    "results": "results",
}

#: A limit of the claim -> the argument of ``ProcessAdapter``.
DEADLINES: Mapping[str, str] = {"answer_seconds": "deadline", "start_seconds": "start_deadline"}

#: What the lists of these names may hold, by the schema of claims.
ROLES, MODES = (
    frozenset(schema("claim")["properties"][name]["items"]["enum"]) for name in ("roles", "modes")
)


class ClaimError(ValueError):
    """There is no such adapter, or its claim is malformed; the text is one line for its author."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an adapter says the implementation can do.

    Attributes:
        name: short name of the adapter.
        title: the implementation's name as people write it.
        roles: producer, worker, result-consumer, local-caller.
        links: in-process, amqp, redis.
        clocks: virtual, wall, travel.
        modes: the forms of the calling API that it has.
        driver: ``{"class": "package.module:Class", "arguments": {...}}`` or ``{"command": [...]}``.
        features: serializers, compressions, results and booleans.
        limits: seconds that a process may take: ``answer_seconds``, ``start_seconds``.
        folder: where the claim stands; None for one written in Python.
        build: the environment that its processes run in; None for that of the harness.
    """

    name: str
    title: str
    roles: tuple[str, ...]
    links: tuple[str, ...]
    clocks: tuple[str, ...]
    modes: tuple[str, ...]
    driver: Mapping[str, Any]
    features: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    folder: Path | None = None
    build: Build | None = None

    @property
    def offered(self) -> dict[str, Any]:
        """Answer what the claim offers, as JSON."""
        lists = {name: list(getattr(self, name)) for name in ("roles", "links", "clocks", "modes")}
        return {**lists, "features": dict(self.features)}

    def claims(self, feature: str) -> bool:
        """Answer whether the claim promises a feature.

        Args:
            feature: ``serializer:yaml``, ``compression:gzip``, ``result:redis``, a role, a mode, the name of a
                list (promised when it is not empty) or of a boolean.
        """
        kind, _, value = feature.partition(":")
        if value and kind in LISTS:
            return value in self.features.get(LISTS[kind], ())
        name = value or kind
        return name in self.roles or name in self.modes or bool(self.features.get(name, False))

    def denies(self, feature: str) -> bool:
        """Answer whether the claim says that there is no such thing: by a list without it, or by ``false``.

        What a claim does not mention it does not deny; the guide promises it, so it has to work.
        """
        kind, _, value = feature.partition(":")
        if value and kind in LISTS:
            return value not in self.features.get(LISTS[kind], ())
        if feature in ROLES:
            return feature not in self.roles
        if feature in MODES:
            return feature not in self.modes
        return self.features.get(feature, True) in (False, [])

    def contradiction(self, identity: Mapping[str, Any]) -> str | None:
        """Answer what of the claim the adapter's ``hello`` denies, in a line; None when the two agree."""
        for name in ("roles", "links", "clocks"):
            offered: Sequence[str] | None = identity.get(name)
            if offered is not None and (lacking := [w for w in getattr(self, name) if w not in offered]):
                own = ", ".join(map(str, offered)) or "none"
                return (
                    f"adapter.toml claims the {name[:-1]} {lacking[0]}, but hello says that there are: {own}"
                )
        return None

    def patience(self, seconds: float) -> float:
        """Answer the seconds that a guard gives one answer: at least ``seconds``, and more than the claim's limits.

        Starting and stopping get twice as much.
        """
        limits = (self.limits.get("answer_seconds", 0.0), self.limits.get("start_seconds", 0.0) / 2)
        return max((seconds, *(limit + 1 for limit in limits if limit)))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An adapter that was found: its claim, how to make one, and its expectations.

    Attributes:
        spelling: the value of ``--adapter``.
        claim: its claim.
        factory: makes the driver.
        expectations: the file of known failures, None when there is none.
    """

    spelling: str
    claim: Claim
    factory: Callable[[], Adapter]
    expectations: Path | None

    def prepare(self, tell: Tell) -> None:
        """Make the environment that the claim asks for, if it is not there, which otherwise the first driver does.

        Raises:
            BuildError: it cannot be made.
        """
        if self.claim.build is not None:
            make(self.claim.build, tell)


def bundled() -> dict[str, Path]:
    """Answer the claim of every adapter that comes with Celeriac, by name.

    A folder's ``adapter.toml`` has the name of the folder, with ``-`` for ``_``; beside it ``celery-5.7.toml`` is a
    variant of ``celery``.
    """
    folders = sorted(path for root in adapters.__path__ for path in Path(root).iterdir() if path.is_dir())
    named = {folder.name.replace("_", "-"): folder / FILE for folder in folders if (folder / FILE).is_file()}
    variants = (path for name, claim in named.items() for path in claim.parent.glob(f"{name}-*.toml"))
    return dict(sorted({**named, **{path.stem: path for path in variants}}.items()))


def installed() -> dict[str, EntryPoint]:
    """Answer the entry points of installed adapters by name.

    The value of one is ``package.module:Class``, or a module that stands beside an ``adapter.toml``.
    """
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def find_adapter(spelling: str) -> Candidate:
    """Find an adapter by a name, the path of an ``adapter.toml`` (or its folder), or ``package.module:Class``.

    A name is that of a bundled adapter or of an installed one.

    Raises:
        ClaimError: there is no such adapter, or its claim or class cannot be used.
    """
    if not spelling:
        raise ClaimError(f"--adapter= names no adapter; adapters: {', '.join(bundled())}")
    if spelling in (known := bundled()):
        return _from_file(spelling, known[spelling])
    if spelling in (known_points := installed()):
        return _from_entry_point(known_points[spelling])
    path = Path(spelling)
    if path.suffix == ".toml" or path.is_dir():
        return _from_file(spelling, path / FILE if path.is_dir() else path)
    if ":" in spelling:
        return _from_class(spelling)
    raise ClaimError(
        did_you_mean("adapter", spelling, {*known, *known_points}) + f" (or the path of an {FILE})"
    )


def load_claim(path: Path) -> Claim:
    """Read and validate an ``adapter.toml``, on top of the one that it extends.

    Raises:
        ClaimError: it cannot be read or breaks the schema ``claim``.
    """
    content = _read(path)
    if isinstance(base := content.pop("extends", None), str):
        content = _merged(_read(path.parent / base), content)
    problem = next(iter(validator("claim").iter_errors(content)), None)
    if problem is not None:
        where = ".".join(map(str, problem.absolute_path)) or "top level"
        raise ClaimError(f"adapter claim {path}: {where}: {problem.message}")
    lists = {name: tuple(content.get(name, ())) for name in ("roles", "links", "clocks", "modes")}
    folder = path.resolve().parent
    return Claim(
        name=content["name"],
        title=content.get("title", content["name"]),
        driver=content["driver"],
        features=content.get("features", {}),
        folder=folder,
        limits=content.get("limits", {}),
        build=_build(content["build"], folder) if "build" in content else None,
        **lists,
    )


def _build(table: Mapping[str, Any], base: Path) -> Build:
    lists = {name: tuple(table.get(name, ())) for name in ("requirements", "needs", "files")}
    return Build(
        **lists, base=base, python=table.get("python"), steps=tuple(map(tuple, table.get("steps", ())))
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ClaimError(f"adapter claim {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ClaimError(f"adapter claim {path}: {error}") from None


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a claim with its own words and, where it says nothing, those of its base; tables are merged likewise.

    A driver that is a command takes the place of a class.
    """
    both = {key: {**base[key], **own[key]} for key in own if _are_tables(base.get(key), own[key])}
    if "command" in own.get("driver", ()):
        both["driver"] = own["driver"]
    return {**base, **own, **both}


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def _from_file(spelling: str, path: Path) -> Candidate:
    claim = load_claim(path)
    return Candidate(spelling, claim, _factory(claim), _expectations(claim))


def _from_entry_point(point: EntryPoint) -> Candidate:
    if ":" in point.value:
        return replace(_from_class(point.value), spelling=point.name)
    try:
        file = importlib.import_module(point.value).__file__
    except Exception as error:
        reason = f"{point.value} cannot be imported: {type(error).__name__}: {error}"
        raise ClaimError(f"entry point {point.name}: {reason}") from error
    return _from_file(point.name, Path(str(file)).parent / FILE)


def _from_class(spelling: str) -> Candidate:
    factory = import_class(spelling)
    found = (folder / FILE for folder in _folders(factory) if (folder / FILE).is_file())
    path = next(found, None)
    if path is None:
        raise ClaimError(
            f"adapter {spelling!r}: there is no {FILE} beside its module or those of its base classes"
        )
    claim = load_claim(path)
    return Candidate(spelling, claim, factory, _expectations(claim))


def _expectations(claim: Claim) -> Path | None:
    path = claim.folder / EXPECTATIONS if claim.folder else None
    return path if path and path.is_file() else None


def _folders(factory: type[Adapter]) -> Iterator[Path]:
    """Answer the folders of the modules that define a class and its base classes: a variant inherits its claim."""
    for base in factory.__mro__:
        file = getattr(sys.modules.get(base.__module__), "__file__", None)
        if file:
            yield Path(file).parent


def _factory(claim: Claim) -> Callable[[], Adapter]:
    if "class" in claim.driver:
        _searchable(claim.folder)
        return _housed(import_class(claim.driver["class"]), claim)

    def start() -> Adapter:
        from celeriac.conformance.process import ProcessAdapter

        made = Made(Path(sys.executable), claim.folder) if claim.build is None else make(claim.build)
        command = [made.fill(str(word)) for word in claim.driver["command"]]
        limits: dict[str, Any] = {DEADLINES[name]: limit for name, limit in claim.limits.items()}
        return ProcessAdapter(command, **limits)

    return start


def _housed(driver: type[Adapter], claim: Claim) -> Callable[[], Adapter]:
    """Answer what makes a driver; one whose processes have an environment of their own is told its Python."""
    make_driver = cast("Callable[..., Adapter]", driver)
    arguments = claim.driver.get("arguments", {})
    if (build := claim.build) is None:
        return lambda: make_driver(**arguments)
    return lambda: make_driver(python=str(make(build).python), **arguments)


def import_class(spelling: str) -> type[Adapter]:
    """Import ``package.module:Class`` or ``path/to/file.py:Class``.

    Raises:
        ClaimError: it cannot be imported or is no adapter.
    """
    place, _, name = spelling.rpartition(":")
    try:
        found = getattr(_import_module(place), name)
    except Exception as error:
        raise ClaimError(
            f"adapter {spelling!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, type) or not issubclass(found, Adapter):
        raise ClaimError(f"adapter {spelling!r} is no subclass of celeriac.conformance.adapter.Adapter")
    return found


def _import_module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        _searchable(Path.cwd())
        return importlib.import_module(place)
    path = Path(place).resolve()
    spec = util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _searchable(folder: Path | None) -> None:
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))
