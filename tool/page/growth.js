// SPDX-License-Identifier: BSD-2-Clause
//
// Growth over time (uPlot): of all, and of the types that held most at some moment, or of those that match the search.
"use strict";
m9.growth = {
  section: document.getElementById("growth-section"),
  box: document.getElementById("growth"),
  about: document.getElementById("growth-about"),
  lines: 9,
  plot: null,

  // A series is [point, value, point, value, ...], a pair where the value changed.
  values(series) {
    const values = new Array(m9.data.growth.time.length).fill(0);
    for (let k = 0; k < series.length; k += 2)
      values.fill(series[k + 1], series[k]);
    return values;
  },

  chosen() {
    const growth = m9.data.growth, most = series => series.reduce((max, n, k) => k % 2 ? Math.max(max, n) : max, 0);
    return growth.types.map((type, k) => ({type, series: growth.series[k]})).filter(({type}) => m9.is_match(type))
      .map(line => ({...line, most: most(line.series)})).sort((a, b) => b.most - a.most).slice(0, this.lines);
  },

  build() {
    const growth = m9.data.growth;
    if (!growth)
      return;
    this.section.hidden = false;
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = name => style.getPropertyValue(name).trim();
    const chosen = this.chosen();
    const value = (_, n) => n === null || n === undefined ? "" : m9.format.bytes(n);
    const axis = {stroke: colour("--dim"), grid: {stroke: colour("--line"), width: 1}, ticks: {stroke: colour("--line")}};
    const series = [{value: (_, t) => t === null ? "" : `${t.toFixed(2)} s`, label: "time"},
      {label: "all types", stroke: colour("--text"), width: 2, dash: [5, 3], value, show: m9.matches === null}];
    chosen.forEach((line, k) => series.push({label: m9.word("name", line.type), stroke: colour(`--s${k}`), width: 2, value}));
    const marks = growth.marks.length === 0 ? "" : `, ${m9.format.count(growth.marks.length)} marks`;
    this.about.textContent = `live bytes, ${m9.format.count(growth.samples)} samples${marks}; ${growth.types.length} types have lines`;
    this.plot = new uPlot({
      width: this.box.clientWidth, height: 320, series,
      scales: {x: {time: false}, y: {range: (_, low, high) => [0, Math.max(1, high * 1.05)]}},
      axes: [{...axis, values: (_, ticks) => ticks.map(t => `${t} s`)},
        {...axis, size: 76, values: (_, ticks) => ticks.map(n => m9.format.bytes(n)), incrs: this.steps()}],
      cursor: {focus: {prox: 24}},
      focus: {alpha: 0.35},
      hooks: {draw: [plot => this.draw_marks(plot)]},
    }, [growth.time, growth.total, ...chosen.map(line => this.values(line.series))], this.box);
  },

  // A line for each mark, and its name, in the first row that has room for it.
  draw_marks(plot) {
    for (const old of plot.over.querySelectorAll(".mark"))
      old.remove();
    const width = plot.over.clientWidth, ends = [], rows = 6; // `ends`: of each row, in pixels
    for (const [time, name] of m9.data.growth.marks) {
      const x = plot.valToPos(time, "x");
      if (!(x >= -1 && x <= width + 1))
        continue;
      const line = m9.element("div", "", "mark"), label = m9.element("span", name);
      line.style.left = `${Math.round(x)}px`;
      line.append(label);
      plot.over.append(line);
      const room = label.offsetWidth + 6, before = x + room > width;
      label.classList.toggle("before", before);
      const from = before ? x - room : x, free = ends.findIndex(end => end <= from);
      const row = free < 0 ? ends.length : free;
      label.hidden = row >= rows;
      if (row < rows) {
        ends[row] = from + room;
        label.style.top = `${18 * row}px`;
      }
    }
  },

  // Powers of 2, as bytes are shown so.
  steps() {
    return Array.from({length: 50}, (_, k) => 2 ** k);
  },
};
