"use strict";
// Tables: a heading sorts, a field filters by the first cell.
const key = (row, place) => { const cell = row.cells[place], value = cell.dataset.value;
  return value === undefined ? cell.textContent.trim() : value === "" ? null : Number(value); };
const order = (a, b) => typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
for (const table of document.querySelectorAll("table.columns")) {
  const body = table.tBodies[0], rows = [...body.rows];
  for (const heading of table.tHead.rows[0].cells) {
    heading.querySelector("button")?.addEventListener("click", () => {
      const place = heading.cellIndex, text = heading.classList.contains("text");
      const before = heading.getAttribute("aria-sort");
      const now = before ? (before === "ascending" ? "descending" : "ascending") : text ? "ascending" : "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", now);
      const sign = now === "ascending" ? 1 : -1;
      rows.sort((r, s) => { const a = key(r, place), b = key(s, place);
        return a === null || b === null ? (a === null) - (b === null) : sign * order(a, b); });
      body.append(...rows);
    });
  }
  document.querySelector(`input[data-table="${table.id}"]`)?.addEventListener("input", event => {
    const part = event.target.value.toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(part);
  });
}
// Drawings: one that is clicked fills the window; wheel, plus and minus zoom, dragging and arrows move, Escape closes.
const stage = document.getElementById("stage");
if (stage) {
  const image = stage.appendChild(document.createElement("img")), view = { x: 0, y: 0, scale: 1 };
  const show = () => { image.style.setProperty("--x", `${view.x}px`); image.style.setProperty("--y", `${view.y}px`);
    image.style.setProperty("--scale", view.scale); };
  const zoom = (factor, x = 0, y = 0) => { const scale = Math.min(20, Math.max(.5, view.scale * factor)), by = scale / view.scale;
    view.x = x - (x - view.x) * by; view.y = y - (y - view.y) * by; view.scale = scale; show(); };
  for (const button of document.querySelectorAll("button.zoom")) button.addEventListener("click", () => {
    const shown = button.querySelector("img");
    image.src = shown.src; image.alt = shown.alt; Object.assign(view, { x: 0, y: 0, scale: 1 }); show(); stage.showModal(); });
  stage.addEventListener("wheel", event => { event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - innerWidth / 2, event.clientY - innerHeight / 2); }, { passive: false });
  image.addEventListener("pointerdown", event => { image.setPointerCapture(event.pointerId); event.preventDefault(); });
  image.addEventListener("pointermove", event => { if (image.hasPointerCapture(event.pointerId)) {
    view.x += event.movementX; view.y += event.movementY; show(); } });
  stage.addEventListener("keydown", event => {
    const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    if (moves) { view.x += moves[0]; view.y += moves[1]; show(); event.preventDefault(); }
    else if (event.key === "+") zoom(1.25); else if (event.key === "-") zoom(.8);
    else if (event.key === "0") { Object.assign(view, { x: 0, y: 0, scale: 1 }); show(); } });
  stage.addEventListener("click", event => { if (event.target !== image) stage.close(); });
}
