// SPDX-License-Identifier: BSD-2-Clause
//
// The head of the page, and what happens when something is chosen, typed or resized.
"use strict";
(() => {
  const head = m9.data.head, search = document.getElementById("search");

  function show_head() {
    document.title = `${head.program} — malloc9 report`;
    document.getElementById("program").textContent = head.program || "(no name)";
    const when = new Date(head.time_ms).toISOString().replace("T", " ").slice(0, 19);
    const about = document.getElementById("about");
    about.textContent = `pid ${head.pid}, ${head.mode}, ${when} UTC, ${head.command}`;
    about.title = head.command;
    document.getElementById("made").textContent = `malloc9 ${head.version}, from ${head.file}. Bytes are usable sizes.` +
      m9.data.notes.map(([name, value]) => ` ${name}: ${m9.format.count(value)}.`).join("");
    const figures = [[m9.format.bytes(m9.sum("bytes")), "live bytes"], [m9.format.count(m9.sum("live")), "live items"],
      [m9.format.count(m9.sum("requests")), "requests"], [m9.format.count(m9.sum("frees")), "frees"],
      [m9.format.count(m9.count), "types"]];
    document.getElementById("cards").append(...figures.map(([figure, what]) => {
      const card = m9.element("div", "", "figure");
      card.append(m9.element("b", figure), m9.element("span", what));
      return card;
    }));
  }

  function draw() {
    for (const button of document.querySelectorAll("#metric button"))
      button.setAttribute("aria-pressed", String(button.dataset.metric === m9.metric));
    m9.treemap.build();
    m9.flame.build();
    m9.flame.search(search.value.trim());
  }

  function later(act, milliseconds) {
    let timer = 0;
    return () => {
      clearTimeout(timer);
      timer = setTimeout(act, milliseconds);
    };
  }

  show_head();
  if (m9.sum("bytes") === 0)
    m9.metric = "requests";
  m9.growth.build();
  draw();
  m9.table.build();

  document.getElementById("metric").addEventListener("click", event => {
    if (event.target.dataset.metric) {
      m9.metric = event.target.dataset.metric;
      draw();
    }
  });
  search.addEventListener("input", later(() => {
    m9.search(search.value);
    m9.table.search();
    m9.treemap.build();
    m9.flame.search(search.value.trim());
    m9.growth.build();
  }, 150));
  window.addEventListener("resize", later(() => {
    m9.growth.build();
    draw();
  }, 200));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => m9.growth.build());
})();
