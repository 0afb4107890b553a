"""The Celery application that both ends use: JSON only, no acknowledgements, no results, no retries.

Redis holds wake-ups and nothing else. Everything that Celery offers to remember (eta, retries, revokes, results,
priorities) stays unused: the database remembers.
"""

from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection
from redis.exceptions import OutOfMemoryError

from pixmill.settings import Settings
from scheduler.certificates import tls_options
from scheduler.transport import StrictTransport

LONGEST_PAUSE = 1.0  # seconds between two tries to reach Redis


class PromptConnection(Connection):
    """A connection that comes back soon after Redis does; Celery's own waits longer with every failure."""

    def get_transport_cls(self) -> type[StrictTransport]:
        """The one that takes nothing from Redis as it stands there."""
        return StrictTransport

    @property
    def connection_errors(self) -> tuple[type[BaseException], ...]:
        """What is mended by connecting anew, a Redis without memory among it: Celery would end for that."""
        return (*self.get_transport_cls().connection_errors, OutOfMemoryError)

    def _ensure_connection(self, *arguments: Any, **options: Any) -> Any:
        pauses = {"interval_start": 0.1, "interval_step": 0.3, "interval_max": LONGEST_PAUSE}
        return super()._ensure_connection(*arguments, **{**options, **pauses})


class PromptAMQP(AMQP):
    """Makes Celery use such connections, and take messages without acknowledging them.

    A wake-up that is lost is sent again. But an acknowledgement that is lost together with Redis makes a worker deaf:
    Celery counts that message as one at work for ever, asks for no other, and so never notices the lost connection.
    """

    Connection = PromptConnection

    def TaskConsumer(self, channel: Any, *arguments: Any, **options: Any) -> Any:  # noqa: N802  Celery's name
        """The consumer of a worker's queues."""
        consumer: Any = super().TaskConsumer(channel, *arguments, **options, no_ack=True)
        # Celery acknowledges all the same, a question to Redis that has no answer to give.
        consumer.channel.basic_ack = _nothing
        return consumer


def _nothing(_delivery_tag: str, multiple: bool = False) -> None:
    """Nothing is kept of a message that was taken."""


def make_celery(settings: Settings) -> Celery:
    """A Celery application bound to the configured broker; nothing is connected yet."""
    timeout = settings.broker.timeout_seconds
    app = Celery("pixmill", broker=settings.broker_url, amqp=PromptAMQP, set_as_current=False)
    tls = tls_options(settings)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,  # never after the task: a repeated wake-up would start a job twice
        task_publish_retry=False,  # the next tick tries again
        task_create_missing_queues=True,
        broker_use_ssl=tls or None,  # without it Celery would trust every certificate
        broker_transport_options={
            "ack_emulation": False,  # no message waits for an acknowledgement, so none is kept or given back
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
