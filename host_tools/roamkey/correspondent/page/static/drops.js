// What was dropped and refused, the most frequent first: some of it, or all.

import { $, make, prose, put } from "./elements.js";
import { phone } from "./list.js";
import { count } from "./texts.js";

const SHOWN = 3;
const SHOWN_PHONE = 1;
const RISING_MS = 60_000;

let drops = [];
let isFirst = true;
let isWhole = false;
const risen = new Map(); // reason -> {count, at}

export function takeDrops(found) {
  for (const row of found) {
    const key = `${row.outcome} ${row.reason}`;
    const before = risen.get(key);
    if (!before) risen.set(key, { count: row.count, at: isFirst ? 0 : Date.now() });
    else if (row.count !== before.count) risen.set(key, { count: row.count, at: Date.now() });
  }
  if (!isFirst) setTimeout(showDrops, RISING_MS + 1000); // then nothing rises any more
  drops = found;
  isFirst = false;
  showDrops();
}

function showDrops() {
  const most = phone.matches ? SHOWN_PHONE : SHOWN;
  const shown = isWhole ? drops : drops.slice(0, most);
  $("drops").tBodies[0].replaceChildren(...shown.map((row) => {
    const { at } = risen.get(`${row.outcome} ${row.reason}`);
    const what = make("td", { role: "cell", class: "reason" }, row.reason, make("span", { class: "outcome" }, ` ${row.outcome}`));
    if (at && Date.now() - at < RISING_MS) what.append(" ", make("span", { class: "rising" }, "rising"));
    return make(
      "tr", { role: "row" }, make("td", { role: "cell", class: "number" }, count(row.count)), what,
      make("td", { role: "cell" }, ...prose(row.advice)),
    );
  }));
  $("dropped").hidden = !drops.length;
  $("drops-more").hidden = drops.length <= most;
  $("drops-more").setAttribute("aria-expanded", String(isWhole));
  put($("drops-more"), isWhole ? "Show fewer" : `Show all ${drops.length}`);
  put($("total-dropped"), count(drops.reduce((sum, row) => sum + row.count, 0)));
}

phone.addEventListener("change", showDrops);
$("drops-more").addEventListener("click", () => { isWhole = !isWhole; showDrops(); });
