"""What the services call things, in the words of pages. Every value that a service may give stands here once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.pages.language import N_
from sensor.wording import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.pages.clocks import Clock
    from api.pages.language import Language
    from sensor.services.records import DeviceRef, Violation

ACTIVITIES: Final[Mapping[str, str]] = {
    "background": N_("Background"),
    "messaging": N_("Messages"),
    "file_transfer": N_("File transfer"),
    "call_attempt": N_("Call attempt"),
    "voice_call": N_("Voice call"),
    "video_call": N_("Video call"),
    "meeting": N_("Meeting"),
}
SENTENCES: Final[Mapping[str, str]] = {
    "background": N_("{device} was in touch with {app} in the background, for {length}, on the network {network}."),
    "messaging": N_("{device} exchanged messages over {app}, for {length}, on the network {network}."),
    "file_transfer": N_("{device} sent or received files over {app}, for {length}, on the network {network}."),
    "call_attempt": N_("{device} tried a call over {app}, for {length}, which was not held, on the network {network}."),
    "voice_call": N_("{device} held a voice call over {app}, for {length}, on the network {network}."),
    "video_call": N_("{device} held a video call over {app}, for {length}, on the network {network}."),
    "meeting": N_("{device} took part in a meeting over {app}, for {length}, on the network {network}."),
}
SEVERITIES: Final[Mapping[str, str]] = {
    "information": N_("Information"),
    "low": N_("Low"),
    "medium": N_("Medium"),
    "high": N_("High"),
}
LEVELS: Final = ("information", "low", "medium", "high")
STATES: Final[Mapping[str, str]] = {
    "new": N_("New"),
    "acknowledged": N_("Acknowledged"),
    "investigating": N_("Investigating"),
    "closed": N_("Closed"),
}
REASONS: Final[Mapping[str, str]] = {
    "confirmed": N_("Confirmed and addressed"),
    "false_positive": N_("False positive"),
    "authorised_exception": N_("Authorised exception"),
    "duplicate": N_("Duplicate"),
}
OUTCOMES: Final[Mapping[str, str]] = {
    "violation": N_("Violation"),
    "review": N_("To be reviewed"),
    "unreviewed": N_("Not in the policy"),
    "allowed": N_("Allowed"),
    "record": N_("Recorded only"),
}
STRENGTHS: Final[Mapping[str, str]] = {
    "conclusive": N_("Conclusive"),
    "strong": N_("Strong"),
    "supporting": N_("Supporting"),
}
STRENGTHS_MEAN: Final[Mapping[str, str]] = {
    "conclusive": N_("only this app uses it, and it stands in the flow itself"),
    "strong": N_("it points to what is named here, short of proof"),
    "supporting": N_("it fits, and proves nothing on its own"),
}
KINDS: Final[Mapping[str, str]] = {
    "tls_sni": N_("the name in the TLS ClientHello"),
    "quic_sni": N_("the name in the QUIC Initial's ClientHello"),
    "dtls_sni": N_("the name in the DTLS ClientHello"),
    "tls_cert": N_("the name in the server's certificate"),
    "http_host": N_("the Host of an HTTP request"),
    "dns_answer": N_("the name that DNS had given this server's address for"),
    "dns_query": N_("a DNS question"),
    "ip_range": N_("the server's address in the app's published range"),
    "stun": N_("what a STUN message carries"),
    "payload": N_("how this side of the flow begins"),
    "user_agent": N_("what a program says of its system in an HTTP request"),
    "tls_version": N_("the highest version that the ClientHello offers"),
    "media": N_("what a call's voice or video looks like"),
    "tied": N_("the local socket of a call that other evidence names"),
}
DONE: Final[Mapping[str, str]] = {  # what somebody did, in a history
    "acknowledge": N_("acknowledged it"),
    "investigate": N_("began to investigate"),
    "close": N_("closed it"),
    "reopen": N_("opened it again"),
    "assign": N_("changed who looks after it"),
    "note": N_("wrote a note"),
    "undo": N_("took a change back"),
}
BLIND: Final[Mapping[str, str]] = {
    "silent": N_("nothing was heard of it while other networks were"),
    "dark": N_("most bytes had no readable name"),
    "one_way": N_("most flows showed one side only"),
    "lost": N_("frames were lost"),
}
HIDDEN: Final[Mapping[str, str]] = {
    "ech": N_("Encrypted ClientHello"),
    "encrypted_dns": N_("Encrypted DNS"),
    "private_relay": N_("iCloud Private Relay"),
    "vpn": N_("VPN"),
    "tor": N_("Tor"),
    "chat_proxy": N_("Chat proxy"),
    "outdated": N_("System out of its maker's support"),
}
STANDINGS: Final[Mapping[str, str]] = {
    "approved": N_("Approved"),
    "disallowed": N_("Disallowed"),
    "unlisted": N_("Not in the policy"),
}
NETWORKS: Final[Mapping[str, str]] = {
    "ward": N_("Ward"),
    "staff": N_("Staff"),
    "guest": N_("Guests"),
}
FACETS: Final[Mapping[str, str]] = {
    "severity": N_("Severity"),
    "state": N_("State"),
    "network": N_("Network"),
    "app": N_("App"),
    "activity": N_("Activity"),
    "day": N_("Day"),
    "device": N_("Device"),
}
ROLES: Final[Mapping[str, str]] = {
    "viewer": N_("viewer"),
    "officer": N_("officer"),
    "auditor": N_("auditor"),
    "admin": N_("administrator"),
    "sensor": N_("sensor"),
}
# What the sensor says in sentences of its own; the policy's and the decoders' words in {places} are quoted as they are.
SAID: Final = (
    N_("It is {apps}, and which one cannot be told: {reasons}"),
    N_("{reason}, but the evidence is only {strength} (a violation needs {least})"),
    N_("{app} is on the list of disallowed apps ({key}){rest}"),
    N_("{app} is on the list of approved apps ({key})"),
    N_("{app} is neither approved nor disallowed, which the policy takes as {outcome} ({key}){rest}"),
    N_("{app} is covered by the exception {name} ({key}) of {owner}: {why}"),
    N_("{app} is allowed in the hours of {name} ({key}){rest}"),
    N_("{app} is not allowed in the hours of {name} ({key}){rest}"),
    N_("{app} was used through {host}, an approved variant ({key}): {why}"),
    N_("{app} hides which apps are used, which the policy takes as {outcome} ({key})"),
    N_("{app} is out of its maker's support, which the policy takes as {outcome} ({key})"),
    N_("same socket as {value} in frame {frame}"),
    N_("{app} says only whose service was used, and accuses nobody"),
    N_("Network {network} is excluded: nothing about its devices may be stored"),
    N_("A call over no app that is known"),
    N_("No app could be told"),
    N_("; {host}, an account that is not the clinic's, was seen beside the clinic's own {own}"),
    N_("; {host}, an account that is not the clinic's, was seen"),
    N_("; no host that tells whose account it is was seen"),
    N_("; it began in these hours, and lasted beyond them"),
    N_("seen behind a router, told by its address"),
    N_("address may be shared by several devices (NAT)"),
    N_("random MAC: the same device may return under another"),
    N_("IPv6 temporary address: the same device may return under another"),
    N_("counted for {app} and not {others}: it asks many relays from one socket, as was done here"),
    N_("relays that {others} uses as well are counted for {app}: the same device showed {value} in frame {frame}"),
)
KEY: Final = re.compile(r" \((?:policy|network)[\w.\[\]]*\)")
NESTED: Final = {"reason", "rest", "why"}  # places whose words may be said here as well
OUTCOME_WORDS: Final = {"violation": N_("a violation"), "review": N_("a matter for review"),
                        "unreviewed": N_("not yet reviewed"), "allowed": N_("allowed")}  # fmt: skip
STRENGTH_WORDS: Final = {"conclusive": N_("conclusive"), "strong": N_("strong"), "supporting": N_("supporting")}


@dataclass(frozen=True, slots=True)
class Words:
    """In one language."""

    language: Language

    def of(self, table: Mapping[str, str], value: str) -> str:
        """A value in words; one that is not known stands for itself."""
        known = table.get(value)
        return value if known is None else self.language.gettext(known)

    def activity(self, value: str) -> str:
        return self.of(ACTIVITIES, value)

    def severity(self, value: str) -> str:
        return self.of(SEVERITIES, value)

    def state(self, value: str) -> str:
        return self.of(STATES, value)

    def outcome(self, value: str) -> str:
        return self.of(OUTCOMES, value)

    def strength(self, value: str) -> str:
        return self.of(STRENGTHS, value)

    def closing(self, value: str) -> str:
        return self.of(REASONS, value)

    def app(self, violation: Violation) -> str:
        """WhatsApp; WhatsApp or Messenger; no known app."""
        if any(one in UNNAMED for one in violation.candidates):
            return self.language.gettext("no known app")
        return self._either(violation.app_name)

    def title(self, violation: Violation) -> str:
        """Video call over WhatsApp."""
        if violation.activity == "background":
            return self.language.say("{app} in the background", app=self.app(violation))
        return self.language.say("{activity} over {app}", activity=self.activity(violation.activity),
                                 app=self.app(violation))  # fmt: skip

    def device(self, device: DeviceRef) -> str:
        """Device D-7KQ3-X2FA, or what it is called."""
        if device.is_masked:
            return self.language.say("Device {pseudonym}", pseudonym=device.pseudonym)
        return device.text

    def sentence(self, violation: Violation, clock: Clock) -> str:
        """What happened, for somebody who has never heard of flows."""
        return self.language.say(
            SENTENCES[violation.activity],
            device=self.device(violation.device),
            app=self.app(violation),
            length=clock.length(violation.end_ns - violation.start_ns),
            network=violation.network,
        )

    def facet(self, name: str, value: str, label: str, clock: Clock) -> str:
        """What a value of a facet is called."""
        if name == "day":
            return clock.short_day(value)
        if value in UNNAMED:
            return self.language.gettext("no known app")
        tables = {"activity": ACTIVITIES, "severity": SEVERITIES, "state": STATES}
        return self.of(tables[name], value) if name in tables else label

    def briefly(self, reason: str) -> str:
        """A reason without the keys of the configuration that it names."""
        return KEY.sub("", self.said(reason))

    def said(self, text: str) -> str:
        """A sentence of the sensor's in this language; one that is not known stays as it is."""
        if self.language.code == "en":
            return text
        for pattern, message in _PATTERNS:
            found = pattern.fullmatch(text)
            if found is not None:
                return self.language.say(
                    message, **{key: self._place(key, part) for key, part in found.groupdict().items()}
                )
        return text

    def _either(self, names: str) -> str:
        """WhatsApp or Messenger."""
        word = self.language.gettext("or")
        return names.replace(" or ", f" {word} ")

    def _place(self, name: str, text: str) -> str:
        if name == "outcome":
            return self.of(OUTCOME_WORDS, text)
        if name in {"strength", "least"}:
            return self.of(STRENGTH_WORDS, text)
        if name in {"apps", "others"}:
            return self._either(text)
        if name == "reasons":
            return "; ".join(self.said(part) for part in _sentences(text))
        return self.said(text) if name in NESTED and text else text


def _sentences(text: str) -> list[str]:
    """Reasons that were joined by "; ", where what follows it begins a new one and is no addition to the one before."""
    parts: list[str] = []
    for part in text.split("; "):
        addition = f"; {part}"
        if parts and any(pattern.fullmatch(addition) for pattern, _ in _PATTERNS if pattern.pattern.startswith(";")):
            parts[-1] += addition
        else:
            parts.append(part)
    return parts


def _pattern(message: str) -> re.Pattern[str]:
    """Finds the message with its places filled."""
    parts = re.split(r"\{(\w+)\}", message)
    made = re.escape(parts[0])
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        inner = {"rest": "(?:;.*)?", "key": "[^()]*", "strength": r"\w+", "least": r"\w+", "outcome": r"\w+"}
        made += f"(?P<{name}>{inner.get(name, '.+?' if text else '.+')}){re.escape(text)}"
    return re.compile(made, re.DOTALL)


_PATTERNS: Final = tuple((_pattern(message), message) for message in SAID)
