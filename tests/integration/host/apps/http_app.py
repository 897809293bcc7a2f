"""HTTP functions that tell which process they run in."""

from __future__ import annotations

import asyncio
import os
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route()
def pid(req: func.HttpRequest) -> str:
    """Return the process id."""
    return str(os.getpid())


@app.route(route="wait/{seconds}")
async def wait(req: func.HttpRequest) -> str:
    """Answer after some seconds, without holding a thread."""
    await asyncio.sleep(float(req.route_params["seconds"]))
    return str(os.getpid())


@app.route(route="block/{seconds}")
async def block(req: func.HttpRequest) -> str:
    """Block the event loop, as an `async` function should not."""
    time.sleep(float(req.route_params["seconds"]))  # noqa: ASYNC251
    return ""


@app.route(auth_level=func.AuthLevel.ADMIN)
def admin(req: func.HttpRequest) -> str:
    """Ask for the admin key."""
    return "admin"


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
def folder(req: func.HttpRequest) -> str:
    """Return the working directory."""
    return os.getcwd()
