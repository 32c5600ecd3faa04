"use strict";
(() => {
  const form = document.getElementById("filters");
  const rows = [...document.querySelectorAll("[data-t]")];
  const fields = ["q", "v", "c", "p", "l"];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const wanted = () => Object.fromEntries(fields.map((name) => [name, form.elements[name].value.trim()]));
  const nameOf = (row) => row.id || row.querySelector("a").textContent;

  function fits(row, f) {
    const [verdict, level, profile] = row.dataset.t.split(" ");
    return (!f.v || verdict === f.v) && (!f.p || profile === f.p) && (!f.l || level === f.l)
      && (!f.c || nameOf(row).startsWith(f.c)) && (!f.q || texts.get(row).includes(f.q.toLowerCase()));
  }
  function apply() {
    const f = wanted();
    const seen = new Set();
    for (const row of rows) {
      row.hidden = !fits(row, f);
      if (!row.hidden) seen.add(nameOf(row));
    }
    for (const chapter of document.querySelectorAll(".ch")) chapter.hidden = !chapter.querySelector("[data-t]:not([hidden])");
    form.elements.n.value = `${seen.size} requirement${seen.size === 1 ? "" : "s"}`;
  }
  function remember() {
    const query = new URLSearchParams(Object.entries(wanted()).filter(([, value]) => value)).toString();
    history.replaceState(null, "", (query ? `?${query}` : location.pathname) + location.hash);
  }
  function recall() {
    const query = new URLSearchParams(location.search);
    for (const name of fields) form.elements[name].value = query.get(name) || "";
    apply();
  }
  function reveal() {
    let target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const row = target.closest("[data-t]");
    if (row && row.hidden) { form.reset(); }
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
  }
  function copy(button) {
    const command = button.parentElement.querySelector(".cmd");
    const range = document.createRange();
    range.selectNodeContents(command);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    const done = document.execCommand("copy");
    button.textContent = done ? "copied" : "press Ctrl+C";
  }

  form.hidden = false;
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => { apply(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { apply(); remember(); }));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches(".copy")) copy(button);
    if (button.matches(".prof")) {
      form.elements.p.value = button.dataset.profile;
      apply(); remember(); form.scrollIntoView();
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /INPUT|SELECT|TEXTAREA/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); form.elements.q.focus(); }
    if (event.key === "Escape" && event.target === form.elements.q) { form.elements.q.value = ""; apply(); remember(); }
  });
  const printed = matchMedia("print");
  let closed = [];
  const unfold = () => {
    const folded = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.closest(".ch"));
    closed = closed.concat(folded);
    folded.forEach((each) => { each.open = true; });
  };
  addEventListener("beforeprint", unfold);
  addEventListener("afterprint", () => { closed.forEach((each) => { each.open = false; }); closed = []; });
  printed.addEventListener("change", (event) => { if (event.matches) unfold(); });
  addEventListener("hashchange", reveal);
  addEventListener("popstate", recall);
  recall();
  reveal();
})();
