"""What the OpenAPI document promises holds for whatever is sent: no 5xx, no answer that is not in it.

`make nightly` sends ten times as much ($WARDWATCH_CASES).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from api.app import create_app
from sensor.services.people import Right, Role, somebody
from sensor.services.query import Query
from sensor.settings_api import ApiSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from sensor.services.desk import Desk

CASES = int(os.environ.get("WARDWATCH_CASES", "1000"))
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]
STREAMS = {"/api/v1/events"}  # it does not end; test_rest has it


@schemathesis.serializer("application/zstd")
def as_it_is(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture
def patient(desk: Desk) -> FastAPI:
    """An app that lets anybody ask as often as they like."""
    return create_app(desk, ApiSettings(requests_per_minute=1_000_000))


def test_nothing_breaks_it_and_every_answer_is_documented(desk: Desk, patient: FastAPI) -> None:
    admin = somebody("ada", Role.ADMIN)
    _, secret = desk.accounts.make_key(admin, "all", tuple(Right(one) for one in admin.rights), 1)
    headers = {"Authorization": f"Bearer {secret}", "Host": "localhost"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", patient, headers={"Host": "localhost"})
    every: list[Any] = list(schema.get_all_operations())
    found = [one.ok() for one in every if one.ok().path not in STREAMS]
    each = -(-CASES // (2 * len(found)))
    pseudonym = desk.violations.page(admin, Query()).rows[0].device.pseudonym
    known = {"id": f"{1:016x}", "pseudonym": pseudonym, "name": "vera"}
    sent = 0
    wrong: list[str] = []
    for operation in found:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not _takes_anything(operation):
                continue

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=each, deadline=None, database=None, derandomize=True,
                      phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
            def send(case: Any) -> None:
                nonlocal sent
                sent += 1
                if sent % 2 and case.path_parameters:  # half of them are of what is there
                    case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
                case.call_and_validate(headers=headers, checks=CHECKS)

            try:
                send()
            except Exception as error:  # noqa: BLE001 - all that goes wrong is told together
                wrong.append(f"{operation.label} {mode.value}: {type(error).__name__} {error}"[:1500])
    assert not wrong, "\n\n".join(wrong)
    assert sent > CASES * 0.8


def _takes_anything(operation: Any) -> bool:
    """Whether there is something to send wrongly, beside what one signs in with."""
    return bool(operation.body) or any(len(list(one)) for one in (operation.query, operation.path_parameters))
