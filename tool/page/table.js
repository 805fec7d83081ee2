// SPDX-License-Identifier: BSD-2-Clause
//
// The table (Tabulator, which draws only the rows that are in sight), and what is known of the row that was chosen.
"use strict";
m9.table = {
  box: document.getElementById("table"),
  details: document.getElementById("details"),
  found: document.getElementById("found"),
  grid: null,
  ready: false,
  chosen: -1,

  columns() {
    const by = column => (a, b, first, second) => m9.types[column][first.getData().id] - m9.types[column][second.getData().id];
    const by_word = column => (a, b, first, second) => {
      const x = m9.word(column, first.getData().id), y = m9.word(column, second.getData().id);
      return x < y ? -1 : x > y ? 1 : 0;
    };
    const words = (title, column, grow) => ({
      title, field: column, sorter: by_word(column), widthGrow: grow, minWidth: 110, tooltip: false,
      formatter: cell => m9.element("span", this.text(column, cell.getData().id)),
    });
    const number = (title, column, format, about) => ({
      title, field: column, sorter: by(column), hozAlign: "right", headerHozAlign: "right", width: 112,
      headerSortStartingDir: "desc", headerTooltip: about,
      formatter: cell => m9.element("span", format(cell.getData().id)),
    });
    const count = column => i => m9.format.count(m9.types[column][i]);
    const bytes = column => i => m9.format.bytes(m9.types[column][i]);
    const columns = [
      {...words("Type", "name", 5), minWidth: 220},
      words("Module", "module", 2),
      words("Source", "file", 2),
      number("InUse", "live", count("live"), "Items that are live"),
      number("MemUse", "bytes", bytes("bytes"), "Their bytes, in usable sizes"),
      number("HighUse", "high", i => (m9.types.exact[i] ? "" : "≥ ") + bytes("high")(i), "The most bytes that were live at one moment"),
      number("Requests", "requests", count("requests"), "How often memory was requested"),
      {...words("Size(s)", "sizes", 1), headerSort: false},
    ];
    if (m9.types.growth)
      columns.splice(5, 0, number("Growth", "growth", i => (m9.types.growth[i] > 0 ? "+" : "") + bytes("growth")(i), "Bytes more at the end of the recording than at its start"));
    return columns;
  },

  text(column, i) {
    const text = m9.word(column, i);
    if (column === "file" && text !== "" && m9.types.line[i] > 0)
      return `${text.slice(text.lastIndexOf("/") + 1)}:${m9.types.line[i]}`;
    return text;
  },

  build() {
    this.grid = new Tabulator(this.box, {
      data: Array.from({length: m9.count}, (_, id) => ({id})),
      columns: this.columns(),
      height: 560,
      layout: "fitColumns",
      placeholder: "No type matches",
      initialSort: [{column: "bytes", dir: "desc"}],
      rowFormatter: row => row.getElement().classList.toggle("chosen", row.getData().id === this.chosen),
    });
    this.grid.on("rowClick", (_, row) => this.choose(row.getData().id));
    this.grid.on("tableBuilt", () => {
      this.ready = true;
      this.grid.setFilter(data => m9.is_match(data.id));
      document.body.dataset.ready = "yes";
    });
    this.search();
  },

  search() {
    let types = 0, value = 0;
    for (let i = 0; i < m9.count; i++)
      if (m9.is_match(i)) {
        types++;
        value += m9.types.bytes[i];
      }
    const all = types === m9.count ? "" : ` of ${m9.format.count(m9.count)}`;
    this.found.textContent = `${m9.format.count(types)}${all}, ${m9.format.bytes(value)} live`;
    if (this.ready)
      this.grid.refreshFilter();
  },

  choose(i) {
    this.chosen = i;
    const facts = [
      ["Module", m9.word("module", i)], ["Function", m9.word("function", i)],
      ["Source", m9.word("file", i) + (m9.types.line[i] > 0 ? `:${m9.types.line[i]}` : "")],
      ["Inlined", (m9.types.frames[i] || []).map(word => m9.data.words[word]).join(" › ")],
      ["Called by", m9.callers(i).map(([caller]) => caller).reverse().join(" ‹ ")],
      ["Live", `${m9.format.count(m9.types.live[i])} items, ${m9.format.count(m9.types.bytes[i])} bytes`],
      ["Most", `${m9.types.exact[i] ? "" : "at least "}${m9.format.count(m9.types.high[i])} bytes`],
      ["Ever", `${m9.format.count(m9.types.requests[i])} requests, ${m9.format.count(m9.types.frees[i])} frees`],
      ["Sizes", m9.word("sizes", i)],
    ].filter(([, text]) => text !== "");
    const list = document.createElement("dl");
    for (const [name, text] of facts)
      list.append(m9.element("dt", name), m9.element("dd", text));
    this.details.replaceChildren(m9.element("h3", m9.word("name", i)), list);
    this.details.hidden = false;
    for (const row of this.grid.getRows("visible"))
      row.reformat();
    this.details.scrollIntoView({block: "nearest", behavior: "smooth"});
  },
};
