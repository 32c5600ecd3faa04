"""The settings of an application, under their Celery names.

The defaults are the guide's.  A name that is in neither table is refused: a setting with a typing mistake would
otherwise be a default that nobody notices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from celeriac.reference.suggest import unknown

__all__ = ["DEFAULTS", "WITHOUT_EFFECT", "Settings"]

#: Setting -> default.  Durations are in seconds.
DEFAULTS: Final[Mapping[str, Any]] = {
    "accept_content": ("json",),
    "broker_connection_timeout": 4.0,
    "broker_pool_limit": 10,
    "broker_transport_options": {},
    "result_accept_content": None,
    "result_backend_transport_options": {},
    "result_expires": 86_400,
    "result_extended": False,
    "result_serializer": "json",
    "task_acks_late": False,
    "task_acks_on_failure_or_timeout": True,
    "task_compression": None,
    "task_create_missing_queues": True,
    "task_default_delivery_mode": 2,
    "task_default_exchange": None,
    "task_default_exchange_type": "direct",
    "task_default_priority": None,
    "task_default_queue": "celery",
    "task_default_routing_key": None,
    "task_ignore_result": False,
    "task_publish_retry": True,
    "task_publish_retry_policy": {},
    "task_queue_max_priority": None,
    "task_queues": None,
    "task_routes": None,
    "task_serializer": "json",
    "task_store_errors_even_if_ignored": False,
    "task_track_started": False,
    "worker_prefetch_multiplier": 4,
}

#: Celery settings that an application may carry but that change nothing here.
WITHOUT_EFFECT: Final = frozenset(
    {
        "broker_channel_error_retry",
        "broker_connection_max_retries",
        "broker_connection_retry",
        "broker_connection_retry_on_startup",
        "broker_heartbeat",
        "enable_utc",
        "event_queue_expires",
        "task_default_queue_type",
        "task_default_rate_limit",
        "task_protocol",
        "task_remote_tracebacks",
        "task_send_sent_event",
        "task_soft_time_limit",
        "task_time_limit",
        "timezone",
        "worker_cancel_long_running_tasks_on_connection_loss",
        "worker_concurrency",
        "worker_deduplicate_successful_tasks",
        "worker_disable_rate_limits",
        "worker_enable_remote_control",
        "worker_eta_task_limit",
        "worker_hijack_root_logger",
        "worker_log_color",
        "worker_pool",
        "worker_redirect_stdouts",
        "worker_send_task_events",
    }
)


class Settings:
    """Settings as attributes, e.g. ``settings.task_serializer``.

    Raises:
        TypeError: a given name is no setting; the text names the nearest ones.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given: dict[str, Any] = {}
        self.update(given)

    def update(self, given: Mapping[str, Any]) -> None:
        """Set several at once."""
        for name in given:
            if name not in DEFAULTS and name not in WITHOUT_EFFECT:
                raise TypeError(unknown("setting", name, (*DEFAULTS, *WITHOUT_EFFECT)))
        self._given.update(given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._given[name] if name in self._given else DEFAULTS[name]
        except KeyError:
            raise AttributeError(unknown("setting", name, DEFAULTS)) from None

    def __iter__(self) -> Iterator[str]:
        return iter({**DEFAULTS, **self._given})
