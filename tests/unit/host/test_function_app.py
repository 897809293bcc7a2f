"""Reading functions as the Python worker indexes them.

https://learn.microsoft.com/azure/azure-functions/functions-reference-python
"""

from __future__ import annotations

import sys
from pathlib import Path

import azure.functions as func
import pytest

from local.functions_host.errors import FunctionAppError
from local.functions_host.function_app import load_function_app, read_functions


def test_functions_are_read_with_their_triggers_outputs_and_kind() -> None:
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="msg", queue_name="%IN%", connection="C")
    @app.queue_output(arg_name="out", queue_name="next", connection="C")
    async def relay(msg: func.QueueMessage, out: func.Out[str], context: func.Context) -> None: ...

    @app.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=True)
    def tick(timer: func.TimerRequest) -> None: ...

    relayed, ticked = read_functions(app)
    assert (relayed.name, relayed.trigger.type, relayed.is_async, relayed.wants_context) == (
        "relay",
        "queueTrigger",
        True,
        True,
    )
    assert relayed.trigger.text("queueName") == "%IN%"
    assert [(output.name, output.type) for output in relayed.outputs] == [("out", "queue")]
    assert (ticked.is_async, ticked.wants_context) == (False, False)
    assert ticked.trigger.flag("runOnStartup", False)


def test_functions_of_blueprints_are_read_and_ordered_by_name() -> None:
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    app = func.FunctionApp()

    @blueprint.route()
    def zebra(req: func.HttpRequest) -> str:
        return ""

    @app.route()
    def Ant(req: func.HttpRequest) -> str:  # noqa: N802
        return ""

    app.register_functions(blueprint)
    assert [function.name for function in read_functions(app)] == ["Ant", "zebra"]


def test_a_parameter_without_a_binding_is_refused_as_the_worker_refuses_it() -> None:
    app = func.FunctionApp()

    @app.route()
    def hello(req: func.HttpRequest, other: str) -> str:
        return other

    with pytest.raises(FunctionAppError, match=r"'hello'.*without a binding.*other"):
        read_functions(app)


def test_a_binding_without_a_parameter_is_refused() -> None:
    app = func.FunctionApp()

    @app.route()
    @app.queue_output(arg_name="out", queue_name="q", connection="C")
    def hello(req: func.HttpRequest) -> str:
        return ""

    with pytest.raises(FunctionAppError, match=r"'hello'.*without a parameter.*out"):
        read_functions(app)


def test_a_trigger_that_this_host_does_not_serve_is_named() -> None:
    app = func.FunctionApp()

    @app.blob_trigger(arg_name="blob", path="c/{name}", connection="C")
    def on_blob(blob: func.InputStream) -> None: ...

    with pytest.raises(FunctionAppError, match=r"'on_blob'.*blobTrigger"):
        read_functions(app)


def test_two_functions_of_one_name_are_refused() -> None:
    app = func.FunctionApp()
    for _ in range(2):

        @app.route()
        def hello(req: func.HttpRequest) -> str:
            return ""

    with pytest.raises(FunctionAppError, match="unique function name"):
        read_functions(app)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('no database')", "no database"),
        ("app = 1", "not an azure.functions app"),
        ("", "not an azure.functions app"),
    ],
)
def test_an_app_that_cannot_be_loaded_is_explained(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"broken_app_{abs(hash(source))}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(FunctionAppError, match=message):
        load_function_app(f"{module}:app", tmp_path)
