"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const column = Object.fromEntries(data.columns.map((one) => [one.name, one]));
  const count = data.columns.length ? data.columns[0].values.length : 0;
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, attributes, parent, text) => {
    const node = document.createElementNS(SVG, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const html = (name, parent, text) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const told = (name, value) => {
    if (value === null || value === "") return "–";
    if (column[name].percent) return (100 * value).toFixed(2) + " %";
    return String(value);
  };

  // Tables: a heading sorts its column, numbers by size, gaps last

  const words = new Intl.Collator("en", { numeric: true });
  const order = (values, ascending) => (a, b) => {
    const [x, y] = [values[a], values[b]];
    const [gapX, gapY] = [x === null || x === "", y === null || y === ""];
    if (gapX || gapY) return gapX - gapY || a - b;
    const [numberX, numberY] = [typeof x === "number", typeof y === "number"];
    // numbers before texts: an order that mixed them would go round in circles
    const way = numberX && numberY ? x - y : numberX || numberY ? numberY - numberX : words.compare(x, y);
    return (ascending ? way : -way) || a - b;
  };
  const sortable = (heads, sorted) => {
    heads.forEach((head, place) => {
      const button = html("button", null, head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const ascending = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sorted(place, ascending);
      });
    });
  };
  for (const table of document.querySelectorAll("table.sort")) {
    const rows = [...table.tBodies[0].rows];
    const value = (cell) => {
      const raw = cell.dataset.v === undefined ? cell.textContent : cell.dataset.v;
      return raw !== "" && isFinite(raw) ? Number(raw) : raw;
    };
    sortable([...table.tHead.rows[0].cells], (place, ascending) => {
      const values = rows.map((row) => value(row.cells[place]));
      const places = rows.map((_, k) => k).sort(order(values, ascending));
      table.tBodies[0].append(...places.map((k) => rows[k]));
    });
  }

  // All points, a page of them at a time

  const PAGE = 100;
  const points = document.getElementById("points");
  if (points) {
    const names = data.columns.map((one) => one.name);
    let places = [...Array(count).keys()];
    let page = 0;
    const body = points.tBodies[0];
    const [back, on] = document.querySelectorAll("#pages button");
    const where = document.querySelector("#pages span");
    const fill = () => {
      body.replaceChildren();
      for (const k of places.slice(page * PAGE, (page + 1) * PAGE)) {
        const row = html("tr", body);
        for (const name of names) {
          const cell = html("td", row, told(name, column[name].values[k]));
          if (column[name].number) cell.className = "n";
        }
      }
      const last = Math.min(count, (page + 1) * PAGE);
      where.textContent = `${count ? page * PAGE + 1 : 0} to ${last} of ${count}`;
      back.disabled = page === 0;
      on.disabled = last >= count;
    };
    back.addEventListener("click", () => { page -= 1; fill(); });
    on.addEventListener("click", () => { page += 1; fill(); });
    sortable([...points.tHead.rows[0].cells], (place, ascending) => {
      places.sort(order(column[names[place]].values, ascending));
      page = 0;
      fill();
    });
    fill();
  }

  // The figure: every point, and the mean of every cell

  const plot = document.getElementById("plot");
  if (!plot) return;
  const tip = document.getElementById("tip");
  const legend = document.getElementById("legend");
  const choose = document.getElementById("choose");
  const tally = document.getElementById("count");
  const swept = data.swept;
  const distinct = (name) => {
    const found = [...new Set(column[name].values)].filter((one) => one !== null && one !== "");
    return column[name].number ? found.sort((a, b) => a - b) : found;
  };
  const select = (label, options, chosen) => {
    const field = html("label", choose, label);
    const list = html("select", field);
    for (const [value, text] of options) {
      const option = html("option", list, text);
      option.value = value;
    }
    list.value = chosen;
    list.addEventListener("change", draw);
    return list;
  };
  const ALL = "*";
  const paths = swept.map((name) => [name, column[name].label]);
  const x = select("along", paths, data.x);
  const series = select("a colour each", [["", "none"], ...paths], data.series || "");
  const quantity = select("shown", data.quantities.map((name) => [name, column[name].label]), data.quantities[0]);
  const filters = swept
    .filter((name) => distinct(name).length > 1)
    .map((name) => {
      const options = distinct(name).map((value, k) => [String(k), String(value)]);
      const first = data.held.includes(name) ? "0" : ALL;
      return { name, list: select(column[name].label, [[ALL, "all"], ...options], first) };
    });

  const SHAPES = [
    (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
    (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    (r) => `M0,${-1.2 * r}L${1.15 * r},${r}H${-1.15 * r}z`,
    (r) => `M0,${-1.35 * r}L${1.35 * r},0L0,${1.35 * r}L${-1.35 * r},0z`,
    (r) => `M0,${1.2 * r}L${1.15 * r},${-r}H${-1.15 * r}z`,
  ];
  const look = (k) => ({ colour: data.colours[k % data.colours.length], shape: SHAPES[k % SHAPES.length] });
  const nice = (low, high, most) => {
    const raw = (high - low) / most || 1;
    const unit = 10 ** Math.floor(Math.log10(raw));
    const step = unit * [1, 2, 5, 10].find((one) => one * unit >= raw);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) ticks.push(k * step);
    return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  };
  let marks = [];
  let current = -1;
  let ring = null;
  let place = { width: 0 };

  function draw() {
    for (const one of filters) one.list.parentElement.hidden = one.name === x.value || one.name === series.value;
    const shown = [];
    const absent = new Map();
    for (let k = 0; k < count; k += 1) {
      // what does not apply to a point does not keep it out
      const out = filters.some(({ name, list }) => name !== x.value && name !== series.value && list.value !== ALL
        && column[name].values[k] !== null && column[name].values[k] !== ""
        && column[name].values[k] !== distinctOf[name][list.value]);
      if (out) continue;
      const lacks = [quantity.value, x.value, series.value]
        .find((name) => name && [null, ""].includes(column[name].values[k]));
      if (lacks === undefined) shown.push(k);
      else absent.set(lacks, (absent.get(lacks) || 0) + 1);
    }
    const left = [...absent].map(([name, n]) => `${n} without ${column[name].label}`);
    tally.textContent = [`${shown.length} of ${count} points shown`, ...left].join(", ");
    const values = distinctOf[x.value].filter((one) => shown.some((k) => column[x.value].values[k] === one));
    const groups = series.value ? distinctOf[series.value] : [null];
    const percent = column[quantity.value].percent ? 100 : 1;
    const ys = shown.map((k) => percent * column[quantity.value].values[k]);
    const groupOf = new Map(groups.map((one, k) => [one, k]));
    const groupAt = (k) => (series.value ? groupOf.get(column[series.value].values[k]) : 0);
    const sums = new Map();
    shown.forEach((k, n) => {
      const [group, value] = [groupAt(k), column[x.value].values[k]];
      const key = `${group} ${values.indexOf(value)}`;
      const sum = sums.get(key) || { group, value, total: 0, n: 0, cell: data.cell[k], one: true };
      sum.total += ys[n];
      sum.n += 1;
      sum.one = sum.one && sum.cell === data.cell[k];
      sums.set(key, sum);
    });
    for (const sum of sums.values()) {
      const known = quantity.value === "accuracy" && sum.one && data.intervals[sum.cell][0] !== null;
      sum.interval = known ? data.intervals[sum.cell].map((bound) => 100 * bound) : [];
    }
    // an interval that left the figure would look shorter than it is
    const reach = [...ys, ...[...sums.values()].flatMap((sum) => sum.interval)];
    let [low, high] = reach.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    if (!shown.length) [low, high] = [0, 1];
    const pad = (high - low) * 0.06 || 0.5;
    [low, high] = [low - pad, high + pad];
    const width = Math.max(300, plot.clientWidth);
    const height = Math.round(Math.min(460, Math.max(300, width * 0.55)));
    const edge = { left: 58, right: 12, top: 12, bottom: 52 };
    place = { width };
    const numeric = column[x.value].number && values.length > 1;
    const log = numeric && values[0] > 0 && values[values.length - 1] > 100 * values[0];
    const on = (value) => (log ? Math.log10(value) : numeric ? value : values.indexOf(value));
    const [first, last] = values.length ? [on(values[0]), on(values[values.length - 1])] : [0, 0];
    const spots = values.map(on);
    const gap = spots.slice(1).reduce((least, spot, k) => Math.min(least, spot - spots[k]), Infinity);
    const span = last - first || 1;
    const inner = width - edge.left - edge.right;
    const room = Math.min(70, (isFinite(gap) ? gap / span : 1) * inner * 0.4 + 8);
    const px = (value) => (first === last ? edge.left + inner / 2
      : edge.left + room + ((on(value) - first) / span) * (inner - 2 * room));
    const py = (value) => edge.top + ((high - value) / (high - low)) * (height - edge.top - edge.bottom);
    const between = isFinite(gap) ? (gap / span) * (inner - 2 * room) : 100;
    const spread = Math.min(64, between * 0.7) / Math.max(1, groups.length);

    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0",
      "aria-label": `${column[quantity.value].label} along ${column[x.value].label}; arrow keys go from point to point` });
    const scale = nice(low, high, height / 60);
    for (const tick of scale.ticks) {
      make("line", { x1: edge.left, x2: width - edge.right, y1: py(tick), y2: py(tick), stroke: "#e6e6ea" }, svg);
      make("text", { x: edge.left - 8, y: py(tick) + 4, "text-anchor": "end" }, svg, tick.toFixed(scale.digits));
    }
    let free = -Infinity;
    for (const value of values) {
      const text = String(value).length > 14 ? `${String(value).slice(0, 13)}…` : String(value);
      const half = text.length * 3.4 + 4;
      if (px(value) - half < free) continue;
      free = px(value) + half;
      make("line", { x1: px(value), x2: px(value), y1: height - edge.bottom, y2: height - edge.bottom + 5, stroke: "#888" }, svg);
      make("text", { x: px(value), y: height - edge.bottom + 19, "text-anchor": "middle" }, svg, text);
    }
    make("line", { x1: edge.left, x2: width - edge.right, y1: height - edge.bottom, y2: height - edge.bottom, stroke: "#888" }, svg);
    make("text", { x: edge.left + inner / 2, y: height - 10, "text-anchor": "middle" }, svg, column[x.value].label);
    const unit = percent === 100 ? " (%)" : "";
    make("text", { transform: `translate(14 ${edge.top + (height - edge.top - edge.bottom) / 2}) rotate(-90)`,
      "text-anchor": "middle" }, svg, column[quantity.value].label + unit);

    marks = [];
    const layer = make("g", {}, svg);
    const faint = shown.length > 1500 ? 0.25 : 0.45;
    shown.forEach((k, n) => {
      const [group, value] = [groupAt(k), column[x.value].values[k]];
      const offset = (group - (groups.length - 1) / 2) * spread;
      // the same point at the same place in every drawing
      const jitter = ((((k + 1) * 0.618034) % 1) - 0.5) * spread * 0.8;
      const mark = { k, x: px(value) + offset + jitter, y: py(ys[n]) };
      marks.push(mark);
      make("path", { d: look(group).shape(2.7), transform: `translate(${mark.x.toFixed(1)} ${mark.y.toFixed(1)})`,
        fill: look(group).colour, "fill-opacity": faint, "data-k": k }, layer);
    });
    const lines = groups.map(() => []);
    for (const sum of sums.values()) lines[sum.group].push(sum);
    lines.forEach((line, group) => {
      const style = look(group);
      line.sort((a, b) => on(a.value) - on(b.value));
      const offset = (group - (groups.length - 1) / 2) * spread;
      const at = line.map((sum) => [px(sum.value) + offset, py(sum.total / sum.n)]);
      if (column[x.value].number && at.length > 1) {
        make("polyline", { points: at.map((one) => one.map((v) => v.toFixed(1)).join(",")).join(" "), fill: "none",
          stroke: style.colour, "stroke-width": 1.5 }, svg);
      }
      line.forEach((sum, k) => {
        if (sum.interval.length) {
          const [bottom, top] = sum.interval.map(py);
          make("line", { x1: at[k][0], x2: at[k][0], y1: top, y2: bottom, stroke: style.colour, "stroke-width": 2 }, svg);
        }
        make("path", { d: style.shape(4.5), transform: `translate(${at[k][0].toFixed(1)} ${at[k][1].toFixed(1)})`,
          fill: group % 2 ? "#fff" : style.colour, stroke: style.colour, "stroke-width": 1.8 }, svg);
      });
    });
    ring = make("circle", { r: 6.5, fill: "none", stroke: "#1d1d1f", "stroke-width": 2, visibility: "hidden" }, svg);

    legend.replaceChildren();
    if (series.value) {
      html("li", legend, `${column[series.value].label}:`);
      groups.forEach((one, k) => {
        const item = html("li", legend);
        const key = make("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" }, item);
        make("path", { d: look(k).shape(4.5), fill: k % 2 ? "#fff" : look(k).colour, stroke: look(k).colour, "stroke-width": 1.8 }, key);
        item.append(String(one));
      });
    }
    plot.querySelector("svg")?.remove();
    plot.prepend(svg);
    hide();
    const nearest = (event) => {
      const box = svg.getBoundingClientRect();
      const factor = width / box.width;
      const [mx, my] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
      let best = -1;
      let least = 18 * 18;
      marks.forEach((mark, k) => {
        const d = (mark.x - mx) ** 2 + (mark.y - my) ** 2;
        if (d < least) [best, least] = [k, d];
      });
      if (best < 0) hide(); else show(best);
    };
    svg.addEventListener("pointermove", nearest);
    svg.addEventListener("pointerdown", nearest);
    svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step || !marks.length) return;
      event.preventDefault();
      show((current + step + marks.length) % marks.length);
    });
  }

  function hide() {
    current = -1;
    tip.hidden = true;
    if (ring) ring.setAttribute("visibility", "hidden");
  }

  function show(which) {
    if (which === current) return;
    current = which;
    const mark = marks[which];
    const list = html("dl");
    for (const one of data.columns) {
      const value = one.values[mark.k];
      // what a point has not would bury what it has; that it has no accuracy is news
      if ((value === null || value === "") && one.name !== "accuracy") continue;
      html("dt", list, one.label);
      html("dd", list, told(one.name, value));
    }
    tip.replaceChildren(list);
    tip.hidden = false;
    ring.setAttribute("visibility", "visible");
    ring.setAttribute("cx", mark.x);
    ring.setAttribute("cy", mark.y);
    const factor = plot.clientWidth / place.width;
    const left = mark.x * factor + (mark.x > place.width / 2 ? -tip.offsetWidth - 14 : 14);
    tip.style.left = `${Math.max(0, Math.min(left, plot.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, mark.y * factor - tip.offsetHeight / 2)}px`;
  }

  const distinctOf = Object.fromEntries(swept.map((name) => [name, distinct(name)]));
  draw();
  let drawn = plot.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(plot.clientWidth - drawn) > 1) {
      drawn = plot.clientWidth;
      draw();
    }
  }).observe(plot);
})();
