"""When a view was partial. The command as a whole is in tests/live."""

from __future__ import annotations

from dataclasses import replace

from sensor.commands.losses import NEAR_NS, PARTIAL, Losses
from tests.store import make

S = 1_000_000_000
EPISODE = replace(make.episode(), start_ns=1000 * S, end_ns=1100 * S, notes=("what was known before",))


def losses(*noted: tuple[int, int]) -> Losses:
    """From (second, frames lost so far)."""
    made = Losses()
    for second, lost in noted:
        made.note(second * S, lost)
    return made


def test_no_loss_no_note() -> None:
    assert losses((900, 0), (1050, 0), (1200, 0)).marked(EPISODE) == EPISODE


def test_a_loss_before_the_first_account_counts_from_the_beginning_of_time() -> None:
    assert PARTIAL in losses((1, 5)).marked(replace(EPISODE, start_ns=0, end_ns=S)).notes


def test_a_loss_while_it_lasted_is_noted_beside_other_notes() -> None:
    assert losses((1049, 7), (1050, 8), (1051, 8)).marked(EPISODE).notes == (PARTIAL, "what was known before")


def test_a_loss_is_near_up_to_a_minute() -> None:
    near_s = NEAR_NS // S
    assert losses((800, 0), (1000 - near_s, 1)).marked(EPISODE).notes != EPISODE.notes
    assert losses((800, 0), (999 - near_s, 1), (1101 + near_s, 1), (1102 + near_s, 2)).marked(EPISODE) == EPISODE
    assert losses((1100 + near_s, 0), (1101 + near_s, 1)).marked(EPISODE).notes != EPISODE.notes
