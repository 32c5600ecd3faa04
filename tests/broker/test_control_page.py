"""The page on the embedded broker does what it says about moving its clock."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest

from celeriac.reference.broker.control import BrokerProcess
from celeriac.reference.broker.control_fields import Field
from celeriac.reference.broker.control_requests import REQUESTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "broker.md").read_text()
FILES = dict(re.findall(r"^```python file=(\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))

#: Fields that differ from run to run; of the others, the value is the page's.
_VARYING = {"token", "url", "celeriac", "now", "at"}


def test_the_test_on_the_page_passes(tmp_path: Path) -> None:
    """Somebody's own Celery worker meets the default timeout in a test of ten lines."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    binaries = Path(sys.executable).parent
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CELERY"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_shop.py"],
        cwd=tmp_path,
        env={**env, "PATH": f"{binaries}{os.pathsep}{env['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    """Serve a broker in which somebody holds a message of the queue ``celery``."""
    with (
        BrokerProcess("rabbit-3.10") as broker,
        amqp.Connection(urlsplit(broker.url).netloc.split("@")[1]) as connection,
    ):
        channel = connection.channel()
        channel.queue_declare("celery", durable=True, auto_delete=False)
        channel.basic_publish(amqp.Message("m"), routing_key="celery")
        channel.basic_consume("celery", callback=lambda _: None)
        broker.wait("deliver")
        yield broker


def test_the_conversation_on_the_page_takes_place(broker: BrokerProcess) -> None:
    """Every line that the page sends is answered as the page shows, but for moments, versions and secrets."""
    exchange = re.findall(r"^> (.*)\n< (.*)$", PAGE, re.MULTILINE)
    assert len(exchange) >= 5
    with socket.create_connection(("127.0.0.1", broker.port), 10) as talk, talk.makefile("rw") as lines:
        for sent, shown in exchange:
            request = json.loads(sent)
            if "token" in request:
                request["token"] = broker.token
            print(json.dumps(request), file=lines, flush=True)
            assert alike(json.loads(lines.readline())) == alike(json.loads(shown))


def alike(value: Any) -> Any:
    """Answer a value without what differs from run to run."""
    if isinstance(value, dict):
        return {name: None if name in _VARYING else alike(inner) for name, inner in value.items()}
    return [alike(inner) for inner in value] if isinstance(value, list) else value


def test_the_page_lists_every_request() -> None:
    """The table has each request with its fields and what stands for them."""
    rows = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \| ?(.*?) ?\| [^|]* \|$", PAGE.split("| op |")[1], re.MULTILINE
    )
    listed = {op: fields for ops, fields in rows for op in re.findall(r"\w+", ops)}
    for name, request in REQUESTS.items():
        assert listed[name] == ", ".join(shown(*field) for field in request.fields.items())
    assert len(listed) == len(REQUESTS)


def shown(name: str, field: Field) -> str:
    """Answer a field as the page shows it."""
    free = isinstance(field.default, dict | list | int)
    return f"`{name}` {json.dumps(field.default)}" if free else f"`{name}`"
