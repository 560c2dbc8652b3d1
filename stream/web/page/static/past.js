// All events, with filters. The address of the view holds the filters: #past?camera=door&verdict=none.

import { EventList } from "/page/event_list.js";
import { isAlarm, kindOf } from "/page/event_words.js";
import { $, make, midnight } from "/page/page.js";
import { onView, open, view } from "/page/views.js";
import { t } from "/page/words.js";

const filters = ["camera", "kind", "severity", "verdict", "day"];
const field = name => $(`events-${name}`);
const chosen = () => Object.fromEntries(filters.map(name => [name, field(name).value]).filter(([, value]) => value));

function query() {
  const { day, ...rest } = chosen();
  return day ? { ...rest, since: midnight(day), before: nextMidnight(day) } : rest;
}

function nextMidnight(day) {
  return midnight(new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10));
}

function belongs(event) {
  const { since = 0, before = Infinity, camera, kind, severity, verdict } = query();
  return event.start_time >= since && event.start_time < before && (!camera || event.camera === camera) &&
    (!kind || kindOf(event) === kind) && (!severity || (event.severity ?? "alarm") === severity) && (!verdict || (event.verdict ?? "none") === verdict);
}

const list = new EventList($("event-list"), { query, belongs, empty: "no_events", shown: learnKinds });
list.shown = events => { learnKinds(events); $("older").hidden = !events.more; };

// The kinds that can be chosen are those that were ever seen.
function learnKinds({ events }) {
  const known = new Set([...field("kind").options].map(option => option.value));
  for (const kind of new Set(events.map(kindOf))) if (!known.has(kind)) field("kind").append(make("option", { value: kind }, t(kind)));
}

export function listPast() { if (view() === "past") list.list(); }
export const takePast = event => list.take(event);

onView("past", parameters => {
  for (const name of filters) {
    const value = parameters.get(name) ?? "", known = field(name);
    if (value && known.options && ![...known.options].some(option => option.value === value)) known.append(make("option", { value }, t(value)));
    known.value = value;
  }
  list.list();
});
for (const name of filters) field(name).addEventListener("change", () => open("past", chosen()));
$("events-clear").addEventListener("click", () => open("past"));
$("older").addEventListener("click", () => list.list(true));
new IntersectionObserver(([older]) => { if (older.isIntersecting && list.more) list.list(true); }, { rootMargin: "600px" }).observe($("older"));
