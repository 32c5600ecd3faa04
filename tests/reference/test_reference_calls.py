"""What a call puts on the wire: forms, precedence, moments, labels, message."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from kombu import compression as schemes
from kombu.exceptions import EncodeError, SerializerNotInstalled

from celeriac.reference import codecs
from celeriac.reference.times import given_moment
from celeriac.spec import validator, vectors

Lab = Any

SERIALIZERS = {
    case["content_type"]: case["name"]
    for case in vectors("codec-labels")["cases"]
    if case["kind"] == "serializer"
}


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Turn the tagged datetimes of a vector into datetimes."""
    return {
        name: datetime.fromisoformat(value["v"]) if isinstance(value, dict) else value
        for name, value in options.items()
    }


def layered(case: dict[str, Any], what: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Answer the (settings, attributes, options) of a precedence vector."""
    return (
        {f"task_{what}": case["setting"]} if "setting" in case else {},
        {what: case["attribute"]} if "attribute" in case else {},
        {what: case["option"]} if "option" in case else {},
    )


@pytest.mark.parametrize("case", vectors("serializer-precedence")["cases"], ids=str)
def test_the_serializer_is_the_first_that_is_given(lab: Lab, case: dict[str, Any]) -> None:
    """Option, attribute, setting, json: None counts as not given."""
    settings, attributes, options = layered(case, "serializer")
    app = lab.app(**settings)
    app.task(name="add", **attributes)(lambda x, y: x + y).apply_async((1, 2), **options)
    assert SERIALIZERS[lab.published()[0].properties["content_type"]] == case["expected"]


@pytest.mark.parametrize("case", vectors("compression-precedence")["cases"], ids=str)
def test_the_compression_is_the_first_that_is_given(lab: Lab, case: dict[str, Any]) -> None:
    """Option, attribute, setting, none: None counts as not given."""
    settings, attributes, options = layered(case, "compression")
    app = lab.app(**settings)
    app.task(name="add", **attributes)(lambda x, y: x + y).apply_async((1, 2), **options)
    label = codecs.encode([], "json", case["expected"]).compression
    assert lab.published()[0].headers.get("compression") == label


@pytest.mark.parametrize("case", vectors("eta-expires")["cases"], ids=lambda case: case["name"])
def test_moments_are_those_of_the_vectors(lab: Lab, case: dict[str, Any]) -> None:
    """eta, expires and the time to live are counted from one reading of the clock."""
    assert lab.clock.now().isoformat() == vectors("eta-expires")["now"]
    app = lab.app(**case.get("settings", {}))
    if case.get("refused"):
        with pytest.raises((TypeError, ValueError), match=next(iter(case["options"]))):
            app.send_task("add", (1, 2), **given(case["options"]))
        assert lab.published() == []
        return
    app.send_task("add", (1, 2), **given(case["options"]))
    message = lab.published()[0]
    for name in ("eta", "expires"):
        text = message.headers[name]
        assert (text and given_moment(text, name)) == (case[name] and given_moment(case[name], name))
    assert message.properties.get("expiration") == case["expiration"]


@pytest.mark.parametrize(
    "case",
    [case for case in vectors("codec-labels")["cases"] if case["kind"] == "serializer"],
    ids=lambda case: case["name"],
)
def test_serializers_have_the_labels_and_read_the_samples_of_the_vectors(case: dict[str, Any]) -> None:
    """Content type and encoding are the published ones, and foreign bytes are understood."""
    value = vectors("codec-labels")["value"]
    encoded = codecs.encode(value, case["name"])
    assert (encoded.content_type, encoded.content_encoding) == (
        case["content_type"],
        case["content_encoding"],
    )
    sample = base64.b64decode(case["sample"])
    accept = codecs.accepted_types([case["name"]])
    assert codecs.decode(sample, encoded.content_type, encoded.content_encoding, accept) == value


@pytest.mark.parametrize(
    "case",
    [case for case in vectors("codec-labels")["cases"] if case["kind"] == "compression"],
    ids=lambda case: case["name"],
)
def test_compressions_have_the_label_and_the_format_of_the_vectors(case: dict[str, Any]) -> None:
    """The header and the first bytes are the published ones."""
    encoded = codecs.encode(vectors("codec-labels")["value"], "json", case["name"])
    assert encoded.compression == case["header"]
    assert encoded.data.hex().startswith(case["magic"].replace(" ", ""))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"countdown": 5, "expires": 60.5, "priority": 255},
        {"time_limit": 5, "soft_time_limit": 3.5, "shadow": "other", "ignore_result": True},
        {"root_id": "r", "parent_id": "p", "group_id": "g", "group_index": 2, "headers": {"trace": "1"}},
        {"serializer": "pickle", "compression": "zlib", "queue": "elsewhere"},
    ],
    ids=str,
)
def test_a_message_is_valid_against_the_schema(lab: Lab, options: dict[str, Any]) -> None:
    """Headers, properties and body have the published shape, whatever the options."""
    app = lab.app()
    link = app.signature("add", (1,))
    result = app.send_task("add", (1, 2), {"z": None}, link=link, link_error=[link], **options)
    message = lab.published()[0]
    data = (
        schemes.decompress(message.body, message.headers.get("compression"))
        if "compression" in options
        else message.body
    )
    labels = message.properties["content_type"], message.properties["content_encoding"]
    body = codecs.decode(data, *labels, codecs.accepted_types(["json", "pickle"]))
    schema: Draft202012Validator = validator("task-message")
    schema.validate({"headers": dict(message.headers), "properties": dict(message.properties), "body": body})
    assert message.headers["id"] == message.properties["correlation_id"] == result.id


def test_the_json_body_is_byte_for_byte_what_celery_sends(lab: Lab) -> None:
    """The baseline body has Celery's separators and order."""
    lab.app().send_task("add", (2, 2))
    expected = b'[[2, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
    assert lab.published()[0].body == expected


def test_all_forms_publish_the_same_call(lab: Lab) -> None:
    """delay, apply_async, send_task and a signature differ only in ids."""
    app = lab.app()
    add = app.tasks["add"]
    add.delay(1, y=2)
    add.apply_async((1,), {"y": 2})
    app.send_task("add", [1], {"y": 2})
    add.s(1, y=2).apply_async()
    add.s(y=2).delay(1)
    messages = lab.published()
    assert len(messages) == 5
    assert {message.body for message in messages} == {messages[0].body}
    assert len({message.headers["id"] for message in messages}) == 5


def test_delay_has_no_options(lab: Lab) -> None:
    """A keyword named like an option is an argument of the task."""
    app = lab.app()
    app.task(name="wait")(lambda countdown: countdown).delay(countdown=5)
    message = lab.published()[0]
    assert message.headers["eta"] is None
    assert json.loads(message.body)[1] == {"countdown": 5}


def test_a_direct_call_runs_here(lab: Lab) -> None:
    """The function's value and its exception come straight back, and nothing is sent."""
    app = lab.app()
    assert app.tasks["add"](2, 3) == 5
    with pytest.raises(TypeError, match="unsupported operand"):
        app.tasks["add"](2, None)
    assert lab.published() == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((1,),), "missing a required argument: 'y'"),
        (((1, 2, 3),), "too many positional arguments"),
        (((1,), {"z": 2}), "'z'|'y'"),
        (("ab",), "must be a list or tuple, got str"),
        (((1, 2), "ab"), "must be a mapping, got str"),
        (({1, 2},), "must be a list or tuple, got set"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(
    lab: Lab, arguments: tuple[Any, ...], text: str
) -> None:
    """Names, number and kind of the arguments are checked against the function."""
    with pytest.raises(TypeError, match=text):
        lab.app().tasks["add"].apply_async(*arguments)
    assert lab.attempts_made() == 0


def test_arguments_are_not_checked_when_typing_is_off_or_the_task_is_called_by_name(lab: Lab) -> None:
    """Both forms leave the check to the worker."""
    app = lab.app()
    app.task(name="loose", typing=False)(lambda x: x).delay(1, 2, 3)
    app.send_task("add", (1,))
    assert len(lab.published()) == 2


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"contdown": 5}, TypeError, "did you mean countdown"),
        ({"countdown": float("nan")}, ValueError, "countdown"),
        ({"countdown": 1e12}, ValueError, "countdown"),
        ({"eta": 5}, TypeError, "eta"),
        ({"eta": "tomorrow"}, ValueError, "eta"),
        ({"expires": Decimal(5)}, TypeError, "expires"),
        ({"retry": 1}, TypeError, "retry"),
        ({"retry_policy": {"max_retry": 1}}, TypeError, "did you mean max_retries"),
        ({"serializer": "jsn"}, SerializerNotInstalled, "did you mean json"),
        ({"compression": "deflate"}, ValueError, "compression 'deflate'"),
        ({"priority": 256}, ValueError, "priority"),
        ({"priority": True}, TypeError, "priority"),
        ({"ignore_result": "yes"}, TypeError, "ignore_result"),
        ({"link": "add"}, TypeError, "link"),
        ({"link_error": [{"args": []}]}, TypeError, "link_error"),
        ({"task_id": ""}, ValueError, "task_id"),
        ({"task_id": 5}, TypeError, "task_id"),
        ({"queue": "q" * 256}, ValueError, "queue"),
        ({"headers": [("a", 1)]}, TypeError, "headers"),
        ({"time_limit": 0}, ValueError, "time_limit"),
        ({"connection": "amqp://"}, TypeError, "connection"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_bad_option_is_refused_by_name_before_anything_is_sent(
    lab: Lab, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    """The error names the option, and no connection is made."""
    with pytest.raises(error, match=text):
        lab.app().send_task("add", (1, 2), **options)
    assert lab.attempts_made() == 0


def test_arguments_that_cannot_be_encoded_are_an_encode_error(lab: Lab) -> None:
    """Nothing is sent, and the broker is not even asked."""
    with pytest.raises(EncodeError):
        lab.app().send_task("add", ({1, 2},))
    assert lab.attempts_made() == 0


def test_yaml_carries_a_link(lab: Lab) -> None:
    """A signature travels as a plain mapping, which every serializer can encode."""
    app = lab.app()
    app.send_task("add", (1, 2), serializer="yaml", link=app.signature("add", (3,)))
    assert b"callbacks:\n" in lab.published()[0].body


def test_a_setting_with_a_typing_mistake_is_refused(lab: Lab) -> None:
    """Settings are checked by name."""
    with pytest.raises(TypeError, match="did you mean task_serializer"):
        lab.app(task_serialiser="json")


def test_a_task_attribute_with_a_typing_mistake_is_refused(lab: Lab) -> None:
    """Attributes are checked by name."""
    with pytest.raises(TypeError, match="did you mean serializer"):
        lab.app().task(name="x", serialiser="json")(lambda: None)


def test_naive_moments_are_utc(lab: Lab) -> None:
    """A datetime without an offset gets one."""
    lab.app().send_task("add", (1, 2), eta=datetime(2030, 5, 1, 12))
    assert lab.published()[0].headers["eta"] == "2030-05-01T12:00:00+00:00"
    assert datetime(2030, 5, 1, 12, tzinfo=UTC) == given_moment(datetime(2030, 5, 1, 12), "eta")


def test_options_of_a_signature_merge_with_those_of_the_call(lab: Lab) -> None:
    """Call arguments come first, call options win, None is not given, immutable ignores arguments."""
    app = lab.app()
    stored = app.signature("add", (2,), priority=3, queue="a")
    stored.apply_async((1,), priority=7, queue=None)
    app.tasks["add"].si(8, 9).set(countdown=5).apply_async((1, 2), {"z": 1})
    first, second = lab.published()
    assert (first.routing_key, first.properties["priority"], json.loads(first.body)[0]) == ("a", 7, [1, 2])
    assert json.loads(second.body)[:2] == [[8, 9], {}]
    assert second.headers["eta"] is not None


def test_registered_classes_survive_only_as_data(new_lab: Callable[..., Lab]) -> None:
    """Typed JSON markers carry dates, decimals and bytes."""
    lab = new_lab()
    lab.app().send_task("add", (datetime(2030, 1, 1, tzinfo=UTC), Decimal("1.5"), b"\xff"))
    marks = [argument["__type__"] for argument in json.loads(lab.published()[0].body)[0]]
    assert marks == ["datetime", "decimal", "base64"]
