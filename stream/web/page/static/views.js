// The views, each with an address of its own: #alarms, #cameras, #past?camera=door, #tuning, #health, #event/ID.

import { $ } from "/page/page.js";

const names = ["alarms", "cameras", "past", "tuning", "health"];
const entered = new Map();  // view -> called with its parameters whenever it is opened

export function onView(name, call) { entered.set(name, call); }
export const view = () => names.find(name => !$(name).hidden);

export function open(name, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value)).toString();
  location.hash = query ? `${name}?${query}` : name;
}

function follow(focuses) {
  const [where, query] = location.hash.slice(1).split("?");
  const [named, id] = where.split("/"), name = names.includes(named) ? named : "alarms";
  for (const each of names) $(each).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${name}`) { link.setAttribute("aria-current", "page"); link.scrollIntoView({ block: "nearest", inline: "nearest" }); } else link.removeAttribute("aria-current");
  }
  entered.get(name)?.(new URLSearchParams(query));
  if (named === "event" && id) entered.get("event")?.(decodeURIComponent(id));
  if (focuses) { scrollTo(0, 0); $(name).focus({ preventScroll: true }); }
}

// Call once everything has said which views it follows.
export function startViews() {
  addEventListener("hashchange", () => follow(true));
  follow(false);
}
