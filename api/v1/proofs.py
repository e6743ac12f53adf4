"""Evidence packs and reports."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as Parameter
from pydantic import Field

from api.signed_in import SignedInUser, state_of
from api.v1.shapes import CHANGED, EXAMPLE_ID, Taken

router = APIRouter(tags=["exports"])
ZIP: Final = "application/zip"
TYPES: Final = {"html": "text/html", "pdf": "application/pdf"}
BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


class Wanted(Taken):
    """Which episodes."""

    ids: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=64, examples=[EXAMPLE_ID])]],
        Field(min_length=1, max_length=20),
    ]


@router.post(
    "/evidence",
    summary="A signed file that proves these episodes",
    response_class=Response,
    responses={**CHANGED, 200: {"description": "The pack; the header X-Missing counts what is attested only, for frames were not kept",
                                "content": {ZIP: BINARY}}},
)  # fmt: skip
def evidence(request: Request, asking: SignedInUser, wanted: Wanted) -> Response:
    """As `wardwatch evidence` writes it. It shows whose device it was: unmask that first."""
    made = state_of(request).desk.proofs.pack(asking.who, wanted.ids)
    headers = {
        "Content-Disposition": f'attachment; filename="wardwatch-{made.ids[0]}.pack"',
        "X-Missing": str(len(made.missing)),
    }
    return Response(made.data, headers=headers, media_type=ZIP)


@router.get(
    "/reports/report.{form}",
    summary="A period as a page or as PDF",
    response_class=Response,
    responses={200: {"description": "The report", "content": dict.fromkeys(TYPES.values(), BINARY)}},
)
def report(
    request: Request,
    asking: SignedInUser,
    form: Annotated[Literal["html", "pdf"], Path()],
    first: Annotated[date, Parameter(alias="from", description="The first day, by the site's clock")],
    last: Annotated[date, Parameter(alias="to", description="The last day, included")],
    network: Annotated[str | None, Parameter(max_length=200)] = None,
    language: Annotated[Literal["en", "es"], Parameter()] = "en",
) -> Response:
    """Devices appear by pseudonym."""
    found = state_of(request).desk.proofs.report(asking.who, first, last, network=network, language=language, form=form)
    headers = {"Content-Disposition": f'attachment; filename="wardwatch-{first}-{last}.{form}"'}
    return Response(found, headers=headers, media_type=TYPES[form])
