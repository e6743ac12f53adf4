"""What letters say, in each language. English is that of `sensor.wording`; a test holds the languages equally complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor.classify.devices import BEHIND_ROUTER, RANDOM_MAC, SHARED_ADDRESS, TEMPORARY_ADDRESS
from sensor.model import Activity, Severity, Strength
from sensor.settings_notify import Language
from sensor.wording import ACTIVITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTIAL: Final = "partial view: frames were lost"  # as sensor.commands.losses notes it


@dataclass(frozen=True, slots=True)
class Words:
    """Texts with {names} are filled in by `format`. `reasons` are by the kind of verdict: they hold {app}, and nothing else."""

    activities: Mapping[Activity, str]
    severities: Mapping[Severity, str]
    strengths: Mapping[Strength, str]
    notes: Mapping[str, str]
    reasons: Mapping[str, str]
    either: str  # between two candidates
    over: str  # what was done, and over what
    of: str  # as `over`, of what nobody did
    clock: str
    at_once: str  # subject, of {what} on {network}
    at_once_anywhere: str
    raised: str
    withdrawn: str
    test: str
    digest_one: str
    digest_many: str
    head: str
    head_raised: str
    head_withdrawn: str
    head_digest: str
    device: str
    network: str
    begin: str
    end: str
    going_on: str
    lasted: str
    carried: str
    severity: str
    evidence: str
    pieces: str
    names: str
    remarks: str
    policy: str
    app: str
    what: str
    number: str
    id: str
    summary: str
    more: str
    not_a_person: str
    why: str
    page: str
    sent_by: str
    test_text: str


ENGLISH: Final = Words(
    activities=ACTIVITIES,
    severities={one: one.label for one in Severity},
    strengths={one: one.label for one in Strength},
    notes={one: one for one in (BEHIND_ROUTER, SHARED_ADDRESS, RANDOM_MAC, TEMPORARY_ADDRESS, PARTIAL)},
    reasons={},  # the verdict's own
    either=" or ",
    over="{what} over {app}",
    of="{what} of {app}",
    clock="Times are those of {zone}.",
    at_once="{what} on {network}",
    at_once_anywhere="{what}",
    raised="Graver than told before: {subject}",
    withdrawn="Withdrawn: {subject}",
    test="Test: {subject}",
    digest_one="1 violation",
    digest_many="{count} violations",
    head="Something happened that the policy forbids.",
    head_raised="Something that you were told of has become graver.",
    head_withdrawn="What you were told of turned out to be something else. It is no violation, and accuses nobody.",
    head_digest="What happened since the last digest that the policy forbids, the gravest first.",
    device="Device",
    network="Network",
    begin="Begin",
    end="End",
    going_on="still going on when this was sent",
    lasted="Length",
    carried="Data",
    severity="Severity",
    evidence="Evidence",
    pieces="{strength}, {count} pieces in all",
    names="Names",
    remarks="Notes",
    policy="Policy",
    app="App",
    what="Activity",
    number="Number",
    id="Id",
    summary="By app and activity",
    more="And {count} more, which `wardwatch violations` lists.",
    not_a_person="It names a device, not a person: who held it is for you to find out.",
    why="Why, step by step: wardwatch explain {id}",
    page="On the page: {url}",
    sent_by="Sent by wardwatch. Answers are not read.",
    test_text="This is a test of the channel. Nothing happened, and nothing needs to be done.",
)

SPANISH: Final = Words(
    activities={
        Activity.BACKGROUND: "segundo plano",
        Activity.MESSAGING: "mensajes",
        Activity.FILE_TRANSFER: "envío de archivos",
        Activity.CALL_ATTEMPT: "intento de llamada",
        Activity.VOICE_CALL: "llamada de voz",
        Activity.VIDEO_CALL: "videollamada",
        Activity.MEETING: "reunión",
    },
    severities={
        Severity.INFORMATION: "información",
        Severity.LOW: "baja",
        Severity.MEDIUM: "media",
        Severity.HIGH: "alta",
    },
    strengths={
        Strength.SUPPORTING: "de apoyo",
        Strength.STRONG: "fuerte",
        Strength.CONCLUSIVE: "concluyente",
    },
    notes={
        BEHIND_ROUTER: "visto tras un enrutador, distinguido por su dirección",
        SHARED_ADDRESS: "varios dispositivos pueden compartir la dirección (NAT)",
        RANDOM_MAC: "MAC aleatoria: el mismo dispositivo puede volver con otra",
        TEMPORARY_ADDRESS: "dirección IPv6 temporal: el mismo dispositivo puede volver con otra",
        PARTIAL: "vista parcial: se perdieron tramas",
    },
    reasons={
        "disallowed": "{app} está en la lista de aplicaciones prohibidas",
        "unlisted": "{app} no está ni permitida ni prohibida, y la política lo considera una infracción",
        "schedule": "{app} no está permitida en este horario",
        "visibility": "{app} oculta qué aplicaciones se usan, y la política lo considera una infracción",
        "candidates": "Es una de estas aplicaciones y no se puede saber cuál, pero ninguna está permitida: {app}",
        "withdrawn": "Lo que parecía ser {app} resultó ser otra cosa",
        "test": "Esto es una prueba del canal. No ha pasado nada y no hay que hacer nada",
    },
    either=" o ",
    over="{what} por {app}",
    of="{what} de {app}",
    clock="Las horas son las de {zone}.",
    at_once="{what} en {network}",
    at_once_anywhere="{what}",
    raised="Más grave que lo comunicado antes: {subject}",
    withdrawn="Retirado: {subject}",
    test="Prueba: {subject}",
    digest_one="1 infracción",
    digest_many="{count} infracciones",
    head="Ha ocurrido algo que la política prohíbe.",
    head_raised="Algo que ya se le comunicó se ha agravado.",
    head_withdrawn="Lo que se le comunicó resultó ser otra cosa. No es una infracción y no acusa a nadie.",
    head_digest="Lo que ha ocurrido desde el último resumen y la política prohíbe, lo más grave primero.",
    device="Dispositivo",
    network="Red",
    begin="Comienzo",
    end="Fin",
    going_on="seguía en curso al enviarse este mensaje",
    lasted="Duración",
    carried="Datos",
    severity="Gravedad",
    evidence="Prueba",
    pieces="{strength}, {count} indicios en total",
    names="Nombres",
    remarks="Notas",
    policy="Política",
    app="Aplicación",
    what="Actividad",
    number="Número",
    id="Id",
    summary="Por aplicación y actividad",
    more="Y {count} más, que muestra `wardwatch violations`.",
    not_a_person="Señala un dispositivo, no a una persona: quién lo usaba es algo que debe averiguar usted.",
    why="Por qué, paso a paso: wardwatch explain {id}",
    page="En la página: {url}",
    sent_by="Enviado por wardwatch. Las respuestas no se leen.",
    test_text="Esto es una prueba del canal. No ha pasado nada y no hay que hacer nada.",
)

LANGUAGES: Final = {Language.ENGLISH: ENGLISH, Language.SPANISH: SPANISH}
