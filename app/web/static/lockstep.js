"use strict";
/* Keeps a page fresh by polling (faster while work is on, never in a hidden tab, nothing when the ETag stands), times
   relative in the viewer's zone, and asks before what cannot be undone. Every page reads without it. */
(() => {
  const doc = document, html = doc.documentElement;
  const lang = html.lang || "en";
  const words = doc.body.dataset;

  // ── times ──────────────────────────────────────────────────────────────────────────────────────────────
  const relative = new Intl.RelativeTimeFormat(lang, { numeric: "always" });
  const now = new Intl.RelativeTimeFormat(lang, { numeric: "auto" }).format(0, "second");
  const exact = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "medium" });
  const shortTime = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const shortDay = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric" });
  const UNITS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", 1e9]];
  let skew = 0; // the server's clock minus ours, in ms

  function ago(ms) {
    let value = Math.round((ms - Date.now() - skew) / 1000);
    for (const [unit, size] of UNITS) {
      if (value === 0) return now;
      if (Math.abs(value) < size) return relative.format(value, unit);
      value = Math.round(value / size);
    }
    return "";
  }
  function tellTimes() {
    for (const t of doc.querySelectorAll("time[datetime]")) {
      const at = Date.parse(t.dateTime);
      const text = ago(at);
      if (t.textContent !== text) t.textContent = text;
      const full = exact.format(at);
      if (t.title !== full) t.title = full;
    }
  }

  // ── plots ──────────────────────────────────────────────────────────────────────────────────────────────
  const plots = new Map();
  function colour(name) { return getComputedStyle(html).getPropertyValue(name).trim(); }
  const [MS, S, MIN] = (words.units || "ms s min").split(" ").map((unit) => " " + unit);
  const SCALES = {
    s: (v) => (v === null ? "–" : v < 1 ? Math.round(v * 1000) + MS : v < 120 ? +v.toFixed(1) + S : Math.round(v / 60) + MIN),
    B: (v) => { if (v === null) return "–"; let u = 0; while (v >= 1000 && u < 4) { v /= 1000; u++; } return +v.toFixed(1) + " " + ["B", "KB", "MB", "GB", "TB"][u] + "/s"; },
  };
  async function plot(element) {
    if (!window.uPlot) return;
    const answer = await fetch(element.dataset.plot, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const found = await answer.json();
    const old = plots.get(element);
    if (old) old.destroy();
    element.replaceChildren();
    const shown = found.series.some((s) => s.values.some((v) => v !== null));
    element.classList.toggle("empty-plot", !shown);
    if (!shown) { element.textContent = element.dataset.empty; plots.delete(element); return; }
    const show = SCALES[found.unit];
    const tones = ["--accent", "--warn-fill"];
    const axis = { stroke: colour("--mute"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "11px system-ui" };
    const chart = new uPlot({
      width: element.clientWidth, height: 180, legend: { live: true }, cursor: { y: false },
      scales: { y: { range: (u, lo, hi) => [0, hi > 0 ? hi * 1.1 : 1] } },
      axes: [{ ...axis, values: (u, at) => { const day = at[at.length - 1] - at[0] > 172800; return at.map((t) => (day ? shortDay : shortTime).format(t * 1000)); } }, { ...axis, size: 64, values: (u, values) => values.map(show) }],
      series: [{ label: words.time, value: (u, v) => (v === null ? "–" : exact.format(v * 1000)) }].concat(found.series.map((s, i) => ({
        label: s.label, stroke: colour(tones[i]), width: 1.6, spanGaps: false, points: { show: false },
        fill: i === 0 ? colour("--accent-soft") : undefined, value: (u, v) => show(v),
      }))),
    }, [found.at, ...found.series.map((s) => s.values)], element);
    plots.set(element, chart);
  }
  function plotAll() { for (const e of doc.querySelectorAll("[data-plot]")) if (!plots.has(e)) { plots.set(e, null); plot(e).catch(() => plots.delete(e)); } }
  addEventListener("resize", () => { for (const [e, c] of plots) if (c) c.setSize({ width: e.clientWidth, height: 180 }); });
  setInterval(() => { if (!doc.hidden) for (const e of doc.querySelectorAll("[data-plot]")) plot(e).catch(() => {}); }, 60000);

  // ── polling ────────────────────────────────────────────────────────────────────────────────────────────
  let etag = null, timer = 0, busy = false, failures = 0, fresh = Date.now();
  const main = () => doc.getElementById("main");

  function seconds() {
    const wanted = Number(main()?.dataset.poll || 0);
    return wanted && Math.min(wanted * 2 ** Math.min(failures, 4), 60);
  }
  function schedule() {
    clearTimeout(timer);
    if (!doc.hidden && seconds()) timer = setTimeout(poll, seconds() * 1000);
  }
  function isBusy() { // somebody is choosing or typing: the page must not move under the hand
    const m = main(), a = doc.activeElement;
    if (doc.querySelector("dialog[open]")) return true;
    if (a && m.contains(a) && a.matches("input:not([type=checkbox]), textarea, select")) return true;
    return false;
  }
  async function poll() {
    if (busy || !main()) return;
    if (isBusy()) { schedule(); return; }
    busy = true;
    try {
      const headers = { "X-Poll": "1", Accept: "text/html" };
      if (etag) headers["If-None-Match"] = etag;
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
      if (answer.type === "opaqueredirect") { location.reload(); return; }
      if (answer.status !== 304) {
        if (answer.status >= 500 && answer.status !== 503) throw new Error(String(answer.status));
        await show(await answer.text());
        etag = answer.headers.get("ETag");
      }
      const date = Date.parse(answer.headers.get("Date"));
      if (date && Math.abs(date - Date.now()) > 5000) skew = date - Date.now();
      failures = 0; fresh = Date.now(); offline(false); main().classList.remove("stale");
    } catch (error) {
      failures++;
      if (failures > 1) { offline(true); main()?.classList.add("stale"); }
    } finally { busy = false; schedule(); }
  }
  async function show(text) {
    const next = new DOMParser().parseFromString(text, "text/html");
    const fresh = next.getElementById("main");
    if (!fresh) { location.reload(); return; }
    keep(fresh);
    doc.title = next.title;
    for (const id of ["favicon", "nav"]) {
      const a = doc.getElementById(id), b = next.getElementById(id);
      if (a && b && a.outerHTML !== b.outerHTML) { const at = a.scrollLeft; a.replaceWith(b); b.scrollLeft = at; }
    }
    const m = main();
    m.dataset.poll = fresh.dataset.poll || "";
    await htmx.swap({ text: fresh.innerHTML, target: m, sourceElement: m, swap: "innerMorph" });
    after();
  }
  function keep(fresh) { // what the viewer has opened and chosen stays so
    for (const d of doc.querySelectorAll("#main details[open][id]")) fresh.querySelector("#" + CSS.escape(d.id))?.setAttribute("open", "");
    for (const c of doc.querySelectorAll("#main input[type=checkbox][name]:checked"))
      fresh.querySelector(`input[name="${CSS.escape(c.name)}"][value="${CSS.escape(c.value)}"]`)?.setAttribute("checked", "");
    for (const p of doc.querySelectorAll("#main [data-plot]")) {
      const same = fresh.querySelector(`[data-plot="${CSS.escape(p.dataset.plot)}"]`);
      if (same) same.setAttribute("hx-morph-skip", "");
      p.setAttribute("hx-morph-skip", "");
    }
  }
  function offline(is) { const e = doc.getElementById("offline"); if (e) e.hidden = !is; }
  function after() { tellTimes(); plotAll(); chosen(); }

  doc.addEventListener("visibilitychange", () => {
    if (doc.hidden) { clearTimeout(timer); return; }
    if (seconds() && Date.now() - fresh > 4000) main().classList.add("stale"); // until it is true again
    poll();
  });
  addEventListener("pageshow", (e) => { if (e.persisted) { main()?.classList.add("stale"); poll(); } });

  // ── choosing several, asking first ─────────────────────────────────────────────────────────────────────
  function chosen() {
    for (const form of doc.querySelectorAll("form[data-several]")) {
      const boxes = [...doc.querySelectorAll(`input[type=checkbox][form="${form.id}"]`)];
      const count = boxes.filter((b) => b.checked).length;
      for (const b of form.querySelectorAll("button[data-needs]")) b.disabled = count === 0;
      const all = doc.querySelector(`input[data-all="${form.id}"]`);
      if (all) { all.checked = count > 0 && count === boxes.length; all.indeterminate = count > 0 && count < boxes.length; }
      const told = form.querySelector("[data-count]");
      if (told) told.textContent = count ? String(count) : "";
    }
  }
  doc.addEventListener("change", (e) => {
    const all = e.target.dataset?.all;
    if (all) for (const b of doc.querySelectorAll(`input[type=checkbox][form="${all}"]`)) b.checked = e.target.checked;
    if (e.target.form?.matches("[data-auto]")) e.target.form.requestSubmit();
    chosen();
  });
  doc.addEventListener("submit", (e) => {
    const question = e.submitter?.dataset.confirm || e.target.dataset.confirm;
    if (!question || e.target.dataset.sure) return;
    e.preventDefault();
    const dialog = doc.createElement("dialog"), p = doc.createElement("p"), btns = doc.createElement("div");
    p.textContent = question; btns.className = "btns";
    const no = doc.createElement("button"), yes = doc.createElement("button");
    no.className = "btn"; no.textContent = words.cancel; yes.className = "btn main"; yes.textContent = e.submitter?.textContent.trim() || words.ok;
    btns.append(no, yes); dialog.append(p, btns); doc.body.append(dialog);
    no.onclick = () => dialog.close();
    yes.onclick = () => { e.target.dataset.sure = "1"; dialog.close(); e.target.requestSubmit(e.submitter); };
    dialog.onclose = () => { dialog.remove(); delete e.target.dataset.sure; };
    dialog.showModal();
  });
  doc.addEventListener("click", (e) => {
    for (const m of doc.querySelectorAll("details.menu[open]")) if (!m.contains(e.target)) m.open = false;
    const row = e.target.closest("tr[data-href]");
    if (row && !e.target.closest("a, button, input, label, details") && !getSelection().toString()) location.href = row.dataset.href;
    const copy = e.target.closest("[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy);
  });
  doc.addEventListener("keydown", (e) => {
    if (e.key === "Escape") for (const m of doc.querySelectorAll("details.menu[open]")) { m.open = false; m.querySelector("summary").focus(); }
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.target.matches("input, textarea, select")) {
      const s = doc.querySelector("input[type=search]");
      if (s) { e.preventDefault(); s.focus(); }
    }
  });

  for (const here of doc.querySelectorAll("nav [aria-current]")) { // on a phone they scroll sideways
    const nav = here.closest("nav");
    nav.scrollLeft = here.offsetLeft - nav.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
  }
  html.classList.add("js");
  after();
  setInterval(tellTimes, 1000);
  schedule();
})();
