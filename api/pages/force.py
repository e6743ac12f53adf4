"""Signatures and policy in force: what is judged by, and whether the sensor judges by the same."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response

from api.pages.clocks import Clock
from api.pages.frame import Frame, SignedFrame
from api.pages.words import ACTIVITIES, HIDDEN, NETWORKS, STANDINGS
from sensor.config_values import to_ns
from sensor.services.people import Right

router = APIRouter()


@router.get("/policy")
def in_force(page: SignedFrame) -> Response:
    """Everything on one page; devices that rules name are pseudonyms here too."""
    policy, signatures = page.desk.status.policy(page.who), page.desk.status.signatures(page.who)
    document: dict[str, Any] = policy.document
    return page.render(
        "policy.html",
        section="policy",
        policy=policy,
        signatures=signatures,
        document=document,
        exceptions=[_exception(page, one) for one in document.get("exceptions", ())],
        apps=page.desk.overview.apps(page.who),
        networks=page.desk.overview.networks(page.who),
        standings=STANDINGS,
        kinds=NETWORKS,
        activities=ACTIVITIES,
        hiding=HIDDEN,
        app_text=page.desk.material.app_text,
        days=lambda names: ", ".join(_weekday(page, name) for name in names),
        may_admin=page.who.may(Right.ADMIN),
    )


def _exception(page: Frame, one: dict[str, Any]) -> dict[str, Any]:
    devices = [page.desk.material.device_of_id(page.who, device).text for device in one["devices"]]
    return {**one, "devices": devices, **{name: _moment(page.clock, one[name]) for name in ("from", "until")}}


def _moment(clock: Clock, text: str | None) -> Any:
    return None if text is None else clock.moment(to_ns(datetime.fromisoformat(text)))


def _weekday(page: Frame, name: str) -> str:
    number = ("mon", "tue", "wed", "thu", "fri", "sat", "sun").index(name)
    return str(page.language.locale.days["format"]["wide"][number])
