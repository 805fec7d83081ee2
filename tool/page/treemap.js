// SPDX-License-Identifier: BSD-2-Clause
//
// Treemap (d3-hierarchy): two levels at a time, groups and the tiles in them; a click goes one level down. What would
// be smaller than three pixels is not drawn: its group's colour shows instead.
"use strict";
m9.treemap = {
  box: document.getElementById("treemap"),
  path: document.getElementById("path"),
  root: null,
  at: null,

  build() {
    const names = this.at ? this.names(this.at) : [];
    this.root = m9.tree(i => [m9.word("module", i), m9.word("function", i) || m9.word("name", i), m9.word("name", i)]);
    this.at = this.root;
    for (const name of names)
      this.at = this.at.children.get(name) ?? this.at;
    this.draw();
  },

  names(node) {
    const names = [];
    for (; node.parent; node = node.parent)
      names.unshift(node.name);
    return names;
  },

  go(node) {
    if (node.children.size === 0) {
      m9.table.choose(node.type);
      return;
    }
    // A function with one place only is that place.
    while (node.children.size === 1 && [...node.children.values()][0].children.size > 0)
      node = [...node.children.values()][0];
    this.at = node;
    this.draw();
  },

  layout(width, height) {
    const groups = [...this.at.children.values()];
    const shallow = {node: this.at, children: groups.map(group => ({
      node: group,
      children: [...group.children.values()].map(node => ({node})),
    }))};
    const tree = d3.hierarchy(shallow, d => d.children?.length ? d.children : undefined)
      .sum(d => d.children?.length ? 0 : d.node.value).sort((a, b) => b.value - a.value);
    return d3.treemap().size([width, height]).paddingInner(1).paddingOuter(node => node.depth === 1 ? 2 : 0)
      .paddingTop(node => node.depth === 1 && node.children ? 19 : 0).round(true)(tree);
  },

  module_of(node) {
    const names = this.names(node);
    return names[0] ?? "";
  },

  draw() {
    this.draw_path();
    this.box.replaceChildren();
    const width = this.box.clientWidth, height = this.box.clientHeight;
    if (this.root.value === 0) {
      this.box.append(m9.element("p", "Nothing to show: every type is 0 by this measure.", "none"));
      return;
    }
    const tree = this.layout(width, height);
    const seen = tree.descendants().filter(d => d.depth > 0 && d.x1 - d.x0 >= 3 && d.y1 - d.y0 >= 3);
    const svg = d3.select(this.box).append("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("role", "img")
      .attr("aria-label", "Treemap of the types");
    const cells = svg.selectAll("g").data(seen).join("g").attr("transform", d => `translate(${d.x0},${d.y0})`)
      .classed("faded", d => !d.children && d.data.node.matched === 0);
    cells.append("rect").attr("class", d => d.children ? "group" : "tile")
      .attr("width", d => d.x1 - d.x0).attr("height", d => d.y1 - d.y0)
      .style("fill", d => m9.module_colour(this.module_of(d.data.node)))
      .style("fill-opacity", d => d.children ? 0.45 : m9.shade(d.data.node.name))
      .on("click", (_, d) => this.go(d.children || d.depth === 1 ? d.data.node : d.parent.data.node))
      .on("mousemove", (event, d) => m9.tip.show(event, this.told(d.data.node)))
      .on("mouseleave", () => m9.tip.hide());
    this.label(cells);
  },

  label(cells) {
    const room = d => d.x1 - d.x0 - 10;
    const big = cells.filter(d => room(d) > 26 && (d.children || d.y1 - d.y0 > 16));
    big.append("text").attr("class", d => d.children ? "head" : "").attr("x", 5).attr("y", 14)
      .text(d => m9.fit(d.children ? `${d.data.node.name}  ${m9.shown(d.value)}` : this.short(d.data.node), room(d)));
    cells.filter(d => !d.children && room(d) > 44 && d.y1 - d.y0 > 32).append("text").attr("class", "value")
      .attr("x", 5).attr("y", 28).text(d => m9.fit(m9.shown(d.value), room(d)));
  },

  short(node) {
    const above = this.names(node).slice(0, -1);
    return m9.short(node.name, above[0] ?? "", above[1] ?? "");
  },

  told(node) {
    return `${this.names(node).slice(node.children.size ? 0 : -1).join("\n")}\n` +
      `${m9.shown(node.value)}, ${m9.share(node.value, this.root.value)} of all`;
  },

  draw_path() {
    const nodes = [];
    for (let node = this.at; node; node = node.parent)
      nodes.unshift(node);
    this.path.replaceChildren(...nodes.map(node => {
      const button = m9.element("button", node.name);
      button.addEventListener("click", () => {
        this.at = node;
        this.draw();
      });
      return button;
    }));
  },
};
