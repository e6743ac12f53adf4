"""Coming in and going out; how pages are liked; the help."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from api.pages import preferences
from api.pages.filters import local
from api.pages.frame import Frame, frame_of, go
from api.pages.language import N_
from api.pages.words import ROLES
from api.signed_in import CheckedForm, MaybeSignedIn, SignedInUser, check_origin, clear_cookie, set_cookie, state_of
from sensor.services.accounts import BlockedError, SignInError
from sensor.services.errors import ConflictError, ForbiddenError, InvalidError

router = APIRouter()
Text = Annotated[str, Form(max_length=2000)]


def anybody(request: Request, asking: MaybeSignedIn) -> Frame:
    """For pages that need nobody."""
    return frame_of(request, asking)


AnyFrame = Annotated[Frame, Depends(anybody)]


@router.get("/sign-in")
def sign_in_page(page: AnyFrame, next: str = "/") -> Response:  # noqa: A002 - the name it has in addresses
    """The form; who is signed in already goes on."""
    if page.asking is not None:
        return go(next)
    return page.render("sign_in.html", next=local(next), name="", wrong="")


@router.post("/sign-in")
def sign_in(request: Request, page: AnyFrame, name: Text = "", password: Text = "", next: Text = "/") -> Response:  # noqa: A002
    """A session, and on to where one wanted to go."""
    check_origin(request)
    state = state_of(request)
    try:
        session = state.desk.accounts.sign_in(name, password, request.client.host if request.client else "")
    except SignInError:
        wrong = page.language.gettext("The name or the password is wrong.")
        return page.render("sign_in.html", status=401, next=local(next), name=name, wrong=wrong)
    except BlockedError as error:
        wrong = page.language.say("Too many failed attempts. Wait {length}, and try again.",
                                  length=page.clock.length(error.wait_s * 1_000_000_000))  # fmt: skip
        headers = {"Retry-After": str(error.wait_s)}
        return page.render("sign_in.html", status=429, headers=headers, next=local(next), name=name, wrong=wrong)
    answer = go(next)
    set_cookie(answer, session, state.settings.session_hours * 3600)
    return answer


@router.post("/sign-out")
def sign_out(page: AnyFrame, asking: SignedInUser, form: CheckedForm) -> Response:
    """The session ends here and in the store."""
    del form
    page.desk.accounts.sign_out(asking.token)
    answer = go("/sign-in", {"what": "signed-out"})
    clear_cookie(answer)
    return answer


@router.get("/welcome")
def welcome_page(page: AnyFrame, token: str = "") -> Response:
    """Where a one-time link leads."""
    return _welcome(page, token, "", "")


@router.post("/welcome")
def welcome(request: Request, page: AnyFrame, token: Text = "", name: Text = "", password: Text = "") -> Response:
    """The account is made."""
    check_origin(request)
    try:
        page.desk.accounts.welcome(token, name.strip(), password)
    except InvalidError as error:
        says = {"name": N_("The name must be of lower-case letters, digits and . _ @ -, at most 64."),
                "password": N_("The password must have 12 to 200 characters, and not be easy to guess.")}  # fmt: skip
        return _welcome(page, token, name, page.language.gettext(says[error.field]))
    except ConflictError:
        return _welcome(page, token, name, page.language.gettext("There is a user of that name already."))
    except ForbiddenError:
        return _welcome(page, "", "", "")
    return go("/sign-in", {"what": "welcome"})


@router.post("/preferences")
async def prefer(request: Request, page: AnyFrame) -> Response:
    """One choice more; nothing that would need a token."""
    check_origin(request)
    form = await request.form(max_files=0, max_fields=20)
    chosen = page.preferences
    for name in preferences.CHOICES:
        chosen = chosen.changed(name, str(form.get(name, "")))
    answer = go(str(form.get("next", "/")))
    preferences.write(answer, chosen, secure=request.url.scheme == "https")
    return answer


@router.get("/help")
def help_page(page: AnyFrame) -> Response:
    """Shortcuts, and what the words mean; a page, for who has no scripts."""
    return page.render("help.html")


def _welcome(page: Frame, token: str, name: str, wrong: str) -> Response:
    role = page.desk.accounts.invited_as(token) if token else None
    said = "" if role is None else page.words.of(ROLES, role.value)
    status = 422 if wrong else 200 if role else 403
    return page.render("welcome.html", status=status, token=token, role=said, name=name, wrong=wrong)
