"""Hypothesis strategies for calls, and how many examples a check tries.

    @world.for_all(execution_options(...))
    def _(options): ...

A verdict run is derandomised, so that it says the same twice; ``--explore`` uses random seeds and more examples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from celeriac.conformance.adapter import Signature
from celeriac.conformance.from_schema import from_schema
from celeriac.conformance.providers import Unavailable
from celeriac.conformance.verdicts import HarnessError, Inconclusive, NotApplicable
from celeriac.conformance.wire_values import from_json
from celeriac.spec import schema

__all__ = [
    "SERIALIZERS",
    "Decided",
    "arguments",
    "configure",
    "examples",
    "execution_options",
    "keyword_arguments",
    "retry_policies",
    "signatures",
    "values",
]

F = TypeVar("F", bound=Callable[..., Any])

#: How many times more examples ``--explore`` tries.
EXPLORE_FACTOR = 10

#: Exceptions that end all examples of a check at once: there is nothing to shrink.
FINAL = (HarnessError, Inconclusive, NotApplicable, Unavailable)


@dataclass
class _Mode:
    explore: bool = False


_mode = _Mode()


class Decided(BaseException):
    """A verdict, its cause, on its way out of a property.

    It is no ``Exception``, because hypothesis would look for a smaller example of that.
    """


def configure(*, explore: bool) -> None:
    """Say how properties look for examples from now on: derandomised, or with random seeds and more of them."""
    _mode.explore = explore


def examples(number: int, *, shrink: bool = True) -> Callable[[F], F]:
    """Decorate the body of a property: how many examples a verdict run tries.

    Args:
        number: the examples; ``--explore`` tries ``EXPLORE_FACTOR`` times as many.
        shrink: whether a failing example is made smaller, which costs further examples.
    """
    limits = settings(
        max_examples=number * (EXPLORE_FACTOR if _mode.explore else 1),
        derandomize=not _mode.explore,
        database=None,
        deadline=None,
        phases={Phase.explicit, Phase.generate} | ({Phase.shrink} if shrink else set()),
        print_blob=_mode.explore,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

    def decorate(body: F) -> F:
        limited: F = limits(_at_once(body))
        return limited

    return decorate


def _at_once(body: F) -> F:
    """Let an example that is neither pass nor fail decide: there is nothing to shrink."""

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return body(*args, **kwargs)
        except FINAL as error:
            raise Decided(str(error)) from error

    return cast("F", run)


# -- arguments of tasks -----------------------------------------------------------------------------

#: Text that every serializer carries: no control characters, no lone surrogates.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)

#: What JSON can say, in ranges that every language can hold.
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | TEXT
)

#: serializer -> the leaves that it carries unchanged.
SERIALIZERS: dict[str, st.SearchStrategy[Any]] = {
    "json": PLAIN,
    "yaml": PLAIN,
    "msgpack": PLAIN | st.binary(max_size=20),
    "pickle": PLAIN
    | st.binary(max_size=20)
    | st.datetimes()
    | st.builds(Decimal, st.integers(-(10**9), 10**9))
    | st.tuples(PLAIN, PLAIN),
}


def values(serializer: str = "json") -> st.SearchStrategy[Any]:
    """Answer values that a serializer carries unchanged, nested a little.

    Raises:
        KeyError: the serializer is none of ``SERIALIZERS``.
    """
    leaves = SERIALIZERS[serializer]
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    )


def arguments(serializer: str = "json") -> st.SearchStrategy[tuple[Any, ...]]:
    """Answer positional arguments of a call."""
    return st.lists(values(serializer), max_size=4).map(tuple)


def keyword_arguments(serializer: str = "json") -> st.SearchStrategy[dict[str, Any]]:
    """Answer keyword arguments of a call."""
    names = st.from_regex(r"[a-z][a-z_]{0,7}", fullmatch=True)
    return st.dictionaries(names, values(serializer), max_size=3)


def signatures() -> st.SearchStrategy[Signature]:
    """Answer invocations of probe tasks, for ``link`` and ``link_error``."""
    return st.builds(
        Signature, st.just("celeriac.echo"), arguments(), keyword_arguments(), immutable=st.booleans()
    )


# -- options ----------------------------------------------------------------------------------------

#: Options that only make sense with an exchange that a check has declared.
ADDRESSES = frozenset({"exchange", "routing_key"})

#: Options whose values are features of their own, such as ``serializer:yaml``.
CODECS = ("serializer", "compression")

#: Answers whether the implementation has a feature here.
Has = Callable[[str], bool]


def execution_options(
    *, now: datetime, has: Has, queues: Sequence[str], only: Collection[str] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Answer execution options as a call takes them: each option given, None or left out.

    Args:
        now: the moment of the call (aware), around which moments lie.
        has: answers whether a feature may be used.
        queues: the queues that may be named.
        only: the options that may appear; by default all but ``ADDRESSES``.
    """
    rules = schema("execution-options")["properties"]
    wanted = set(rules) - ADDRESSES if only is None else set(only)
    links = signatures() | st.lists(signatures(), min_size=1, max_size=2) | st.none()
    replaced: dict[str, st.SearchStrategy[Any] | None] = {
        "link": links,
        "link_error": links,
        "queue": st.sampled_from([*queues, None]),
        "retry_policy": retry_policies(has=has) | st.none(),
        **{name: _codecs(rules[name], name, has) for name in CODECS},
        **{name: None for name, rule in rules.items() if name not in wanted or not _promised(rule, has)},
    }
    return from_schema("execution-options", now=now, replaced=replaced).map(_native)


def retry_policies(*, has: Has, only: Collection[str] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Answer retry policies as a call takes them: each key given or left out.

    Args:
        has: answers whether a feature may be used: ``retry_errors`` is one.
        only: the keys that may appear; all by default.
    """
    names = set(schema("retry-policy")["properties"])
    wanted = set(names if only is None else only)
    if not has("retry_errors"):
        wanted.discard("retry_errors")
    return from_schema("retry-policy", replaced=dict.fromkeys(names - wanted)).map(_native)


def _promised(rule: Mapping[str, Any], has: Has) -> bool:
    feature = rule.get("x-feature")
    return feature is None or feature in CODECS or has(feature)


def _codecs(rule: Mapping[str, Any], option: str, has: Has) -> st.SearchStrategy[Any]:
    names = [name for alternative in rule["anyOf"] for name in alternative.get("enum", ())]
    return st.sampled_from([*(name for name in names if has(f"{option}:{name}")), None])


def _native(options: dict[str, Any]) -> dict[str, Any]:
    tagged = {"eta", "expires", "retry_errors"}
    return {name: from_json(value) if name in tagged else value for name, value in options.items()}
