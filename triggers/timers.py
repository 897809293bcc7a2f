"""Timer triggers: the relay, the reconciler, schedules and chains, callbacks, history, and retention."""

from __future__ import annotations

from collections.abc import Callable

import azure.functions as func

from engine import Engine

from .threads import Threads

EVERY_5_SECONDS = "*/5 * * * * *"
EVERY_15_SECONDS = "3-59/15 * * * * *"
"""Not at the same moment as the relay, which would pass before what is reconciled is there to be sent."""
EVERY_MINUTE = "20 * * * * *"
ONCE_A_MINUTE = "45 * * * * *"
"""Far from the minute's ends, so that a tick which comes late is still of its own minute."""
EVERY_HOUR = "0 7 * * * *"


def build(engine: Engine, send_signals: Callable[[], object] | None = None) -> func.Blueprint:
    """The timers. All do what any number of others may be doing at the same time.

    `send_signals`: sends what the whole app tells of itself; None where it goes nowhere.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    def on_timer(name: str, schedule: str, work: Callable[[], object], *, at_start: bool = False) -> None:
        threads = Threads(name, 1)

        async def tick(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 - passed by name
            await threads.run(context, work)

        tick.__name__ = name
        trigger = blueprint.timer_trigger(
            arg_name="timer", schedule=schedule, run_on_startup=at_start, use_monitor=False
        )
        trigger(blueprint.function_name(name)(tick))

    on_timer("relay_outbox", EVERY_5_SECONDS, engine.relay)
    on_timer("reconcile", EVERY_15_SECONDS, engine.reconcile, at_start=True)
    on_timer("follow_up", EVERY_5_SECONDS, engine.follow_up)
    # Of its own, since it waits for other people's servers.
    on_timer("deliver_callbacks", EVERY_5_SECONDS, engine.callbacks.deliver)
    on_timer("sample_history", ONCE_A_MINUTE, engine.history.sample)
    on_timer("retention", EVERY_HOUR, engine.retention.run)
    if send_signals is not None:
        # Whichever instance the timer runs on sends for all of them.
        on_timer("send_signals", EVERY_MINUTE, send_signals)
    return blueprint
