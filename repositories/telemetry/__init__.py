"""OpenTelemetry: spans, metrics and log records on their way to a collector (docs/signals.md).

Nothing of this package but `service` is imported where no collector is configured.
"""
