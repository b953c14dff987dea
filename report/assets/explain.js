// What a reader can do with an explanation: pick a step and see its details, walk with the keyboard, open and close
// folds, switch between the runs. All of the drawing is in the page already.
"use strict";
(() => {
  const root = document.documentElement;
  const { runs, start } = JSON.parse(document.getElementById("data").textContent);
  const details = document.getElementById("details");
  const body = details.querySelector(".body");
  root.classList.add("js");

  for (const run of runs) {
    run.section = document.getElementById(`run-${run.id}`);
    run.rows = run.steps.map(({ step }) => document.getElementById(`${run.id}-${step}`));
    run.tab = document.getElementById(`tab-${run.id}`);
    run.at = null;
    let state = run.initial;
    for (const step of run.steps) {
      step.before = state;
      state = step.state ??= state;
    }
    run.section.querySelectorAll(".box").forEach((box) => (box.tabIndex = -1));
    run.start = run.window?.second ?? run.rows.findIndex((row) => row.dataset.fold === undefined);
  }
  if (runs[0].rows[start]) runs[0].start = start;
  let active = runs[0];

  // Details.

  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const yes = (value) => (value ? "yes" : "no");
  const pte = ({ writable, dirty }) => (writable ? "writable" : "read-only") + (dirty ? ", dirty" : "");

  /** A state as groups of named values. */
  const groups = (state) => {
    const all = new Map();
    for (const page of state.pages) {
      const rows = {
        "PG_dirty": yes(page.dirty), "tag DIRTY": yes(page.tag_dirty),
        "PG_writeback": yes(page.writeback), "tag WRITEBACK": yes(page.tag_writeback),
        "PG_uptodate": yes(page.uptodate), "in page cache": yes(page.cached),
        "page->mapping": page.mapping ? "set" : "NULL", "locked by": page.locked_by ?? "nobody",
        "record": page.record ?? "none", "references": String(page.references),
      };
      for (const entry of page.ptes) rows[`pte of mm ${entry.mm}`] = pte(entry);
      page.cells.forEach((cell, n) => (rows[`cell ${n}`] = cell));
      all.set(`page ${page.index} (frame ${page.frame})`, rows);
    }
    const file = { "i_size": String(state.size) };
    state.store.forEach((cell, n) => (file[`store, cell ${n}`] = cell));
    all.set("file", file);
    const tasks = {};
    for (const [task, lock] of state.locks) tasks[task] = [tasks[task], lock].filter(Boolean).join(", ");
    for (const [task, object] of state.waiting) {
      tasks[task] = [tasks[task], `waits for the ${object}`].filter(Boolean).join("; ");
    }
    if (Object.keys(tasks).length) all.set("locks and waiters", tasks);
    return all;
  };

  const list = (title, lines) => (lines.length
    ? [element("h4", {}, title), element("ul", {}, ...lines.map((line) => element("li", {}, line)))]
    : []);

  const show = (step) => {
    const roles = {
      1: "Deciding step 1: it must not come before 2.",
      2: "Deciding step 2: it comes too late, after 1.",
    };
    if (step.role && active.id === "passing") {
      roles[1] = "Deciding step 1: here it comes after 2, and nothing breaks.";
      roles[2] = "Deciding step 2: here it comes before 1.";
    }
    const who = /^io/.test(step.task) || step.task === "closer"
      ? `${step.task}: ${step.operation}` : `${step.task}.${step.slot}: ${step.operation}`;
    const parts = [
      element("h3", { id: "point" }, step.point),
      element("p", { className: "who" }, `step ${step.step} · ${who}`),
      element("p", {}, step.does),
      ...(step.role ? [element("p", { className: "role" }, roles[step.role])] : []),
      ...(step.breaches.length
        ? [element("div", { className: "breaches" }, ...step.breaches.map((text) => element("p", {}, `▲ ${text}`)))]
        : []),
      ...list("events", step.events),
      ...list("changes", step.changes),
    ];
    const quiet = !step.events.length && !step.changes.length;
    if (quiet) parts.push(element("p", { className: "hint" }, "It changes nothing."));
    const before = groups(step.before);
    for (const [name, values] of groups(step.state)) {
      const old = before.get(name) ?? {};
      const rows = Object.entries(values).map(([key, value]) => {
        const changed = old[key] !== value;
        const cell = element("td", {}, value);
        if (changed && old[key] !== undefined) cell.append(" ", element("del", { title: "before" }, old[key]));
        return element("tr", { className: changed ? "changed" : "" }, element("th", { scope: "row" }, key), cell);
      });
      parts.push(element("h4", {}, name), element("table", {}, element("tbody", {}, ...rows)));
    }
    body.replaceChildren(...parts);
    details.scrollTop = 0;
  };

  // Runs, folds, and the picked step.

  const activate = (run) => {
    active = run;
    for (const other of runs) {
      other.section.classList.toggle("active", other === run);
      other.tab?.setAttribute("aria-selected", other === run);
    }
    root.dataset.run = run.id;
  };

  const setFold = (button, open) => {
    const row = button.closest(".fold");
    button.setAttribute("aria-expanded", open);
    const rows = row.parentElement.querySelectorAll(`[data-fold="${row.dataset.id}"]`);
    rows.forEach((li) => li.classList.toggle("open", open));
  };
  const unfold = (run, row) => {
    if (row.dataset.fold === undefined || row.classList.contains("open")) return;
    setFold(run.section.querySelector(`.fold[data-id="${row.dataset.fold}"] button`), true);
  };

  const pick = (run, n, how = {}) => {
    if (n < 0 || n >= run.steps.length) return;
    activate(run);
    const row = run.rows[n];
    unfold(run, row);
    run.rows[run.at]?.classList.remove("picked");
    const old = run.rows[run.at]?.querySelector(".box");
    if (old) { old.tabIndex = -1; old.removeAttribute("aria-current"); }
    run.at = n;
    row.classList.add("picked");
    const box = row.querySelector(".box");
    box.tabIndex = 0;
    box.setAttribute("aria-current", "step");
    show(run.steps[n]);
    if (how.quiet) return;
    details.classList.add("shown");
    root.classList.add("sheet");
    box.focus({ preventScroll: true });
    row.scrollIntoView({ block: how.centre ? "center" : "nearest" });
  };

  const visible = (run, n) => run.rows[n].dataset.fold === undefined || run.rows[n].classList.contains("open");
  /** The nearest shown step in a direction. */
  const next = (run, from, by) => {
    let n = from;
    do n += by; while (n >= 0 && n < run.steps.length && !visible(run, n));
    return n;
  };

  for (const run of runs) {
    run.section.addEventListener("click", (event) => {
      const fold = event.target.closest(".fold button");
      if (fold) return setFold(fold, fold.getAttribute("aria-expanded") !== "true");
      const row = event.target.closest("li.step");
      if (row) pick(run, Number(row.dataset.n));
    });
    run.tab?.addEventListener("click", () => { activate(run); if (run.at !== null) show(run.steps[run.at]); });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".words a[href^='#']");
    const n = runs[0].rows.findIndex((row) => link && `#${row.id}` === link.getAttribute("href"));
    if (n < 0) return;
    event.preventDefault();
    pick(runs[0], n, { centre: true });
  });
  const close = () => { details.classList.remove("shown"); root.classList.remove("sheet"); };
  details.querySelector(".close").addEventListener("click", close);

  // The keyboard.

  const keys = {
    ArrowDown: () => pick(active, next(active, active.at, 1)),
    ArrowUp: () => pick(active, next(active, active.at, -1)),
    Home: () => pick(active, next(active, -1, 1)),
    End: () => pick(active, next(active, active.steps.length, -1)),
    ArrowLeft: () => switchTo(runs.indexOf(active) - 1),
    ArrowRight: () => switchTo(runs.indexOf(active) + 1),
    n: () => {
      const broken = active.steps.flatMap((step, n) => (step.breaches.length ? [n] : []));
      const n = broken.find((n) => n > active.at) ?? broken[0];
      if (n !== undefined) pick(active, n, { centre: true });
    },
    w: () => {
      if (!active.window) return;
      const pair = [active.window.first, active.window.second].sort((a, b) => a - b);
      pick(active, active.at === pair[0] ? pair[1] : pair[0], { centre: true });
    },
    f: () => {
      const folds = [...document.querySelectorAll(".fold button")];
      const open = folds.some((fold) => fold.getAttribute("aria-expanded") !== "true");
      folds.forEach((fold) => setFold(fold, open));
    },
    Escape: close,
  };
  keys.j = keys.ArrowDown;
  keys.k = keys.ArrowUp;
  const switchTo = (n) => { if (runs[n]) pick(runs[n], runs[n].at, { centre: true }); };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("[role=tablist], summary")) return;
    const key = keys[event.key];
    if (!key) return;
    event.preventDefault();
    key();
  });

  // Light and dark.

  document.getElementById("theme").addEventListener("click", () => {
    const now = root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.style.colorScheme = now === "dark" ? "light" : "dark";
  });

  // Two runs stand beside each other where they fit; what each step changed is told in the row where there is room.

  const side = document.getElementById("side");
  const frame = document.querySelector(".runs");
  let together = true;
  const widths = (dense) => {
    frame.classList.toggle("dense", dense);
    return runs.map((run) => run.section.offsetWidth);
  };
  const layout = () => {
    root.dataset.layout = "measure";
    root.dataset.text = "no";
    const room = frame.clientWidth;
    const sizes = [false, true].map((dense) => ({ dense, widths: widths(dense) }));
    const fits = sizes.find((size) => size.widths.reduce((sum, width) => sum + width + 16, -16) <= room);
    const rest = (size) => room - Math.max(...size.widths);
    const worded = sizes.find((size) => rest(size) > (size.dense ? 200 : 260));
    const split = runs.length > 1 && together && fits;
    const chosen = split || worded || sizes[0];
    frame.classList.toggle("dense", chosen.dense);
    root.dataset.layout = split ? "side" : "tabs";
    root.dataset.text = !split && worded ? "yes" : "no";
    document.querySelectorAll(".chart").forEach((chart) => chart.classList.toggle("fits", rest(chosen) >= 0));
    if (!side) return;
    side.hidden = !fits;
    side.textContent = together ? "one at a time, in words" : "beside each other";
    side.setAttribute("aria-pressed", together);
  };
  side?.addEventListener("click", () => { together = !together; layout(); });
  layout();
  addEventListener("resize", layout);
  runs.slice().reverse().forEach((run) => pick(run, run.start, { quiet: true }));
})();
