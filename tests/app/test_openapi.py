"""The API against its own document: schemathesis makes up requests and holds each answer against it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.served import Service, service

EXAMPLES = 12


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("openapi"), http=True) as found:
        found.all_ready()
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> None:
    """The service of this module outlives its tests."""


@pytest.fixture
def api(running: Service):
    return schemathesis.openapi.from_url(f"{running.url}/api/v1/openapi.json")


def test_every_answer_is_as_the_document_says(api) -> None:
    checks = (
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    )
    tried = []
    for result in api.get_all_operations():
        operation = result.ok()
        tried.append(operation.path)

        @given(case=operation.as_strategy(), known=st.booleans())
        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        def hold(case, known: bool) -> None:
            if known and "name" in (case.path_parameters or {}):
                case.path_parameters["name"] = "a"  # a made-up name finds nothing but 404
            case.validate_response(case.call(), checks=checks)

        hold()
    assert len(tried) > 15


def test_every_route_of_the_api_is_described(running: Service) -> None:
    described = {
        (path, method.upper())
        for path, item in running.json("/api/v1/openapi.json")["paths"].items()
        for method in item
    }
    routes = {
        (rule.rule.removeprefix("/api/v1").replace("<", "{").replace(">", "}"), method)
        for rule in running.app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert described == routes
