// Search, filters and sorting of a table of claims. The address holds the view after #, so that a view can be linked.
"use strict";
(() => {
  const id = (name) => document.getElementById(name);
  const table = id("claims"), body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const FIELDS = ["q", "suite", "verdict", "of", "sort"].filter(id), FILTERS = ["suite", "verdict", "of"].filter(id);
  let sortedBy = "";
  const rows = Array.from(body.rows, (row, position) => ({
    row, position, text: row.textContent.toLowerCase(), keys: Array.from(row.cells, keyOf),
  }));

  // Return the number or the text of a cell to sort by; null for an empty cell, which is sorted last.
  function keyOf(cell) {
    const text = cell.dataset.value ?? cell.textContent.trim().replace(/\s+/g, " ");
    return text === "" ? null : cell.dataset.value === undefined ? text : Number(text);
  }

  // Return whether a row matches the search and the filters as they are now.
  function matcher() {
    const words = id("q").value.toLowerCase().split(/\s+/);
    const chosen = FILTERS.filter((name) => id(name).value).map((name) => [name, id(name).value]);
    return ({ row, text }) =>
      chosen.every(([name, value]) => row.dataset[name] === value) && words.every((word) => text.includes(word));
  }

  function sorted(by) {
    const sign = by.startsWith("-") ? -1 : 1;
    const column = heads.findIndex((head) => head.dataset.key === by.replace("-", ""));
    if (column < 0) return rows;
    return [...rows].sort((item, other) => {
      const [a, b] = [item.keys[column], other.keys[column]];
      if (a === b) return item.position - other.position;
      if (a === null || b === null) return a === null ? 1 : -1;
      return a < b ? -sign : sign;
    });
  }

  function draw() {
    const by = id("sort").value;
    for (const head of heads) {
      const chosen = by.replace("-", "") === head.dataset.key;
      if (chosen) head.setAttribute("aria-sort", by.startsWith("-") ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const matches = matcher();
    let count = 0;
    for (const item of rows) {
      const hidden = !matches(item);
      if (item.row.hidden !== hidden) item.row.hidden = hidden;
      count += !hidden;
    }
    if (by !== sortedBy) body.append(...sorted(sortedBy = by).map((item) => item.row));
    const all = `${rows.length} ${rows.length === 1 ? "claim" : "claims"}`;
    id("shown").textContent = count === rows.length ? all : `${count} of ${all}`;
    id("none").hidden = count > 0;
  }

  function showAndLink() {
    const state = new URLSearchParams();
    for (const name of FIELDS) if (id(name).value) state.set(name, id(name).value);
    history.replaceState(null, "", `#${state}`);
    draw();
  }

  function restore() {
    if (/^#[^=]+$/.test(location.hash)) return; // an anchor on the page, not a view
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of FIELDS) {
      id(name).value = state.get(name) ?? "";
      if (id(name).selectedIndex === -1) id(name).value = "";
    }
    draw();
    if (FIELDS.some((name) => id(name).value)) id("all-claims").scrollIntoView(); // a linked view shows its claims
  }

  for (const head of heads.filter((head) => head.dataset.key)) {
    const name = head.textContent, key = head.dataset.key, button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      id("sort").value = id("sort").value === key ? `-${key}` : key;
      showAndLink();
    });
    head.replaceChildren(button);
    id("sort").append(new Option(`${name} ↑`, key), new Option(`${name} ↓`, `-${key}`));
  }
  const controls = id("controls");
  controls.hidden = false;
  controls.addEventListener("input", showAndLink);
  controls.addEventListener("submit", (event) => event.preventDefault());
  id("clear").addEventListener("click", () => {
    for (const name of FIELDS) id(name).value = "";
    showAndLink();
  });
  addEventListener("hashchange", restore);
  for (const tile of document.querySelectorAll(".verdicts a")) {
    tile.addEventListener("click", () => id("all-claims").scrollIntoView());
  }
  restore();
})();
