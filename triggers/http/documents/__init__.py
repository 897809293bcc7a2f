"""The shapes of answers, as the OpenAPI document has them. What is answered is held to them by tests."""
