"""What every implementation of the queue port does: the one on a storage account, and the tests' own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from interfaces.errors import NotFound, OrchestratorError, ServiceUnavailable
from interfaces.queues import JobMessage, OutgoingMessage, QueueRepository, TaskMessage
from repositories.queues import AzureQueueRepository
from repositories.storage_account import StorageAccount
from tests.doubles.memory_queues import MemoryQueues
from tests.fix_stack import QueueNames


@pytest.fixture(params=["azure", "memory"])
def queues(request: pytest.FixtureRequest) -> QueueRepository:
    """One of the implementations."""
    if request.param == "memory":
        return MemoryQueues()
    return AzureQueueRepository(StorageAccount(request.getfixturevalue("storage_connection_string")))


@pytest.fixture
def queue(queues: QueueRepository, queue_names: QueueNames) -> str:
    """An empty queue."""
    queues.ensure(queue_names.jobs)
    return queue_names.jobs


def message(queue: str, body: str, delay: int = 0) -> OutgoingMessage:
    return OutgoingMessage(queue=queue, body=body, delay_seconds=delay)


def bodies(queues: QueueRepository, queue: str) -> list[str]:
    return sorted(peeked.body for peeked in queues.peek(queue))


def eventually(holds: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()


def test_what_is_sent_can_be_seen(queues: QueueRepository, queue: str) -> None:
    assert queues.send([message(queue, "one"), message(queue, "two")]) == [None, None]
    assert bodies(queues, queue) == ["one", "two"]


@pytest.mark.parametrize(
    "body",
    [
        JobMessage(job_id="a" * 64, run=1, stage=1, correlation_id="c").model_dump_json(),
        TaskMessage(job_id="b" * 64, run=2, stage=3, first=0, last=99).model_dump_json(),
        '{"name": "Ærøskøbing 😀 <&> \\" \\u0000"}',
        " white space \r\n around\t",
        "]]>",
    ],
)
def test_a_body_arrives_as_it_was_sent(queues: QueueRepository, queue: str, body: str) -> None:
    assert queues.send([message(queue, body)]) == [None]
    assert bodies(queues, queue) == [body]


def test_a_body_may_have_up_to_four_kibibytes(queues: QueueRepository, queue: str) -> None:
    assert queues.send([message(queue, "é" * 2048)]) == [None]
    assert bodies(queues, queue) == ["é" * 2048]


def test_nothing_to_send_is_no_error(queues: QueueRepository) -> None:
    assert queues.send([]) == []


def test_equal_messages_are_two_messages(queues: QueueRepository, queue: str) -> None:
    queues.send([message(queue, "same"), message(queue, "same")])
    first, second = queues.peek(queue)
    assert first.message_id != second.message_id


def test_peeking_takes_nothing_and_counts_nothing(queues: QueueRepository, queue: str) -> None:
    queues.send([message(queue, "one")])
    before = queues.peek(queue)
    assert queues.peek(queue) == before
    assert before[0].dequeue_count == 0
    assert queues.length(queue) == 1


def test_peeking_shows_as_many_as_asked_for_and_at_most_32(queues: QueueRepository, queue: str) -> None:
    assert queues.send([message(queue, str(i)) for i in range(40)]) == [None] * 40
    assert len(queues.peek(queue, 5)) == 5
    assert len(queues.peek(queue)) == 32
    assert len(queues.peek(queue, 1000)) == 32
    assert queues.length(queue) == 40


def test_an_empty_queue_shows_nothing(queues: QueueRepository, queue: str) -> None:
    assert queues.peek(queue) == []
    assert queues.length(queue) == 0


def test_a_delayed_message_is_counted_and_shown_later(queues: QueueRepository, queue: str) -> None:
    queues.send([message(queue, "later", delay=1), message(queue, "now")])
    assert bodies(queues, queue) == ["now"]
    assert queues.length(queue) == 2
    assert eventually(lambda: bodies(queues, queue) == ["later", "now"])


def test_queues_are_apart(queues: QueueRepository, queue: str, queue_names: QueueNames) -> None:
    queues.ensure(queue_names.tasks)
    queues.send([message(queue, "job"), message(queue_names.tasks, "task")])
    assert bodies(queues, queue) == ["job"]
    assert bodies(queues, queue_names.tasks) == ["task"]


def test_making_a_queue_that_is_there_keeps_its_messages(queues: QueueRepository, queue: str) -> None:
    queues.send([message(queue, "kept")])
    queues.ensure(queue)
    assert bodies(queues, queue) == ["kept"]


def test_a_queue_that_is_not_there_is_named(queues: QueueRepository) -> None:
    for look in (queues.peek, queues.length):
        with pytest.raises(NotFound, match="queue 'no-such-queue' does not exist"):
            look("no-such-queue")


def test_each_message_has_its_own_answer(queues: QueueRepository, queue: str) -> None:
    answers = queues.send([message(queue, "1"), message("no-such-queue", "2"), message(queue, "3")])
    assert [type(answer) for answer in answers] == [type(None), NotFound, type(None)]
    assert bodies(queues, queue) == ["1", "3"]


def test_a_message_that_is_too_large_is_an_answer_and_no_exception(
    queues: QueueRepository, queue: str
) -> None:
    # 64 KiB as it travels, which is base64.
    [answer, fine] = queues.send([message(queue, "x" * 50_000), message(queue, "small")])
    assert isinstance(answer, OrchestratorError)
    assert fine is None
    assert bodies(queues, queue) == ["small"]


def test_what_was_not_begun_in_time_is_not_sent(queues: QueueRepository, queue: str) -> None:
    for messages in ([message(queue, "1")], [message(queue, "1"), message(queue, "2")]):
        answers = queues.send(messages, within=0)
        assert [type(answer) for answer in answers] == [ServiceUnavailable] * len(messages)
    assert queues.send([message(queue, "3")], within=60) == [None]
    assert bodies(queues, queue) == ["3"]


def test_many_threads_may_send_at_once(queues: QueueRepository, queue: str) -> None:
    def send(thread: int) -> list[BaseException | None]:
        return queues.send([message(queue, f"{thread}-{i}") for i in range(5)])

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(send, range(6))) == [[None] * 5] * 6
    assert bodies(queues, queue) == sorted(f"{thread}-{i}" for thread in range(6) for i in range(5))
