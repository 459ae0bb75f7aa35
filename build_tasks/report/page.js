"use strict";
const form = document.querySelector(".tools");
const list = document.querySelector(".builds");
const builds = [...list.children];
const tip = document.getElementById("tip");
const clear = form.querySelector("[type=reset]");
const several = ["kind", "python", "platform", "outcome"];
const orders = {
  began: (a, b) => a.dataset.began - b.dataset.began,
  took: (a, b) => b.dataset.took - a.dataset.took,
  name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, "en", { numeric: true }),
};

// What is chosen stands in the address, so that a view can be sent to somebody.
function chosen() {
  const given = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    const plain = (name === "align" && value === "clock") || (name === "sort" && value === "began");
    if (value && !plain) given.append(name, value);
  }
  return given;
}

function show() {
  const given = chosen();
  const text = (given.get("q") || "").trim().toLowerCase();
  let shown = 0;
  for (const build of builds) {
    const fits = several.every((name) => {
      const wanted = given.getAll(name);
      return !wanted.length || wanted.some((one) => build.dataset[name].split(" ").includes(one));
    });
    build.hidden = !fits || !build.dataset.name.toLowerCase().includes(text);
    shown += !build.hidden;
  }
  list.append(...[...builds].sort(orders[form.elements.sort.value]));
  document.body.dataset.align = form.elements.align.value;
  document.querySelector(".none").hidden = shown > 0;
  form.querySelector(".count").value = `${shown} of ${builds.length}`;
  clear.hidden = !given.size;
  history.replaceState(null, "", given.size ? `#${given}` : location.pathname + location.search);
}

function restore() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    for (const field of form.querySelectorAll(`[name]`)) {
      if (field.name !== name) continue;
      if (field.type === "checkbox" || field.type === "radio") {
        if (field.value === value) field.checked = true;
      } else if (field.tagName !== "SELECT" || value in orders) field.value = value;
    }
  }
}

function told(node) {
  return node.getAttribute("aria-label") || node.dataset.tip;
}

let pointed = null;

function point(node) {
  pointed = node;
  const text = node && told(node);
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const at = node.getBoundingClientRect();
  const lane = node.parentElement.getBoundingClientRect();
  const middle = Math.max(at.left, lane.left) + Math.min(at.width, lane.width) / 2;
  const left = Math.min(Math.max(8, middle - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = at.top - tip.offsetHeight - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above < 8 ? at.bottom + 8 : above}px`;
}

const marked = (event) => event.target.closest?.(".mark, .cells i");
list.addEventListener("pointerover", (event) => point(marked(event)));
list.addEventListener("pointerleave", () => point(null));
list.addEventListener("focusin", (event) => {
  const mark = marked(event);
  point(mark);
  if (mark) remember(mark);
});
list.addEventListener("focusout", () => point(null));
addEventListener("scroll", () => point(pointed), { passive: true });

// One stop of the Tab key for each timeline; the arrow keys go on from there.
function remember(mark) {
  for (const other of mark.parentElement.children) other.tabIndex = other === mark ? 0 : -1;
}
for (const lane of list.querySelectorAll(".lane")) {
  const ends = (mark) => Number(mark.style.getPropertyValue("--w"));
  const longest = [...lane.children].reduce((a, b) => (a && ends(a) >= ends(b) ? a : b), null);
  if (longest) remember(longest);
}
list.addEventListener("keydown", (event) => {
  const mark = event.target.closest(".mark");
  if (event.key === "Escape") point(null);
  if (!mark) return;
  const along = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
  const down = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  let next = along && mark[along];
  if (down) {
    const visible = [...list.children].filter((build) => !build.hidden);
    const build = visible[visible.indexOf(mark.closest(".build")) + down];
    next = build?.querySelector(".mark[tabindex='0']");
  }
  if (along || down) event.preventDefault();
  next?.focus();
});
list.addEventListener("click", (event) => {
  const line = event.target.closest(".line");
  if (!line) return;
  const name = line.querySelector(".name");
  const details = document.getElementById(name.getAttribute("aria-controls"));
  details.hidden = !details.hidden;
  name.setAttribute("aria-expanded", String(!details.hidden));
});

form.hidden = false;
restore();
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", show);
form.addEventListener("reset", () => setTimeout(show));
show();
