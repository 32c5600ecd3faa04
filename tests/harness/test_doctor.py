"""``celeriac doctor`` says at each half-finished stage of an adapter what is missing next."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celeriac.conformance import doctor_steps
from celeriac.conformance.cli import main
from celeriac.conformance.doctor import Doctor
from celeriac.conformance.doctor_steps import STEPS

HERE = Path(__file__).parent

CLAIM = """
name = "half"
title = "Half a client"
roles = [{roles}]
links = [{links}]
clocks = ["wall"]
modes = ["apply_async"]
driver.{driver}
limits.start_seconds = {patience}
"""

#: How a process is half finished -> the step that is missing, and what the doctor says.
PROCESSES = {
    "dead": ("hello", "exit code 1", "no such module: client", '"op":"hello"'),
    "silent": ("hello", "It has said nothing for 2 s"),
    "chatty": ("hello", "Standard output belongs to the protocol", "got     npm notice"),
    "nameless": ("hello", "'implementation' is a required property", '"implementation":"my client"'),
    "of_the_future": ("hello", "1 was expected"),
    "refusing": ("hello", "has to be answered ok", '"who asks?"'),
    "modest": ("hello", "claims the role producer, but hello says that there are: worker"),
    "twice": ("canary", "It answered with the id 1; asked was 2, once"),
    "dying": ("canary", "exit code 1", "unknown operation celeriac.canary", '"op":"celeriac.canary"'),
    "no_begin": ("scenario", "`begin` was answered unsupported", '"op":"begin"', '"ok":null}'),
    "no_end": ("scenario", "no way out", '"op":"end"'),
    "no_call": (
        "publish",
        "`call` was answered unsupported (producer: not there yet)",
        '"task_id"',
        "headers {",
    ),
}

#: The same for a class, with the roles that its claim names.
CLASSES = {
    "Raising": ("producer", "hello", "RuntimeError: the client is not installed (", ".py, line"),
    "Speechless": (
        "producer",
        "hello",
        "answered hello with None",
        "return {'protocol': 1, 'implementation'",
    ),
    "Unreading": (
        "producer",
        "values",
        "UnicodeDecodeError",
        "its error is an answer, `raised`",
        "asked   adapter.call(call=Call(task='celeriac.echo'",
    ),
    "Boasting": ("producer", "publish", "nobody has connected to the broker_url", '"id": "i-sent-it"'),
    "Renaming": (
        "producer",
        "publish",
        "answered with the id 'my-own-id'; the message that was seen went to",
    ),
    "Misrouting": ("producer", "publish", "with the routing key 'elsewhere', and the queue 'celeriac-"),
    "Workless": ("worker", "execute", "no event says that worker-1 is ready", "self.emit(Event(kind='ready'"),
    "Unready": ("worker", "execute", "no event says that worker-1 is ready"),
    "Unstarted": ("worker", "execute", "no event says that its task has started", "body [[2, 2], {}"),
    "Endless": ("worker", "execute", "no event says that it has ended", "'state': 'SUCCESS', 'value': 4"),
    "Miscounting": ("worker", "execute", "has ended with ('SUCCESS', 5)"),
    "Unresulting": (
        "producer result-consumer",
        "result",
        "The result 4 is stored in rpc://, and the caller got None",
    ),
    "Stateless": ("producer result-consumer", "state", "the state of its task is Ok(value='PENDING')"),
}

Walk = Callable[..., str]


@pytest.fixture
def walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Walk]:
    """Answer a function that writes a claim, takes the walk, and answers what was said; the status is the last line."""
    module = f"half_finished_{uuid.uuid4().hex}"
    shutil.copy(HERE / "half_finished.py", tmp_path / f"{module}.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    # What is missing is not waited for as long as an author may need; what is there comes at once.
    monkeypatch.setattr(doctor_steps, "SOON", 2.0)

    def walk(
        *words: str, driver: str, roles: str = "producer", links: str = "amqp", patience: float = 30
    ) -> str:
        claim = tmp_path / "adapter.toml"
        named = {"roles": _listed(roles), "links": _listed(links), "patience": patience}
        claim.write_text(CLAIM.format(driver=driver.replace("MODULE", module), **named))
        status = main(["doctor", f"--adapter={claim}", *words])
        said = capsys.readouterr()
        assert said.err == ""
        return f"{said.out}\n{status}"

    yield walk
    sys.modules.pop(module, None)


def _listed(words: str) -> str:
    return ", ".join(f'"{word}"' for word in words.split())


def _process(stage: str) -> str:
    return f'command = ["{sys.executable}", "{HERE / "half_finished_child.py"}", "{stage}"]'


def _steps(said: str) -> dict[str, str]:
    """Answer what became of each step."""
    words = (line.split() for line in said.splitlines() if line.startswith("  "))
    return {word[1]: word[0] for word in words if word[0] in {"ok", "skipped", "missing"}}


def _is_next(said: str, step: str, parts: tuple[str, ...]) -> None:
    steps = _steps(said)
    assert list(steps.items())[-1] == (step, "missing")
    assert "missing" not in list(steps.values())[:-1]
    assert f"What is missing next: {step}" in said
    joined = " ".join(said.split())
    assert [part for part in parts if " ".join(part.split()) not in joined] == []
    assert "Traceback" not in said
    assert said.endswith("\n1")


@pytest.mark.parametrize("stage", PROCESSES)
def test_half_finished_process(walk: Walk, stage: str) -> None:
    """The walk of a process ends at the step that is missing, which is named with the lines that would satisfy it."""
    step, *parts = PROCESSES[stage]
    said = walk(driver=_process(stage), patience=2 if stage == "silent" else 30)
    _is_next(said, step, tuple(parts))


@pytest.mark.parametrize("stage", CLASSES)
def test_half_finished_class(walk: Walk, stage: str) -> None:
    """The walk of a class ends at the step that is missing, which is named with the method and its answer."""
    roles, step, *parts = CLASSES[stage]
    _is_next(walk(driver=f'class = "MODULE:{stage}"', roles=roles), step, tuple(parts))


def test_finished_adapter(walk: Walk) -> None:
    """An adapter that has everything it claims is complete: status 0, and the command that judges it."""
    said = walk(driver='class = "MODULE:Finished"', roles="producer worker result-consumer")
    assert said.endswith("\n0")
    assert "The adapter is complete. Judge what it drives: celeriac run --adapter=" in said
    assert _steps(said) == {
        **dict.fromkeys(("claim", "hello", *(step.name for step in STEPS)), "ok"),
        "build": "skipped",
        "canary": "skipped",
        "clock": "skipped",
    }


def test_process_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    """A complete adapter behind the protocol passes every step that a process has."""
    assert main(["doctor", "--adapter=reference-process"]) == 0
    assert _steps(capsys.readouterr().out)["canary"] == "ok"


def test_walk_over_redis(walk: Walk, node_url: Callable[[str], str]) -> None:
    """An adapter that claims Redis alone is walked through over Redis, with its messages as they are there."""
    url = f"--broker-from={node_url('redis')}"
    said = walk(
        url, "--broker=redis", driver='class = "MODULE:Finished"', links="redis", roles="producer worker"
    )
    assert said.endswith("\n0")
    said = walk(url, "--broker=redis", driver='class = "MODULE:Boasting"', links="redis")
    _is_next(said, "publish", ("in the list celeriac-", '"body_encoding": "base64"'))


def test_what_is_not_claimed_is_skipped(walk: Walk) -> None:
    """A step of a role that the claim does not name is skipped, with the reason."""
    said = walk(driver='class = "MODULE:Finished"', roles="worker")
    assert said.endswith("\n0")
    assert "  skipped   publish   the claim has no role producer" in said.splitlines()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('name = "half"', "'roles' is a required property"),
        ("name = ", "Invalid value"),
        (
            CLAIM.format(roles='"boss"', links='"amqp"', driver='class = "x:Y"', patience=1),
            "'boss' is not one of",
        ),
        (
            CLAIM.format(
                roles='"worker"', links='"amqp"', driver='class = "no_such_module_here:Y"', patience=1
            ),
            "No module named 'no_such_module_here'",
        ),
    ],
)
def test_mistake_in_the_claim(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, part: str
) -> None:
    """A claim that cannot be used is the first step that is missing, with the smallest claim that can."""
    (tmp_path / "adapter.toml").write_text(text)
    assert main(["doctor", f"--adapter={tmp_path}"]) == 1
    _is_next(f"{capsys.readouterr().out}\n1", "claim", (part, 'roles = ["producer"]'))


def test_build_that_fails(walk: Walk) -> None:
    """A program that the build needs and that is not there is missing next."""
    driver = 'command = ["sh"]\nbuild = { needs = ["celeriac-no-such-program"], files = ["*.toml"] }'
    _is_next(walk(driver=driver), "build", ("celeriac-no-such-program", "[build] of adapter.toml"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "the following arguments are required: --adapter"),
        (["--adapter=referenze"], "unknown adapter 'referenze'; did you mean reference"),
        (["--adapter=reference", "--broker=rabitmq"], "invalid choice: 'rabitmq'"),
        (["--adapter=reference", "--broker=redis", "--broker-from=somewhere"], "unknown source 'somewhere'"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: list[str], line: str) -> None:
    """What cannot be walked costs one line and status 4."""
    assert main(["doctor", *words]) == 4
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("celeriac doctor: ")
    assert line in said


def test_broker_that_is_not_claimed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broker over a link that the claim does not name costs one line and status 4."""
    claim = CLAIM.format(roles='"producer"', links='"amqp"', driver=_process("no_call"), patience=30)
    (tmp_path / "adapter.toml").write_text(claim)
    assert main(["doctor", f"--adapter={tmp_path}", "--broker=redis", "--broker-from=process"]) == 4
    line = "celeriac doctor: --broker=redis: half does not claim the link redis\n"
    assert capsys.readouterr().err == line


def test_colour_is_for_terminals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What became of a step is coloured where colour can be seen, and nowhere else."""
    missing = str(tmp_path / "adapter.toml")
    main(["doctor", f"--adapter={missing}"])
    assert "\x1b" not in capsys.readouterr().out
    lines: list[str] = []
    assert not Doctor(missing, lines.append, colour=True).walk()
    assert any(line.startswith("  \x1b[1;31mmissing") for line in lines)
