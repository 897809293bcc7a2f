"""Tokens for the database, and an identity provider that has none."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from repositories.credentials import DATABASE_SCOPE, provider
from repositories.database import TokenUnavailable


class Credential:
    """Answers what it is told to, and notes what it was asked for."""

    def __init__(self, answer: AccessToken | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked += scopes
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_token_is_asked_for_the_database() -> None:
    credential = Credential(AccessToken("fresh", 0))
    assert provider(credential)() == "fresh"
    assert credential.asked == [DATABASE_SCOPE]


@pytest.mark.parametrize("kind", [ClientAuthenticationError, ServiceRequestError])
def test_a_provider_that_fails_is_told_by_the_kind_of_its_error_and_nothing_else(
    kind: type[Exception],
) -> None:
    with pytest.raises(TokenUnavailable) as failed:
        provider(Credential(kind("of tenant 42 at http://169.254.169.254")))()
    assert str(failed.value) == f"the identity provider gave no token ({kind.__name__})"
