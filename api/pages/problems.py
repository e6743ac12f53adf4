"""What went wrong, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.pages.frame import frame_of
from api.pages.language import N_
from api.signed_in import COOKIE, Asking, state_of

if TYPE_CHECKING:
    from fastapi import Request, Response

    from api.problems import Problem

TITLES: Final = {
    401: (N_("Not signed in"), N_("Sign in, and try again.")),
    403: (N_("Not allowed"), N_("Your role does not allow this, or the page was too old. Go back, load it anew, and try again.")),
    404: (N_("Not found"), N_("There is nothing here. It may never have been, or not for you.")),
    409: (N_("Somebody else was first"), N_("Nothing was changed. Load the page anew to see how it stands.")),
    422: (N_("This could not be understood"), N_("Something in the address or the form makes no sense.")),
    429: (N_("Too many requests"), N_("Wait a little, and try again.")),
    503: (N_("The store cannot be used now"), N_("Nothing was lost. Try again in a moment.")),
}  # fmt: skip
OTHER: Final = (N_("Something went wrong"), N_("The log of the server says what. Nothing that was stored is lost."))


def problem_page(request: Request, problem: Problem) -> Response:
    """In the language of who asked, with the way back."""
    token = request.cookies.get(COOKIE)
    session = state_of(request).desk.accounts.of_session(token) if token and problem.status != 503 else None
    asking = None if session is None else Asking(session.who, session.csrf, token=session.token)
    page = frame_of(request, asking)
    title, what = (page.language.gettext(text) for text in TITLES.get(problem.status, OTHER))
    detail = problem.detail if problem.status in {403, 404, 409, 422} else ""
    return page.render("problem.html", status=problem.status, headers=problem.headers, title=title, what=what,
                       detail=detail)  # fmt: skip
