// Charts answer the pointer, legends hide series, tables sort. Without scripts the page keeps the
// drawings and tables that are in it.
"use strict";
(() => {
  const views = new WeakMap(); // the view of each chart that has been drawn
  const hidden = new WeakMap(); // the series hidden in each figure
  let looks; // all charts by their names, and how they look, once the library is there
  const tooltip = { theme: "page", disableDefaultStyle: true };

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.codePointAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  // The library becomes a script of the page: its policy knows it by its digest.
  async function load() {
    const script = document.createElement("script");
    script.textContent = await unpacked(document.getElementById("chart-library").textContent);
    document.head.append(script);
    const texts = ["charts", "chart-config"].map((id) => document.getElementById(id).textContent);
    return (await Promise.all(texts.map(unpacked))).map((text) => JSON.parse(text));
  }

  async function draw(chart) {
    const live = document.createElement("div");
    live.className = "live";
    live.setAttribute("aria-hidden", "true"); // the drawing beneath describes itself
    chart.append(live);
    try {
      const [specs, config] = await looks;
      const options = { config, tooltip, actions: false, ast: true, defaultStyle: false, renderer: "svg" };
      const { view } = await window.embedChart(live, specs[chart.dataset.chart], options);
      views.set(chart, view);
      chart.classList.add("drawn");
      show(chart);
    } catch (error) {
      live.remove(); // the drawing stays
      console.error(error);
    }
  }

  function show(chart) {
    const view = views.get(chart);
    if (view) view.signal("hidden", [...(hidden.get(chart.closest("figure")) ?? [])]).runAsync();
  }

  function switchable(legend) {
    const figure = legend.closest("figure");
    const gone = new Set();
    hidden.set(figure, gone);
    for (const key of legend.querySelectorAll(".key")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "key";
      button.title = "Hide or show; double-click to show this one alone";
      button.append(...key.childNodes);
      button.dataset.series = key.dataset.series;
      key.replaceWith(button);
      button.addEventListener("click", () => {
        const name = button.dataset.series;
        if (!gone.delete(name)) gone.add(name);
        update(figure, legend, gone);
      });
      button.addEventListener("dblclick", () => {
        const others = [...legend.querySelectorAll(".key")].map((each) => each.dataset.series);
        gone.clear();
        others.filter((name) => name !== button.dataset.series).forEach((name) => gone.add(name));
        update(figure, legend, gone);
      });
    }
    update(figure, legend, gone);
  }

  function update(figure, legend, gone) {
    for (const button of legend.querySelectorAll(".key"))
      button.setAttribute("aria-pressed", String(!gone.has(button.dataset.series)));
    figure.querySelectorAll(".chart").forEach(show);
  }

  function sortable(table) {
    const heads = [...table.querySelectorAll("tr.heads > th")];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        // Numbers are shown highest first, words from the beginning of the alphabet.
        const first = head.classList.contains("number") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? other : first;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        for (const body of table.tBodies) sort(body, place, order === "ascending" ? 1 : -1);
      });
    });
  }

  function sort(body, place, sign) {
    const keyed = [...body.rows].map((row) => {
      const cell = row.cells[place];
      return { row, text: cell.textContent.trim(), number: Number.parseFloat(cell.dataset.key) };
    });
    const missing = (entry) => entry.text === "\u2013";
    keyed.sort((a, b) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b); // last, either way round
      const numbers = !Number.isNaN(a.number) && !Number.isNaN(b.number);
      return sign * (numbers ? a.number - b.number : a.text.localeCompare(b.text));
    });
    body.append(...keyed.map((entry) => entry.row));
  }

  document.querySelectorAll(".legend").forEach(switchable);
  document.querySelectorAll("table").forEach(sortable);
  if (document.getElementById("chart-library") && window.DecompressionStream) {
    looks = load();
    const seen = new IntersectionObserver(
      (entries) =>
        entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
          seen.unobserve(entry.target);
          draw(entry.target);
        }),
      { rootMargin: "400px" },
    );
    document.querySelectorAll(".chart").forEach((chart) => seen.observe(chart));
  }
  const contents = document.querySelector(".contents");
  if (contents && document.body.scrollHeight < 3 * window.innerHeight) contents.hidden = true;
})();
