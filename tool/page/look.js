// SPDX-License-Identifier: BSD-2-Clause
//
// Colours (each of the biggest modules has one, in page.css, light and dark), the tooltip, and elements made of text.
"use strict";
m9.module_colour = (() => {
  const sums = new Map();
  for (let i = 0; i < m9.count; i++) {
    const module = m9.word("module", i);
    sums.set(module, (sums.get(module) ?? 0) + m9.types.bytes[i] + 1e-6 * m9.types.requests[i]);
  }
  const biggest = [...sums].sort((a, b) => b[1] - a[1]).slice(0, 10).map(([module]) => module);
  return module => {
    const rank = biggest.indexOf(module);
    return rank < 0 ? "var(--other)" : `var(--c${rank})`;
  };
})();

// Tiles of one colour differ a little, so that neighbours can be told apart.
m9.shade = text => {
  let hash = 7;
  for (let i = 0; i < text.length; i++)
    hash = (hash * 31 + text.charCodeAt(i)) | 0;
  return 0.66 + 0.34 * ((hash >>> 0) % 97) / 97;
};

m9.element = (name, text, className) => {
  const made = document.createElement(name);
  made.textContent = text;
  if (className)
    made.className = className;
  return made;
};

// A label that fits `width` pixels, about.
m9.fit = (text, width) => {
  const most = Math.floor(width / 6.9);
  return text.length <= most ? text : most < 4 ? "" : text.slice(0, most - 1) + "…";
};

m9.tip = {
  box: document.getElementById("tip"),
  show(event, text) {
    this.box.textContent = text;
    this.box.hidden = false;
    const x = Math.min(event.clientX + 14, window.innerWidth - this.box.offsetWidth - 8);
    const below = event.clientY + 18 + this.box.offsetHeight < window.innerHeight;
    this.box.style.left = `${Math.max(8, x)}px`;
    this.box.style.top = `${below ? event.clientY + 18 : event.clientY - this.box.offsetHeight - 10}px`;
  },
  hide() {
    this.box.hidden = true;
  },
};

// What is left of a name without what stands above it: "+0x1c", "array.c:12".
m9.short = (name, module, func) => {
  let short = name;
  for (const part of [`${module}!`, `${module}+`, func])
    if (part !== "" && short.startsWith(part))
      short = short.slice(part.length - (part.endsWith("+") ? 1 : 0));
  short = short.trim();
  return short.startsWith("(") && short.endsWith(")") ? short.slice(1, -1) : short || name;
};

m9.share = (part, whole) => whole > 0 ? `${(100 * part / whole).toFixed(1)}%` : "";
