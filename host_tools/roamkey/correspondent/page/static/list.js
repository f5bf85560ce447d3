// The list of nodes: those first that want somebody's help, filtered, a page of it at a time. So
// the browser's work is that of a page, however many nodes there are and whatever they do.

import { $, again, draw, make, put } from "./elements.js";
import {
  called, colour, correspondents, fleet, ident, isLow, now, problems, seen, share, silence, stateOf,
} from "./fleet.js";
import { STATES, WAYS, ago, count } from "./texts.js";

const ROWS = 25;
const ROWS_PHONE = 12;
const SHOWN = {
  all: () => true,
  problems: (one) => one.problems.length > 0,
  bound: (one) => one.state === "bound",
  quiet: (one) => one.state === "quiet",
  never: (one) => one.state === "never",
  removed: (one) => one.state === "removed",
};
const HEALTHY = { never: 10, removed: 12, bound: 12 }; // behind all problems

export const phone = matchMedia("(max-width: 44rem)");
const rows = new Map(); // ident -> row, of the nodes on this page
export const view = { find: "", state: "all", way: "", page: 0, chosen: null };

let choose = () => {};

export function start(whenChosen) {
  choose = whenChosen;
  phone.addEventListener("change", render);
  $("page-back").addEventListener("click", () => turn(-1));
  $("page-on").addEventListener("click", () => turn(1));
  $("nodes").tBodies[0].addEventListener("keydown", walk);
}

function turn(by) {
  view.page += by;
  render();
  const edge = by < 0 ? $("page-back") : $("page-on");
  if (edge.disabled) $("nodes").focus({ preventScroll: true });
  $("nodes").closest("section").scrollIntoView({ block: "nearest" });
}

// Arrow keys go from node to node; Tab does, too.
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const row = event.target.closest("tr");
  if (!step || !row) return;
  const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
  if (!next) return;
  event.preventDefault();
  next.querySelector("button").focus();
}

const compare = new Intl.Collator("en", { numeric: true }).compare;

function looked() {
  return [...fleet.nodes.values()].map((node) => {
    const state = stateOf(node);
    const found = problems(node);
    return { node, state, problems: found, rank: found.length ? found[0][0] : HEALTHY[state], name: called(node) };
  });
}

function isFound(one, wanted) {
  const { node } = one;
  const texts = [
    node.name, node.board, node.home_address, node.care_of_address, node.endpoint, node.state,
    STATES[one.state], ...one.problems.map((problem) => problem[1]),
  ];
  return texts.some((text) => text && text.toLowerCase().includes(wanted));
}

// Show what holds now.
export function render() {
  const all = looked();
  const wanted = view.find.toLowerCase();
  const some = all.filter((one) =>
    (!wanted || isFound(one, wanted)) && (!view.way || (one.node.care_of_address && one.node.way === view.way)));
  for (const button of $("states").children) {
    const state = button.dataset.state;
    put(button.lastElementChild, count(some.filter(SHOWN[state]).length));
    button.setAttribute("aria-pressed", String(state === view.state));
  }
  const troubled = all.filter(SHOWN.problems).length;
  put($("total-problems"), count(troubled));
  $("total-problems").toggleAttribute("data-some", troubled > 0);
  const found = some.filter(SHOWN[view.state])
    .sort((a, b) => a.rank - b.rank || compare(a.name, b.name) || (a.node.home_address < b.node.home_address ? -1 : 1));
  const size = phone.matches ? ROWS_PHONE : ROWS;
  const pages = Math.max(1, Math.ceil(found.length / size));
  view.page = Math.max(0, Math.min(view.page, pages - 1));
  const first = view.page * size;
  showRows(found.slice(first, first + size));
  $("pages").hidden = pages < 2;
  put($("page-now"), `${count(first + 1)} to ${count(Math.min(found.length, first + size))} of ${count(found.length)}`);
  $("page-back").disabled = view.page === 0;
  $("page-on").disabled = view.page === pages - 1;
  return found.length;
}

function showRows(page) {
  const body = $("nodes").tBodies[0];
  const focused = document.activeElement;
  const kept = new Set(page.map((one) => ident(one.node)));
  for (const [key, row] of rows) {
    if (kept.has(key)) continue;
    row.remove();
    rows.delete(key);
  }
  page.forEach((one, place) => {
    const key = ident(one.node);
    let row = rows.get(key);
    if (!row) rows.set(key, row = makeRow(one.node));
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] || null);
    showRow(row, one);
  });
  if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
}

function makeRow(node) {
  const bar = draw("svg", { "aria-hidden": "true" }, draw("rect", { height: "100%" }));
  const row = make(
    "tr", { role: "row" },
    make("td", { role: "cell" }, make("button", { type: "button", class: "who" }, make("b"), make("span", { class: "address" }))),
    make("td", { role: "cell" }, make("span", { class: "state" }), make("span", { class: "trouble" })),
    make("td", { role: "cell" }),
    make("td", { role: "cell", class: "way" }),
    make("td", { role: "cell", class: "number" }),
    make("td", { role: "cell", class: "number" }, make("span", { class: "uses" }, make("span"), bar)),
  );
  row.addEventListener("click", () => choose(node.home_address, row.querySelector("button")));
  return row;
}

function showRow(row, { node, state, problems: found, name }) {
  const [who, how, where, way, last, uses] = row.children;
  const button = who.firstChild;
  put(button.children[0], name);
  const several = correspondents().length > 1;
  put(button.children[1], (name === node.home_address ? "" : node.home_address) + (several ? ` → ${node.correspondent}` : ""));
  button.setAttribute("aria-pressed", String(node.home_address === view.chosen));
  row.classList.toggle("chosen", node.home_address === view.chosen);

  const stale = silence(node.correspondent) !== null;
  row.toggleAttribute("data-stale", stale);
  how.firstChild.dataset.state = state;
  put(how.firstChild, (stale && state !== "never" ? "was " : "") + STATES[state]);
  put(how.lastChild, found.map((problem) => problem[1]).join("; "));
  how.lastChild.dataset.rank = found.length ? found[0][0] : "";

  const prefix = node.network || "";
  if (prefix !== where.textContent) {
    where.replaceChildren();
    if (prefix) {
      const text = make("span", { class: "network" }, prefix);
      text.style.setProperty("--colour", colour(prefix));
      where.append(text);
    }
  }
  put(way, node.care_of_address ? WAYS[node.way] || "" : "");
  put(last, seen(node) ? ago(now() - seen(node)) : "");
  put(uses.firstChild.firstChild, count(node.uses_left));
  uses.querySelector("rect").setAttribute("width", `${Math.max(2, 100 * share(node))}%`);
  uses.firstChild.toggleAttribute("data-low", isLow(node));

  const held = `${node.state} ${node.care_of_address} ${node.endpoint}`;
  if (row.held !== undefined && row.held !== held) again(row, "fresh");
  row.held = held;
}
