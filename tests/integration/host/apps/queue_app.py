"""A queue function that hangs the first time."""

from __future__ import annotations

import time

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="msg", queue_name="%INPUT%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="out", queue_name="%OUTPUT%", connection="AzureWebJobsStorage")
def relay(msg: func.QueueMessage, out: func.Out[str]) -> None:
    """Hang when the message is new, else pass it on with its dequeue count."""
    if msg.dequeue_count == 1:
        time.sleep(60)
    out.set(f"{msg.get_body().decode()} {msg.dequeue_count}")
