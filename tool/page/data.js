// SPDX-License-Identifier: BSD-2-Clause
//
// What the page shows, by type: columns of equal length, in which texts are numbers of words. Names are whatever a
// file said: they get into the page as text only (textContent, never HTML).
"use strict";
const m9 = {data: JSON.parse(document.getElementById("data").textContent)};

m9.types = m9.data.types;
m9.count = m9.types.name.length;
m9.word = (column, i) => m9.data.words[m9.types[column][i]];
m9.metrics = {
  bytes: {column: "bytes", format: "bytes"},
  live: {column: "live", format: "count"},
  requests: {column: "requests", format: "count"},
};
m9.metric = "bytes";
m9.value = i => m9.types[m9.metrics[m9.metric].column][i];
m9.sum = column => m9.types[column].reduce((sum, n) => sum + n, 0);

m9.format = {
  count: n => n.toLocaleString("en-US"),
  bytes: n => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    for (; Math.abs(n) >= 1024 && unit + 1 < units.length; unit++)
      n /= 1024;
    return `${unit === 0 || Math.abs(n) >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
  },
};
m9.shown = n => m9.format[m9.metrics[m9.metric].format](n);

// What was searched for: every word must be in a type's name, module or file.
m9.haystack = null;
m9.matches = null; // null: all
m9.search = text => {
  const words = text.toLowerCase().split(/\s+/).filter(word => word !== "");
  m9.haystack ??= Array.from({length: m9.count}, (_, i) =>
    ["name", "module", "function", "file"].map(column => m9.word(column, i)).join("\n").toLowerCase());
  m9.matches = words.length === 0 ? null :
    Uint8Array.from(m9.haystack, text => words.every(word => text.includes(word)) ? 1 : 0);
};
m9.is_match = i => m9.matches === null || m9.matches[i] === 1;

// Who called the function of a type: [function, module], outermost first; empty where the type is no chain.
m9.callers = i => {
  const {callers, words} = m9.data, chain = [];
  for (let k = callers ? m9.types.caller[i] : -1; k >= 0; k = callers.caller[k])
    chain.push(callers.functions[k].map(word => [words[word], words[callers.module[k]]]));
  return chain.reverse().flat();
};

// Nested names: {name, children: Map, type}. `path` gives the names of a type, outermost first.
m9.tree = path => {
  const root = {name: "all", children: new Map(), value: 0, matched: 0};
  for (let i = 0; i < m9.count; i++) {
    const value = m9.value(i);
    if (value <= 0)
      continue;
    let node = root;
    const add = () => {
      node.value += value;
      node.matched += m9.is_match(i) ? value : 0;
    };
    add();
    for (const name of path(i)) {
      if (!node.children.has(name))
        node.children.set(name, {name, children: new Map(), value: 0, matched: 0, parent: node});
      node = node.children.get(name);
      add();
    }
    node.type = i;
  }
  return root;
};
