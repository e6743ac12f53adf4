"""The filters that lists, sums and exports have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from fastapi import Query as Parameter

from api.v1.shapes import Activity, Outcome, Severity, State, moment
from sensor.services.query import Query

TIME = {"format": "date-time"}
Texts = Annotated[list[str], Parameter(max_length=50)]
Since = Annotated[str | None, Parameter(description="Starts at or after, RFC 3339", json_schema_extra=TIME)]
Until = Annotated[str | None, Parameter(description="Starts before, RFC 3339", json_schema_extra=TIME)]
Limit = Annotated[int, Parameter(ge=1, le=500, description="Rows of a page")]
After = Annotated[str | None, Parameter(max_length=500, description="`next` of the page before")]


def query(
    network: Texts = [],
    app: Annotated[list[str], Parameter(max_length=50, description="Also where it is one of the candidates")] = [],
    activity: Annotated[list[Activity], Parameter()] = [],
    severity: Annotated[list[Severity], Parameter()] = [],
    state: Annotated[list[State], Parameter()] = [],
    device: Annotated[list[str], Parameter(max_length=50, description="Pseudonyms")] = [],
    day: Annotated[list[str], Parameter(max_length=50, description="Days of the site's clock, 2026-03-17")] = [],
    outcome: Annotated[list[Outcome], Parameter(description="Without it: violation")] = [],
    assignee: Annotated[str, Parameter(max_length=64)] = "",
    text: Annotated[
        str, Parameter(max_length=200, description="Part of a network, app or pseudonym; beginning of an id")
    ] = "",
    since: Since = None,
    until: Until = None,
) -> Query:
    return Query(
        tuple(network), tuple(app), tuple(activity), tuple(severity), tuple(state), tuple(device), tuple(day),
        tuple(outcome) or ("violation",), assignee, moment(since, "since"), moment(until, "until"), text,
    )  # fmt: skip


Asked = Annotated[Query, Depends(query)]
