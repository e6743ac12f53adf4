"""Draws the ten-second profiles of one call and one chat, as `wardwatch replay` tells them, side by side.

    python docs/plots/profiles.py CALL.pcap CHAT.pcap docs/plots/profiles.svg

CALL and CHAT are captures; of each the longest episode of its kind is drawn. Only sums of bytes get into the picture.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from datetime import datetime
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WARDWATCH = Path(sys.executable).parent / "wardwatch"
CALLS = {"voice_call", "video_call", "meeting"}
WINDOW_S = 10

WIDTH, HEIGHT = 860, 372
TOP, BOTTOM = 76, 300  # of the drawing area
PANELS = ((64, 430), (476, 842))  # left and right edges
LOWEST, HIGHEST = 100, 1_000_000  # bytes in ten seconds, on a logarithmic scale
TICKS = ((100, "100 B"), (1000, "1 kB"), (10_000, "10 kB"), (100_000, "100 kB"), (1_000_000, "1 MB"))
MOST_WINDOWS = 18
UP, DOWN, LIMIT, INK, PALE = "#1f5fa8", "#e08a1e", "#b3261e", "#222222", "#d9d9d9"
NAMES = {"voice_call": "voice call", "video_call": "video call"}


class Limit(NamedTuple):
    """A threshold in bytes each window, and what it is for."""

    size: float
    text: str


def longest(capture: str, kinds: set[str]) -> dict[str, Any]:
    """The longest episode of these activities."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "episodes"
        command = [str(WARDWATCH), "replay", "--no-store", "--quiet", "--episodes", str(listed), capture]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        episodes = [json.loads(line) for line in listed.read_text("utf-8").splitlines()]
    found = [one for one in episodes if one["activity"] in kinds]
    if not found:
        raise SystemExit(f"{capture}: no {' and no '.join(sorted(kinds))} in it")
    longest_of: dict[str, Any] = max(found, key=lambda one: (one["duration_s"], one["id"]))
    return longest_of


def windows(episode: dict[str, Any]) -> list[tuple[int, int]]:
    """Bytes up and down in every ten seconds, those without any included."""
    starts = [datetime.fromisoformat(start) for start, _, _ in episode["profile"]]
    filled: dict[int, tuple[int, int]] = {}
    for start, (_, up, down) in zip(starts, episode["profile"], strict=True):
        filled[round((start - starts[0]).total_seconds()) // WINDOW_S] = (up, down)
    return [filled.get(index, (0, 0)) for index in range(min(max(filled) + 1, MOST_WINDOWS))]


def height_of(size: float) -> float:
    """Where so many bytes are, in pixels from the top."""
    part = log10(max(size, LOWEST) / LOWEST) / log10(HIGHEST / LOWEST)
    return BOTTOM - min(part, 1.0) * (BOTTOM - TOP)


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", colour: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def rule(y: float, edges: tuple[int, int], colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{edges[0]}" y1="{y:.1f}" x2="{edges[1]}" y2="{y:.1f}" stroke="{colour}"{dashed}/>'


def bar(x: float, width: float, size: int, colour: str) -> str:
    top = height_of(size)
    return f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BOTTOM - top:.1f}" fill="{colour}"/>'


def panel(episode: dict[str, Any], edges: tuple[int, int], limit: Limit) -> list[str]:
    """One profile: a grid, two bars a window, the threshold over them."""
    left, right = edges
    what = NAMES.get(episode["activity"], episode["activity"].replace("_", " "))
    apps = " or ".join(one.replace("_", " ").title() for one in episode["candidates"]).replace("Whatsapp", "WhatsApp")
    drawn = [text(left, TOP - 14, f"{what.capitalize()}, {apps}, {episode['duration_s']:.0f} s", size=14)]
    drawn += [rule(height_of(size), edges, PALE) for size, _ in TICKS]
    profile = windows(episode)
    step = (right - left) / len(profile)
    for index, (up, down) in enumerate(profile):
        x = left + index * step
        drawn += [bar(x + step * 0.14, step * 0.36, up, UP), bar(x + step * 0.5, step * 0.36, down, DOWN)]
        drawn.append(text(x, BOTTOM + 16, str(index * WINDOW_S), size=11, anchor="middle"))
    drawn.append(text(right, BOTTOM + 34, "seconds from the first packet's window", size=11, anchor="end"))
    drawn.append(rule(height_of(limit.size), edges, LIMIT, "5 4"))
    drawn += [
        rule(BOTTOM + 50, (left, left + 24), LIMIT, "5 4"),
        text(left + 30, BOTTOM + 54, limit.text, colour=LIMIT),
    ]
    return drawn


def picture(call: dict[str, Any], chat: dict[str, Any]) -> str:
    """The whole SVG."""
    limits = tomllib.loads((ROOT / "signatures" / "activity.toml").read_text("utf-8"))
    video = Limit(limits["video"]["bits_per_s"] * WINDOW_S / 8, "video.bits_per_s: a picture, if frames are large")
    message = Limit(limits["messaging"]["window_bytes"], "messaging.window_bytes: messages, if each way")
    body = [text(PANELS[0][0] - 6, height_of(size) + 4, words, size=11, anchor="end") for size, words in TICKS]
    body += panel(call, PANELS[0], video) + panel(chat, PANELS[1], message)
    body.append(f'<rect x="{PANELS[0][0]}" y="20" width="12" height="12" fill="{UP}"/>')
    body.append(text(PANELS[0][0] + 18, 30, "from the device"))
    body.append(f'<rect x="{PANELS[0][0] + 130}" y="20" width="12" height="12" fill="{DOWN}"/>')
    body.append(
        text(PANELS[0][0] + 148, 30, "to the device: bytes in ten seconds, headers included; logarithmic scale")
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" role="img">'
    )
    title = "<title>Bytes in each ten seconds of a call and of a chat, up and down</title>"
    return "\n".join([head, title, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *body, "</svg>"]) + "\n"


def main(arguments: list[str]) -> None:
    if len(arguments) != 3:
        raise SystemExit(__doc__)
    call, chat, target = arguments
    Path(target).write_text(picture(longest(call, CALLS), longest(chat, {"messaging"})), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
