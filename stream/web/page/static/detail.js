// The dialog of one event: image, clip, verdict, score curve and film strip.

import { act, say, placeAlert } from "/page/alert.js";
import { drawHeat, drawScores } from "/page/charts.js";
import { verdicts, words } from "/page/event_words.js";
import { $, ask, make, now, path, time } from "/page/page.js";
import { called, t } from "/page/words.js";

// `again`: draw the dialog again if it still shows this event
export async function detail(id, again = false) {
  let event;
  try { event = await ask(path("api", "events", id)); } catch (error) { say(error.message); return; }
  if (again && !($("detail").open && $("detail").dataset.id === id)) return;  // closed meanwhile, or another event's
  const dialog = $("detail"), [title, when, notes] = words(event), alarm = event.label === "anomaly";
  const from = event.start_time - 30, to = (event.end_time ?? now()) + 30;
  const curve = make("canvas", { class: "curve", role: "img", "aria-label": t("score_around") });
  const shown = dialog.open && dialog.dataset.id === id && event.clip ? dialog.querySelector("video") : null;
  const video = shown?.error ? null : shown, watched = video !== null && video === document.activeElement;  // it may be playing
  const media = make("div", { class: "media" },
    event.snapshot ? picture(event) : null,
    event.clip ? video ?? make("video", { src: event.clip, controls: true, preload: "metadata" }) : make("p", { class: "faint" }, t(event.label === "anomaly" ? "clip_missing" : "no_clip")));
  const buttons = verdicts.map(verdict => make("button", { type: "button", "data-verdict": verdict,
    "aria-pressed": String(event.verdict === verdict), class: event.verdict === verdict ? "chosen" : "", onclick: () => judge(id, verdict) }, t(verdict)));
  const at = dialog.open && dialog.dataset.id === id ? document.activeElement?.dataset.verdict : undefined;
  $("detail-body").replaceChildren(...[
    make("div", { class: "head" }, make("h2", { id: "detail-title" }, title),
      make("button", { type: "button", onclick: () => dialog.close() }, t("close"))),
    make("p", {}, when), answer(event), event.suppressed ? make("p", { class: "faint" }, notes) : null, media,
    outlined(event) ? make("p", { class: "faint" }, t("outlined")) : null, ...(alarm ? [
      event.test ? make("p", {}, t("test_no_verdict")) : make("div", { class: "bar operators", role: "group", "aria-label": t("verdict") }, make("span", {}, t("was_it_right")), ...buttons),
      make("h3", {}, t("score")), curve,
      make("p", { class: "faint" }, t("curve_legend", { from: time(from), to: time(to) })), ...(event.test ? [] : film(event))] : []),
    make("details", { class: "faint" }, make("summary", {}, t("technical")), t("scored_by", { id: event.id, ...event.model })),
  ].filter(part => part));
  dialog.dataset.id = id;
  if (!dialog.open) { dialog.showModal(); placeAlert(); }
  if (watched) video.focus();
  if (at) dialog.querySelector(`[data-verdict="${at}"]`)?.focus();
  const strip = dialog.querySelector(".strip"), heavy = strip?.querySelector(".top");  // on a phone it scrolls
  if (heavy) strip.scrollLeft = heavy.offsetLeft - strip.clientWidth / 2;
  drawScores(curve, event.curve, { from, to, threshold: event.threshold_on, gap: Math.max(5, (to - from) / 300),
    marks: [[event.start_time, event.end_time ?? to]] });
}

// The image, and over it, on demand, where in the image the alarm came from.
function picture(event) {
  const image = make("img", { src: event.snapshot, alt: t("alarm_image") });
  if (!event.heat) return image;
  const map = make("canvas", { class: "heat", role: "img", "aria-label": t("heat_map") });
  map.hidden = true;
  const button = make("button", { type: "button", class: "show-heat", "aria-pressed": "false", onclick: async () => {
    if (!map.style.width) {
      try { drawHeat(map, await ask(event.heat)); } catch (error) { say(error.message); return; }
    }
    map.hidden = !map.hidden;
    button.setAttribute("aria-pressed", String(!map.hidden));
  } }, t("where"));
  return make("div", {}, make("div", { class: "shot" }, image, map), button);
}

// The program drew the region onto the image where it is not all of it.
const outlined = event => event.snapshot && event.focus_region && event.focus_region.slice(2).some(share => share < 1);

function film(event) {
  if (!event.clips.length) return [make("p", { class: "faint" }, t("strip_missing"))];
  const columns = event.strip_columns, rows = Math.ceil(event.clips.length / columns);
  const heaviest = Math.max(...event.clips.map(clip => clip.weight), 1e-9);
  const top = new Set(event.top_clips.map(clip => clip.start.toFixed(2)));
  const frames = event.clips.map((clip, i) => {
    const frame = make("div", { class: "frame", role: "img", "aria-label": t("strip_clip", { seconds: (clip.start - event.start_time).toFixed(1), weight: clip.weight.toFixed(2) }) });
    frame.style.backgroundImage = `url("${path("api", "events", event.id, "strip.jpg")}")`;
    frame.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
    frame.style.backgroundPosition = `${columns > 1 ? i % columns / (columns - 1) * 100 : 0}% ${rows > 1 ? Math.floor(i / columns) / (rows - 1) * 100 : 0}%`;
    const bar = make("i");
    bar.style.width = `${clip.weight / heaviest * 100}%`;
    return make("li", { class: top.has(clip.start.toFixed(2)) ? "top" : "" }, frame, make("div", { class: "weight" }, bar),
      `${(clip.start - event.start_time).toFixed(1)} s · ${(clip.weight * 100).toFixed(0)} %`);
  });
  return [make("h3", {}, t("strip_title")), make("ol", { class: "strip", tabindex: 0, "aria-label": t("strip") }, ...frames)];
}

// Who has acknowledged the event, or the button for it.
function answer(event) {
  if (event.acknowledged) return make("p", { id: "answered" }, t("acknowledged_by", { by: called("who", event.acknowledged.by), time: time(event.acknowledged.time) }));
  return make("p", { class: "operators" }, make("button", { type: "button", id: "acknowledge", "aria-keyshortcuts": "a", onclick: () => acknowledge(event.id) }, t("acknowledge_key")));
}

export const acknowledge = id => act(path("api", "events", id, "ack"), {}, t("acknowledged"));

export async function judge(id, verdict) {
  if (!await act(path("api", "events", id, "verdict"), { verdict }, t("judged", { verdict: t(verdict) }))) return;
  document.dispatchEvent(new CustomEvent("verdict", { detail: { id, verdict } }));  // the list shows it
  if ($("detail").dataset.id !== id) return;
  for (const button of $("detail").querySelectorAll("[data-verdict]")) {
    button.classList.toggle("chosen", button.dataset.verdict === verdict);
    button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
  }
}

$("detail").addEventListener("close", () => {
  $("detail-body").replaceChildren();  // stops a playing clip
  placeAlert();
  if (location.hash.startsWith("#event/")) history.replaceState(null, "", "#alarms");
  document.querySelector(`section:not([hidden]) [data-id="${CSS.escape($("detail").dataset.id)}"] button`)?.focus({ preventScroll: true });
});
