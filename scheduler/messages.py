"""The Celery application that both ends use: JSON only, early acknowledgement, no results, no retries.

Redis holds wake-ups and nothing else. Everything that Celery offers to remember (eta, retries, revokes, results,
priorities) stays unused: the database remembers.
"""

from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection
from redis.exceptions import OutOfMemoryError

from pixmill.settings import Settings

LONGEST_PAUSE = 1.0  # seconds between two tries to reach Redis


class PromptConnection(Connection):
    """A connection that comes back soon after Redis does; Celery's own waits longer with every failure."""

    @property
    def connection_errors(self) -> tuple[type[BaseException], ...]:
        """What is mended by connecting anew, a Redis without memory among it: Celery would end for that."""
        return (*self.get_transport_cls().connection_errors, OutOfMemoryError)

    def _ensure_connection(self, *arguments: Any, **options: Any) -> Any:
        pauses = {"interval_start": 0.1, "interval_step": 0.3, "interval_max": LONGEST_PAUSE}
        return super()._ensure_connection(*arguments, **{**options, **pauses})


class PromptAMQP(AMQP):
    """Makes Celery use such connections."""

    Connection = PromptConnection


def make_celery(settings: Settings) -> Celery:
    """A Celery application bound to the configured broker; nothing is connected yet."""
    timeout = settings.broker.timeout_seconds
    app = Celery("pixmill", broker=settings.broker_url, amqp=PromptAMQP, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,  # a lost wake-up is sent again; a repeated one would start a job twice
        task_publish_retry=False,  # the next tick tries again
        task_create_missing_queues=True,
        broker_transport_options={
            "socket_connect_timeout": timeout,
            "socket_timeout": max(timeout, 5.0),  # must exceed the consumer's blocking pop
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
        broker_connection_timeout=timeout,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # nothing listens to broadcasts; `worker check` reads the database
        timezone="UTC",
        enable_utc=True,
    )
    return app
