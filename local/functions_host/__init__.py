"""A local host for Azure Functions (Python v2 model), for development and tests.

It loads the same `function_app.app` that Azure runs, reads its functions through the public API of the
`azure-functions` library and serves HTTP, queue and timer triggers with the semantics that the documentation
of the Functions host and of the WebJobs SDK states. It is a development tool and is never deployed.

What happens where:

* `supervisor` starts worker processes as Azure starts instances, and starts one again that died;
* `worker` is one such process: HTTP server, queue listeners, timer listeners, one event loop;
* `function_app` loads the app, `invocation` runs a function, `http_server`, `queue_listener` and
  `timer_listener` decide when.
"""
