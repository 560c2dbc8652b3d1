// The list of events.

import { say } from "/page/alert.js";
import { detail } from "/page/detail.js";
import { isQuiet, words } from "/page/event_words.js";
import { $, ask, make, path } from "/page/page.js";

let listed = [];   // events as shown, newest first
let heard = null;  // events from the stream while the list is being requested

function row(event) {
  const [title, when, verdict] = words(event);
  const image = event.snapshot ? make("img", { src: path("api", "events", event.id, "thumbnail.jpg"), alt: "", loading: "lazy" }) : make("span", { class: "faint" }, "no image");
  return make("li", { "data-id": event.id }, make("button", { class: isQuiet(event) ? "event quiet" : "event", type: "button", onclick: () => detail(event.id) },
    image, make("span", { class: "words" }, make("strong", {}, title), make("span", {}, when), make("span", { class: "faint" }, verdict))));
}

export async function list(older = false) {
  if (older && heard) return;
  const told = heard = [];
  const before = older && listed.length ? `&before=${listed[listed.length - 1].start_time}` : "";
  const camera = $("events-camera").value;
  try {
    const found = await ask(`/api/events?limit=25${before}${camera ? `&camera=${encodeURIComponent(camera)}` : ""}`);
    if (told !== heard) return;  // a newer request is under way
    listed = older ? listed.concat(found) : found;
    told.forEach(enter);  // the answer may be older than these
    $("older").hidden = found.length < 25;
    $("event-list").replaceChildren(...listed.map(row));
    if (!listed.length) $("event-list").append(make("li", { class: "faint" }, "No events yet."));
  } catch (error) { if (told === heard) say(error.message); } finally { if (told === heard) heard = null; }
}

export function listCamera(name) {
  $("events-camera").value = name;
  list();
  $("events").scrollIntoView();
  $("events").focus({ preventScroll: true });
}

// Puts an event into the list: a "known" one is updated, a "fresh" one comes first; null: it does not belong there.
function enter(event) {
  const at = listed.findIndex(known => known.id === event.id), camera = $("events-camera").value;
  if (at >= 0) {
    listed[at] = { ...listed[at], ...event };
    return "known";
  }
  if (event.type !== "new" || (camera && camera !== event.camera)) return null;
  listed.unshift({ ...event, verdict: null });
  return "fresh";
}

export function takeEvent(event) {
  heard?.push(event);
  const entered = enter(event);
  if (entered === "fresh") {
    if (listed.length === 1) $("event-list").replaceChildren();
    $("event-list").prepend(row(listed[0]));
  } else if (entered === "known") {
    refreshRow(listed.find(known => known.id === event.id));
    if ($("detail").open && $("detail").dataset.id === event.id && event.type !== "update") detail(event.id, true);
  }
}

// Draws a row again; its place in the list and the keyboard focus stay.
function refreshRow(event) {
  const old = document.querySelector(`[data-id="${CSS.escape(event.id)}"]`);
  if (!old) return;
  const focused = old.contains(document.activeElement), fresh = row(event);
  old.replaceWith(fresh);
  if (focused) fresh.firstElementChild.focus();
}

document.addEventListener("verdict", ({ detail: { id, verdict } }) => {
  const known = listed.find(event => event.id === id);
  if (known) { known.verdict = verdict; refreshRow(known); }
});
$("events-camera").addEventListener("change", () => list());
$("older").addEventListener("click", () => list(true));
