// SPDX-License-Identifier: BSD-2-Clause
//
// Flame graph (d3-flame-graph), root on top. Of types that are chains: who called whom, from the outermost function on,
// to the place. Of others: module, function, what was inlined into it, place.
"use strict";
m9.flame = {
  box: document.getElementById("flame"),
  reset: document.getElementById("flame-reset"),
  about: document.getElementById("flame-about"),
  chart: null,
  modules: new Map(), // of functions, by name, where there are chains

  path(i) {
    const module = m9.word("module", i), name = m9.word("name", i);
    const frames = m9.types.frames[i];
    const functions = frames ? frames.map(word => m9.data.words[word]) : [m9.word("function", i)].filter(f => f);
    const place = m9.short(name, module, m9.word("function", i));
    const callers = m9.callers(i);
    if (callers.length === 0)
      return [module, ...functions, place];
    for (const [caller, its_module] of [...callers, ...functions.map(text => [text, module]), [place, module]])
      if (!this.modules.has(caller))
        this.modules.set(caller, its_module);
    return [...callers.map(([caller]) => caller), ...functions, place];
  },

  nested(node, module) {
    return {
      name: node.name,
      value: node.value,
      module: this.modules.get(node.name) ?? module ?? "",
      children: [...node.children.values()].map(child => this.nested(child, module ?? child.name)),
    };
  },

  depth(node) {
    return 1 + [...node.children.values()].reduce((most, child) => Math.max(most, this.depth(child)), 0);
  },

  build() {
    this.box.replaceChildren();
    this.reset.hidden = true;
    this.about.textContent = m9.data.callers ? "who called whom, from the outermost function on; a click zooms" :
      "module, function, what was inlined, place; a click zooms";
    const tree = m9.tree(i => this.path(i));
    tree.name = m9.data.head.program || "all";
    if (tree.value === 0) {
      this.box.append(m9.element("p", "Nothing to show: every type is 0 by this measure.", "none"));
      return;
    }
    this.chart = flamegraph.default().width(this.box.clientWidth).cellHeight(20)
      .height(20 * this.depth(tree)).inverted(true).minFrameSize(1.5)
      .transitionDuration(250).sort((a, b) => b.value - a.value)
      .setColorMapper(d => d.highlight ? "var(--match)" :
        `color-mix(in srgb, ${m9.module_colour(d.data.module)} ${Math.round(100 * m9.shade(d.data.name))}%, var(--card))`)
      .setSearchMatch((d, term) => term !== "" && d.data.name.toLowerCase().includes(term.toLowerCase()))
      .setSearchHandler(() => {}).setDetailsHandler(() => {})
      .onClick(d => this.reset.hidden = !d.parent)
      .tooltip(this.tooltip(tree.value));
    d3.select(this.box).datum(this.nested(tree)).call(this.chart);
  },

  tooltip(total) {
    const tip = () => {};
    tip.show = (event, d) => m9.tip.show(event, `${d.data.name}\n${m9.shown(d.data.value)}, ` +
      `${m9.share(d.data.value, total)} of all`);
    tip.hide = () => m9.tip.hide();
    return tip;
  },

  search(text) {
    if (this.chart && this.box.querySelector("svg"))
      text === "" ? this.chart.clear() : this.chart.search(text);
  },
};
m9.flame.reset.addEventListener("click", () => m9.flame.chart.resetZoom());
