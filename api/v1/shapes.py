"""What the API sends and takes. Times are RFC 3339 in UTC; a field ending in `_ns` of a service's record becomes one without it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.problems import MEDIA_TYPE
from sensor.config_values import to_ns
from sensor.services.errors import InvalidError
from sensor.wording import rfc3339

EXAMPLE_TIME: Final = "2026-03-17T08:10:14.250000000Z"
EXAMPLE_ID: Final = "2a11a49f810e5125"
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=[EXAMPLE_TIME])]
Outcome = Literal["allowed", "unreviewed", "review", "violation"]
Severity = Literal["information", "low", "medium", "high"]
Activity = Literal["background", "messaging", "file_transfer", "call_attempt", "voice_call", "video_call", "meeting"]
State = Literal["new", "acknowledged", "investigating", "closed"]
Strength = Literal["supporting", "strong", "conclusive"]
ReasonText = Literal["confirmed", "false_positive", "authorised_exception", "duplicate"]
Count = Annotated[int, Field(ge=0)]


class Sent(BaseModel):
    """What is answered."""

    model_config = ConfigDict(extra="forbid")


class Taken(BaseModel):
    """What is asked; unknown fields are mistakes, and 1 is no text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ProblemField(Sent):
    field: str
    reason: str


class ProblemDocument(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(examples=["https://wardwatch.example/problems/changed-meanwhile"])
    title: str = Field(examples=["Precondition Failed"])
    status: int = Field(examples=[412])
    detail: str = Field(examples=["somebody else changed it meanwhile: it stands at version 3"])
    errors: list[ProblemField] | None = None


class Device(Sent):
    """A device; `id`, `label` and `addresses` are null and empty while it is only a pseudonym."""

    pseudonym: str = Field(examples=["D-7KQ3-X2FA"])
    id: str | None = Field(examples=[None])
    label: str | None = Field(examples=[None])
    addresses: list[str]
    notes: list[str] = Field(examples=[["random MAC"]])


class Violation(Sent):
    """One episode of use, as the policy in force judged it, and where its follow-up stands."""

    id: str = Field(examples=[EXAMPLE_ID])
    version: Count = Field(description="Of the follow-up: what a change has to name", examples=[0])
    state: State
    closing_reason: ReasonText | None
    assignee: str | None
    outcome: Outcome
    severity: Severity
    app: str | None = Field(description="null where candidates remain", examples=["whatsapp"])
    candidates: list[str]
    app_name: str = Field(examples=["WhatsApp"])
    activity: Activity
    network: str = Field(examples=["Ward 3"])
    device: Device
    start: Time
    end: Time
    bytes_up: Count
    bytes_down: Count
    packets: Count
    flows: Count
    strength: Strength
    rule: str = Field(examples=["policy.disallowed"])
    reason: str = Field(examples=["WhatsApp is on the list of disallowed apps (policy.disallowed)"])
    services: list[str]
    names: list[str] = Field(description="Host names that were seen", examples=[["g.whatsapp.net"]])
    notes: list[str]
    policy_hash: str
    signatures_hash: str
    signature_version: str
    recorded: Time


class FacetValue(Sent):
    value: str
    label: str
    count: Count
    chosen: bool


class Facet(Sent):
    """How many there are with each value, as the other filters stand."""

    name: Literal["network", "app", "activity", "severity", "state", "device", "day"]
    values: list[FacetValue]
    more: Count = Field(description="Values that were left out")


class ViolationPage(Sent):
    rows: list[Violation]
    total: Count
    next: str | None = Field(description="Send it as `after` for the next page; null: this is the end")
    facets: list[Facet]


class EvidenceItem(Sent):
    """One thing in one packet that proves it, and the Wireshark display filter that shows it."""

    number: int
    kind: str = Field(examples=["tls_sni"])
    kind_text: str
    value: str = Field(examples=["g.whatsapp.net"])
    detail: str
    file: str = Field(examples=["clinic-morning.pcap"])
    frame: int = Field(examples=[5065])
    time: Time
    flow: str
    app: str
    rule: str
    strength: Strength
    wireshark: str
    wireshark_flow: str
    packet_id: str


class Evidence(Sent):
    items: list[EvidenceItem]
    total: Count = Field(description="How many there were before the cap")


class Window(Sent):
    """Ten seconds from `start` on."""

    start: Time
    bytes_up: Count
    bytes_down: Count


class Judged(Sent):
    """One revision: what the sensor said of it, and when."""

    sequence: int
    recorded: Time
    outcome: Outcome
    severity: Severity
    activity: Activity
    rule: str
    reason: str
    policy_hash: str
    signatures_hash: str
    signature_version: str
    start: Time
    end: Time
    bytes_up: Count
    bytes_down: Count
    merged_into: str | None


class Change(Sent):
    """One row of the follow-up: never changed, never deleted, a link of the chain."""

    sequence: int
    episode_id: str
    version: int
    recorded: Time
    actor: str = Field(examples=["otto"])
    action: str = Field(examples=["acknowledge"])
    from_state: State
    to_state: State
    reason: ReasonText | None
    assignee: str | None
    note: str
    related: str | None
    act: str = Field(description="What `undo` takes")
    undoes: int | None


class History(Sent):
    revisions: list[Judged]
    changes: list[Change]


class Detail(Sent):
    violation: Violation
    evidence: list[EvidenceItem]
    evidence_total: Count
    profile: list[Window]
    revisions: list[Judged]
    history: list[Change]
    actions: list[str] = Field(description="What may be done from its state by who asks")
    merged: list[str]


def plain(record: Any) -> Any:
    """A service's record as JSON has it."""
    if is_dataclass(record) and not isinstance(record, type):
        made = {}
        for one in fields(record):
            value = getattr(record, one.name)
            if one.name.endswith("_ns"):
                made[one.name.removesuffix("_ns")] = time_text(value)
            else:
                made[one.name] = plain(value)
        return made
    if isinstance(record, (tuple, list)):
        return [plain(one) for one in record]
    return record


def time_text(value: Any) -> Any:
    """Nanoseconds as RFC 3339, also of several."""
    if isinstance(value, (tuple, list)):
        return [rfc3339(one) for one in value]
    return None if value is None else rfc3339(value)


NULL_WHERE_EMPTY: Final = frozenset({"closing_reason", "assignee", "id", "label", "related", "reason", "judged_by"})


def device(record: Any) -> dict[str, Any]:
    """Empty texts of what is masked are null."""
    made: dict[str, Any] = plain(record)
    return {**made, "id": made["id"] or None, "label": made["label"] or None}


def violation(record: Any) -> dict[str, Any]:
    made: dict[str, Any] = plain(record)
    return {
        **made,
        "device": device(record.device),
        "closing_reason": made["closing_reason"] or None,
        "assignee": made["assignee"] or None,
    }


def change(record: Any) -> dict[str, Any]:
    made: dict[str, Any] = plain(record)
    return {**made, **{name: made[name] or None for name in ("reason", "assignee", "related")}}


def detail(record: Any) -> dict[str, Any]:
    made: dict[str, Any] = plain(record)
    return {
        **made,
        "violation": violation(record.violation),
        "history": [change(one) for one in record.history],
    }


def moment(text: str | None, field: str) -> int | None:
    """An RFC 3339 time with its offset, in nanoseconds. Raises InvalidError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or len(text) < 20:
        raise InvalidError(f"{text!r} is not a time such as 2026-03-02T08:00:00Z", field)
    time_ns = to_ns(found)
    if not -(1 << 63) <= time_ns < 1 << 63:
        raise InvalidError(f"{text!r} is beyond the times that captures can hold (1678 to 2262)", field)
    return time_ns


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": description, "model": ProblemDocument, "content": {MEDIA_TYPE: {"schema": schema}}}


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: _problem("The request cannot be read"),
    401: _problem("Nobody is signed in"),
    403: _problem("The role does not allow it, or it does not come from our own pages"),
    404: _problem("There is no such thing"),
    405: _problem("Not this method"),
    413: _problem("The request is too large"),
    421: _problem("The server is not asked by that name"),
    422: _problem("The request is not what the API takes"),
    429: _problem("Too many requests; Retry-After says when to try again"),
    503: _problem("The store cannot be used now"),
}
CHANGED: Final[dict[int | str, dict[str, Any]]] = {
    409: _problem("Its state does not allow it, or the same Idempotency-Key is being answered"),
    412: _problem("Somebody else changed it meanwhile"),
    428: _problem("If-Match is missing"),
}
CONFLICT: Final[dict[int | str, dict[str, Any]]] = {409: CHANGED[409]}
