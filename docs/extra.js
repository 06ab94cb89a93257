// On a phone, a table that does not fit is shown as one block of lines for each row, with the names of the columns.
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

  if (phone.matches) stack();
  phone.addEventListener("change", () => phone.matches && stack());
});
