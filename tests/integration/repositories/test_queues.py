"""The queue repository against a real queue service."""

from __future__ import annotations

import base64
import time

import pytest
from azure.storage.queue import QueueServiceClient

from interfaces.errors import NotFound
from interfaces.queues import OutgoingMessage
from repositories.queues import AzureQueueRepository
from repositories.storage_account import StorageAccount
from tests.fix_stack import QueueNames


@pytest.fixture
def queues(storage_connection_string: str) -> AzureQueueRepository:
    return AzureQueueRepository(StorageAccount(storage_connection_string))


def test_a_message_travels_as_base64_of_its_text(
    queues: AzureQueueRepository, queue_names: QueueNames, storage_connection_string: str
) -> None:
    body = '{"name": "Ærøskøbing <&>"}'

    assert queues.send([OutgoingMessage(queue=queue_names.jobs, body=body)]) == [None]

    with QueueServiceClient.from_connection_string(storage_connection_string) as service:
        (raw,) = service.get_queue_client(queue_names.jobs).peek_messages()
    assert base64.b64decode(raw.content).decode() == body
    (peeked,) = queues.peek(queue_names.jobs)
    assert (peeked.body, peeked.dequeue_count) == (body, 0)


def test_many_messages_are_sent_and_none_is_lost(
    queues: AzureQueueRepository, queue_names: QueueNames
) -> None:
    messages = [OutgoingMessage(queue=queue_names.tasks, body=str(i)) for i in range(100)]

    assert queues.send(messages) == [None] * 100
    assert queues.length(queue_names.tasks) == 100
    assert len(queues.peek(queue_names.tasks, 500)) == 32


def test_nothing_to_send_is_no_error(queues: AzureQueueRepository) -> None:
    assert queues.send([]) == []


def test_each_message_has_its_own_result(queues: AzureQueueRepository, queue_names: QueueNames) -> None:
    results = queues.send(
        [
            OutgoingMessage(queue=queue_names.jobs, body="1"),
            OutgoingMessage(queue="no-such-queue", body="2"),
            OutgoingMessage(queue=queue_names.jobs, body="3"),
        ]
    )

    assert results[0] is None
    assert isinstance(results[1], NotFound)
    assert str(results[1]) == "queue 'no-such-queue' does not exist"
    assert results[2] is None
    assert queues.length(queue_names.jobs) == 2


def test_a_delayed_message_stays_hidden(queues: AzureQueueRepository, queue_names: QueueNames) -> None:
    queues.send([OutgoingMessage(queue=queue_names.jobs, body="later", delay_seconds=2)])

    assert queues.peek(queue_names.jobs) == []
    assert queues.length(queue_names.jobs) == 1
    deadline = time.monotonic() + 15
    while not queues.peek(queue_names.jobs) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [message.body for message in queues.peek(queue_names.jobs)] == ["later"]


def test_peeking_shows_what_is_not_base64_as_it_is(
    queues: AzureQueueRepository, queue_names: QueueNames, storage_connection_string: str
) -> None:
    with QueueServiceClient.from_connection_string(storage_connection_string) as service:
        service.get_queue_client(queue_names.jobs).send_message("not base64 at all {")

    assert [message.body for message in queues.peek(queue_names.jobs)] == ["not base64 at all {"]


def test_peeking_takes_nothing_away(queues: AzureQueueRepository, queue_names: QueueNames) -> None:
    queues.send([OutgoingMessage(queue=queue_names.jobs, body="x")])

    queues.peek(queue_names.jobs)

    assert queues.peek(queue_names.jobs)[0].dequeue_count == 0


def test_a_missing_queue_is_named(queues: AzureQueueRepository) -> None:
    with pytest.raises(NotFound, match="'no-such-queue'"):
        queues.length("no-such-queue")
    with pytest.raises(NotFound, match="'no-such-queue'"):
        queues.peek("no-such-queue")


def test_a_queue_is_made_once(queues: AzureQueueRepository, queue_names: QueueNames) -> None:
    queues.ensure(queue_names.jobs)
    queues.ensure(queue_names.poison[0])
    queues.ensure(queue_names.poison[0])

    assert queues.length(queue_names.poison[0]) == 0
