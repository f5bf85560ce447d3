// For those who listen: one sentence now and then, whatever goes on.

import { $, put } from "./elements.js";
import { nameOf } from "./timeline.js";
import { story } from "./texts.js";

const SAY_EVERY_MS = 4000;

let unsaid = [];
let sayTimer = null;

export function say(found) {
  unsaid.push(...found.filter((e) => ["moved", "bound", "removed", "expired"].includes(e.kind)));
  if (!unsaid.length || sayTimer) return;
  sayTimer = setTimeout(() => {
    put($("said"), unsaid.length > 3
      ? `${unsaid.length} changes of nodes`
      : unsaid.map((e) => `${nameOf(e.home_address)} ${story(e)[0]}`).join("; "));
    unsaid = [];
    sayTimer = setTimeout(() => { sayTimer = null; say([]); }, SAY_EVERY_MS);
  }, 500);
}
