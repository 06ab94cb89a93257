// On a phone, a table that does not fit is shown as one block of lines for each row, with the names of the columns.
// Options in code are not broken after their hyphens.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const phone = matchMedia("(max-width: 45em)");
  const tables = [...document.querySelectorAll(".md-typeset table:not([class])")].filter((table) => table.tHead);

  function stack() {
    for (const table of tables) {
      const box = (table.closest(".md-typeset__scrollwrap") ?? table).parentElement; // the theme wraps tables
      if (table.scrollWidth <= box.clientWidth || table.dataset.stacked) continue;
      const heads = [...table.tHead.rows[0].cells];
      table.dataset.stacked = heads.length === 2 ? "pairs" : "rows"; // pairs keep their head
      table.setAttribute("role", "table"); // rows that are shown as blocks would lose their roles
      for (const head of heads) head.setAttribute("role", "columnheader");
      for (const row of table.rows) row.setAttribute("role", "row");
      for (const row of [...table.tBodies].flatMap((body) => [...body.rows])) {
        [...row.cells].forEach((cell, column) => {
          cell.setAttribute("role", "cell");
          const name = heads[column].textContent.trim(), text = cell.textContent.trim();
          const isTitle = column === 0 && !/^[+-]?\d/.test(text);
          if (name && !isTitle && heads.length > 2) cell.dataset.label = name;
          cell.classList.toggle("short", text.length <= 24);
        });
      }
    }
  }

  // Browsers would break an option in longer code, such as that of a command, after its hyphens.
  for (const code of document.querySelectorAll(".md-typeset :not(pre) > code:not(.unbroken)")) {
    if (code.children.length) continue;
    code.replaceChildren(...code.textContent.split(/( )/).map((word) => {
      if (!word.includes("-") || word.length > 24) return word;
      return Object.assign(document.createElement("span"), {className: "unbroken", textContent: word});
    }));
  }

  if (phone.matches) stack();
  addEventListener("resize", () => phone.matches && stack()); // also when a phone is turned, which is narrow both ways
});
