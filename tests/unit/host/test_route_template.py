"""Route templates of HTTP triggers.

https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
"""

from __future__ import annotations

import pytest

from local.functions_host.errors import HostConfigurationError
from local.functions_host.route_template import RouteTemplate, split_path


def match(template: str, path: str) -> dict[str, str] | None:
    return RouteTemplate(template).match(split_path(path.encode()))


def test_literals_match_without_regard_to_case() -> None:
    assert match("api/Jobs", "/API/jobs") == {}


def test_a_trailing_slash_does_not_matter() -> None:
    assert match("api/jobs", "/api/jobs/") == {}


def test_a_parameter_is_one_segment() -> None:
    assert match("jobs/{id}", "/jobs/7") == {"id": "7"}
    assert match("jobs/{id}", "/jobs") is None
    assert match("jobs/{id}", "/jobs/7/8") is None


def test_an_optional_parameter_may_be_absent() -> None:
    assert match("jobs/{id?}", "/jobs") == {}
    assert match("jobs/{id:int?}", "/jobs/7") == {"id": "7"}


def test_a_default_value_stands_in_for_an_absent_segment() -> None:
    assert match("jobs/{id=1}", "/jobs") == {"id": "1"}
    assert match("jobs/{id:int=1}", "/jobs/x") is None


@pytest.mark.parametrize("template", ["files/{*rest}", "files/{**rest}"])
def test_a_catch_all_takes_the_rest_of_the_path_or_nothing(template: str) -> None:
    assert match(template, "/files/a/b%20c/d") == {"rest": "a/b c/d"}
    assert match(template, "/files") == {}


def test_a_segment_may_mix_literals_and_parameters() -> None:
    assert match("tiles/{z}-{x}.{ext}", "/tiles/3-4.png") == {"z": "3", "x": "4", "ext": "png"}


def test_values_are_decoded_but_an_encoded_slash_stays() -> None:
    assert match("jobs/{id}", "/jobs/a%2Fb%C3%A9") == {"id": "a%2Fbé"}


@pytest.mark.parametrize(
    ("constraint", "accepted", "refused"),
    [
        ("int", ["0", "-5", "2147483647"], ["x", "1.5", "2147483648"]),
        ("long", ["2147483648"], ["9223372036854775808"]),
        ("bool", ["true", "FALSE"], ["1", "yes"]),
        ("alpha", ["abcXYZ"], ["abc1", "é"]),
        (
            "guid",
            ["cd2c1638-1638-72d5-1638-deadbeef1638", "{CD2C1638-1638-72d5-1638-deadbeef1638}"],
            ["cd2c1638", "zd2c1638-1638-72d5-1638-deadbeef1638"],
        ),
        ("decimal", ["49.99", "-1"], ["1e3", "x"]),
        ("double", ["1.5e3"], ["x"]),
        ("datetime", ["2016-12-31", "2016-12-31T07:32:00"], ["31st"]),
        ("minlength(4)", ["abcd"], ["abc"]),
        ("maxlength(3)", ["abc"], ["abcd"]),
        ("length(3)", ["abc"], ["ab", "abcd"]),
        ("length(2,3)", ["ab", "abc"], ["a", "abcd"]),
        ("min(18)", ["18"], ["17", "x"]),
        ("max(18)", ["18"], ["19"]),
        ("range(2,4)", ["2", "4"], ["1", "5"]),
        (r"regex(^\d{{3}}-/?\d$)", ["123-4"], ["12-3"]),
        ("int:min(5)", ["5"], ["4", "x"]),
    ],
)
def test_a_constraint_decides_whether_the_route_matches(
    constraint: str, accepted: list[str], refused: list[str]
) -> None:
    """https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints"""
    template = RouteTemplate(f"x/{{value:{constraint}}}")
    for value in accepted:
        assert template.match(["x", value]) == {"value": value}
    for value in refused:
        assert template.match(["x", value]) is None


@pytest.mark.parametrize(
    "template",
    ["a/{id", "a/id}", "a//b", "{*rest}/a", "a/{id}/{id}", "a/{id:nosuch}", "a/{id:length(x)}", "a/{}"],
)
def test_a_text_that_is_not_a_template_is_refused(template: str) -> None:
    with pytest.raises(HostConfigurationError):
        RouteTemplate(template)
