/* Makes pages quicker to use. Without it everything works too: these are the same links and forms. */
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripts");
  const one = (selector, inside = document) => inside.querySelector(selector);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  /* Menus close by Escape and by a click elsewhere. */
  const menus = all("details.menu");
  document.addEventListener("click", (event) => {
    for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus) {
      if (menu.open) {
        menu.open = false;
        one("summary", menu).focus();
      }
    }
  });

  /* Help */
  const help = one("#help");
  const showHelp = () => help && !help.open && help.showModal();
  one("[data-help]")?.addEventListener("click", showHelp);

  /* Copying a filter */
  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const text = button.dataset.copy;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const field = document.createElement("textarea"); // where the clipboard is not open to pages without TLS
        field.value = text;
        document.body.append(field);
        field.select();
        document.execCommand("copy");
        field.remove();
        button.focus();
      }
      const before = button.innerHTML;
      button.classList.add("done");
      button.textContent = button.dataset.copied;
      setTimeout(() => {
        button.classList.remove("done");
        button.innerHTML = before;
      }, 1600);
    });
  }

  /* Selecting rows */
  const list = one("#list");
  const ticks = list ? all('input[name="target"]', list) : [];
  const everything = one("#all");
  const selected = one("#selected");
  const tell = () => {
    const count = ticks.filter((tick) => tick.checked).length;
    if (selected) {
      selected.hidden = count === 0;
      selected.textContent = (count === 1 ? selected.dataset.one : selected.dataset.many).replace("{n}", String(count));
      one(".bulk-none", list).hidden = count > 0;
      one(".bulk", list).classList.toggle("some", count > 0);
    }
    if (everything) {
      everything.checked = count > 0 && count === ticks.length;
      everything.indeterminate = count > 0 && count < ticks.length;
    }
  };
  list?.addEventListener("change", (event) => {
    if (event.target === everything) for (const tick of ticks) tick.checked = everything.checked;
    tell();
  });
  if (list) tell();

  /* What is stored meanwhile is told, not shown: rows never move under somebody's hand. Listens only while the page is looked at. */
  const news = one("#news");
  const changed = new Set();
  let feed = null;
  const listen = () => {
    if (document.hidden || feed) return;
    feed = new EventSource("/api/v1/events");
    feed.addEventListener("violation", (event) => {
      changed.add(JSON.parse(event.data).id);
      const text = changed.size === 1 ? news.dataset.one : news.dataset.many;
      one("p", news).textContent = text.replace("{n}", String(changed.size));
      news.hidden = false;
    });
  };
  if (news && "EventSource" in window) {
    listen();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        feed?.close();
        feed = null;
      } else listen();
    });
    addEventListener("pagehide", () => feed?.close());
  }

  /* Keys: j k move, o opens, x selects, a acknowledges, c closes, / searches, ? helps */
  const rows = all("tr.row");
  let at = -1;
  const step = (by) => {
    if (!rows.length) return;
    rows[at]?.classList.remove("here");
    at = Math.min(rows.length - 1, Math.max(0, at + by));
    rows[at].classList.add("here");
    one("a.open", rows[at]).focus({ preventScroll: true });
    rows[at].scrollIntoView({ block: "center" });
  };
  for (const [number, row] of rows.entries()) {
    row.addEventListener("focusin", () => {
      rows[at]?.classList.remove("here");
      at = number;
      row.classList.add("here");
    });
  }
  const tick = (row, value) => {
    const box = row && one('input[name="target"]', row);
    if (!box) return false;
    box.checked = value ?? !box.checked;
    tell();
    return true;
  };
  const chosen = () => ticks.some((box) => box.checked) || tick(rows[at], true);
  const press = (button) => button && (button.click(), true);
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    o: () => rows[at] && press(one("a.open", rows[at])),
    x: () => tick(rows[at]),
    a: () => (list ? chosen() && press(one('button[value="acknowledge"]', list)) : press(one('.actions button[value="acknowledge"]'))),
    c: () => (list ? chosen() && one("#reason").focus() : one('#close input[name="reason"]')?.focus()),
    "/": () => {
      const field = one("#q");
      if (field) {
        field.focus();
        field.select();
      } else location.assign("/violations");
    },
    "?": showHelp,
  };
  document.addEventListener("keydown", (event) => {
    if (root.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey || help?.open) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    const act = Object.hasOwn(acts, event.key) ? acts[event.key] : null;
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
