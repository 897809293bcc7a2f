"""Timer triggers: the relay, the reconciler, and retention."""

from __future__ import annotations

import azure.functions as func

from engine import Engine

EVERY_5_SECONDS = "*/5 * * * * *"
EVERY_15_SECONDS = "3-59/15 * * * * *"
"""Not at the same moment as the relay, which would pass before what is reconciled is there to be sent."""
EVERY_HOUR = "0 7 * * * *"


def build(engine: Engine) -> func.Blueprint:
    """The timers. All do what any number of others may be doing at the same time."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    @blueprint.function_name("relay_outbox")
    @blueprint.timer_trigger(arg_name="timer", schedule=EVERY_5_SECONDS, use_monitor=False)
    def relay_outbox(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
        engine.relay()

    @blueprint.function_name("reconcile")
    @blueprint.timer_trigger(
        arg_name="timer", schedule=EVERY_15_SECONDS, run_on_startup=True, use_monitor=False
    )
    def reconcile(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
        engine.reconcile()

    @blueprint.function_name("retention")
    @blueprint.timer_trigger(arg_name="timer", schedule=EVERY_HOUR, use_monitor=False)
    def retention(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the host passes it by name
        engine.retention.run()

    return blueprint
