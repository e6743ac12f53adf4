"""What a centre orders is taken only if it is signed, newer, and holds; and then all at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor import setup
from sensor.ops.orders import Order, OrderError, Orders, order_of, read_order
from sensor.proof.keys import signer

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.proof.keys import Signer

STRICT = '[policy]\ndisallowed = ["telegram"]\n'
SIGNATURE = """
id: ward_chat
name: Ward Chat
vendor: the clinic
family: ward_chat
version: 2026.11.24
rules:
  - id: zone
    suffix: [ward-chat.example]
    strength: conclusive
    service: chat
    source: the clinic's own
    seen: 2026-11
    confidence: high
examples:
  positive:
    - {name: ward-chat.example, rule: ward_chat/zone}
  negative:
    - {name: other.example}
"""


@pytest.fixture
def centre(tmp_path: Path) -> Signer:
    return signer(tmp_path / "centre.key")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sensor.toml"
    path.write_text(
        '[centre]\nurl = "https://centre.example"\nkey_file = "k"\norders = "orders"\npublic_key = "centre.pub"\n'
        '[[network]]\nname = "Ward 3"\ncidrs = ["10.0.0.0/8"]\n',
        "utf-8",
    )
    return path


@pytest.fixture
def orders(tmp_path: Path, centre: Signer, config: Path) -> Orders:
    def proven(folder: Path) -> None:
        setup.read(str(config), folder)

    return Orders(tmp_path / "orders", centre.public, proven)


def give(orders: Orders, centre: Signer, order: Order) -> bool:
    return orders.take(order.text(), centre.sign(order.text().encode()))


def test_an_order_is_in_force_from_then_on(orders: Orders, centre: Signer, config: Path) -> None:
    before = setup.read(str(config))
    assert give(orders, centre, Order(5, STRICT))
    after = setup.read(str(config))
    assert after.settings.policy.disallowed == ("telegram",)
    assert after.policy.hash != before.policy.hash
    assert after.settings.networks == before.settings.networks  # which are the sensor's own
    assert orders.serial == 5
    assert not give(orders, centre, Order(5, STRICT))  # it is already


def test_signatures_are_ordered_too(orders: Orders, centre: Signer, config: Path) -> None:
    assert give(orders, centre, Order(6, "", {"ward_chat.yaml": SIGNATURE}))
    made = setup.read(str(config))
    assert "ward_chat" in made.signatures.apps
    assert give(orders, centre, Order(7, STRICT))
    assert "ward_chat" not in setup.read(str(config)).signatures.apps


def test_what_another_key_signed_is_not_taken(orders: Orders, tmp_path: Path) -> None:
    other = signer(tmp_path / "other.key")
    with pytest.raises(OrderError, match="not signed by the centre's key"):
        give(orders, other, Order(5, STRICT))
    assert orders.serial == 0


def test_a_changed_order_is_not_taken(orders: Orders, centre: Signer) -> None:
    text = Order(5, STRICT).text()
    signature = centre.sign(text.encode())
    for at in range(0, len(text), 7):
        changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        with pytest.raises(OrderError, match="not signed"):
            orders.take(changed, signature)
    assert orders.take(text, signature)


def test_an_older_order_is_not_taken_again(orders: Orders, centre: Signer, config: Path) -> None:
    give(orders, centre, Order(9, STRICT))
    with pytest.raises(OrderError, match="older than 9"):
        give(orders, centre, Order(8))
    assert setup.read(str(config)).settings.policy.disallowed == ("telegram",)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order(20, "[policy]\ndisallowed = [\n"), "policy.toml"),
        (Order(20, '[policy]\nunlisted = "perhaps"\n'), "policy.unlisted"),
        (Order(20, '[store]\nurl = "x"\n'), "store: unknown key"),
        (Order(20, '[policy]\ndisallowed = ["no_such_app"]\n'), "no_such_app"),
        (Order(20, "", {"bad.yaml": "id: [\n"}), "bad.yaml"),
    ],
)
def test_an_order_that_does_not_hold_changes_nothing(
    orders: Orders, centre: Signer, config: Path, tmp_path: Path, order: Order, reason: str
) -> None:
    give(orders, centre, Order(9, STRICT))
    with pytest.raises(OrderError, match=reason) as refused:
        give(orders, centre, order)
    assert "\n" not in str(refused.value)
    assert orders.serial == 9
    assert setup.read(str(config)).settings.policy.disallowed == ("telegram",)
    assert sorted(one.name for one in (tmp_path / "orders").iterdir()) == ["9", "current"]


@pytest.mark.parametrize("name", ["../x.yaml", "/x.yaml", "x.yml", ".yaml", "a/b.yaml", "x.yaml\n", ""])
def test_no_file_is_written_elsewhere(name: str) -> None:
    with pytest.raises(OrderError, match="is no name"):
        order_of(Order(1, "", {name: ""}).text())


@given(
    st.text(max_size=50)
    | st.builds(json.dumps, st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists))
)
def test_any_text_is_an_order_or_refused(text: str) -> None:
    with pytest.raises(OrderError):
        order_of(text)


def test_an_order_is_made_of_files(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(STRICT, "utf-8")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "ward_chat.yaml").write_text(SIGNATURE, "utf-8")
    order = read_order(3, tmp_path / "policy.toml", tmp_path / "s")
    assert order == order_of(order.text()) == Order(3, STRICT, {"ward_chat.yaml": SIGNATURE})
    with pytest.raises(OrderError, match=r"gone\.toml"):
        read_order(3, tmp_path / "gone.toml", None)
