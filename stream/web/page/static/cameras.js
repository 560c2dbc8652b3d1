// The cards of the cameras: picture, state, scores of the last two minutes, peaks of the last day.

import { act, say } from "/page/alert.js";
import { drawDay, drawScores } from "/page/charts.js";
import { draw } from "/page/draw.js";
import { $, ask, make, now, number, path, time, write } from "/page/page.js";
import { onView, open } from "/page/views.js";
import { called, t } from "/page/words.js";

const LINE_SECONDS = 120, PICTURE_EVERY = 2000, DAY_EVERY = 60000, SNOOZE_MINUTES = 60, AT_ONCE = 8;
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
export const cameras = new Map();  // name -> {card parts, points, state}
const inSight = new Set();         // cameras whose cards are on the screen
let watched = null;                // the camera that is watched live
const toDraw = new Set();          // cameras whose line is drawn with the next frame

const sight = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const camera = cameras.get(target.getAttribute("aria-label"));
    if (!camera) continue;
    if (!isIntersecting) { inSight.delete(camera); if (camera === watched) watch(null); continue; }
    inSight.add(camera);
    drawSoon(camera);
    if (!camera.pictured) refreshPicture(camera);
    if (camera.peaks === undefined) refreshDay(camera); else drawDayOf(camera);
  }
}, { rootMargin: "200px" });

// Outlines the part of the image that was scored last; the SVG has the proportions of the image below it.
function outline() {
  const [svg, part] = ["svg", "rect"].map(tag => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("aria-hidden", "true");
  svg.append(part);
  return svg;
}

function outlineFocus({ focus, image }, [x, y, width, height]) {
  const w = image.naturalWidth, h = image.naturalHeight, whole = width * height > 0.99;
  focus.setAttribute("viewBox", `0 0 ${w} ${h}`);
  for (const [key, value] of Object.entries({ x: x * w, y: y * h, width: whole ? 0 : width * w, height: height * h })) focus.firstChild.setAttribute(key, value);
}

function card(name) {
  const parts = {
    badge: make("span", { class: "badge" }), score: make("span", { class: "faint" }),
    image: make("img", { src: NOTHING, alt: t("picture_of", { name }) }), focus: outline(),
    learning: make("p", { class: "faint learning", hidden: true }),
    line: make("canvas", { class: "line", role: "img", "aria-label": t("line_of", { name }) }),
    day: make("canvas", { class: "day" }),
    problem: make("p", { class: "problem", hidden: true }),
    enabled: make("button", { type: "button" }),
    snooze: make("button", { type: "button", class: "snooze" }),
    live: make("button", { type: "button", class: "live", "aria-pressed": "false", onclick: () => watch(watched?.name === name ? null : cameras.get(name)) }, t("live")),
    snoozed: make("p", { class: "snoozed", hidden: true }),
  };
  const test = make("button", { type: "button", title: t("send_test_title"),
    onclick: () => act(path("api", "cameras", name, "test"), {},
      t(cameras.get(name).state.status === "disabled" ? "test_sent_disabled" : "test_sent", { name })) }, t("send_test"));
  const drawing = make("button", { type: "button", title: t("draw_title"), onclick: () => draw(name) }, t("draw"));
  const past = make("button", { type: "button", class: "past", "aria-label": t("day_of", { name }),
    onclick: () => open("past", { camera: name }) }, parts.day);
  const root = make("article", { class: "card", "aria-label": name },
    make("div", {}, make("strong", {}, name), parts.badge), make("div", { class: "sight" }, parts.image, parts.focus), parts.snoozed, parts.problem, parts.learning,
    make("div", {}, make("span", { class: "faint" }, t("two_minutes")), parts.score), parts.line,
    make("span", { class: "faint" }, t("day_legend")), past, parts.live, make("div", { class: "operators" }, parts.enabled, parts.snooze, drawing, test));
  const camera = { ...parts, name, root, points: [], state: {}, peaks: undefined, pictured: false };
  const seen = what => camera.state.changes?.[what]?.at ?? 0;
  parts.enabled.addEventListener("click", () => {
    const enabled = camera.state.status === "disabled";
    act(path("api", "cameras", name, "enabled"), { enabled, seen: seen("enabled") }, t(enabled ? "is_enabled" : "is_disabled", { name }));
  });
  parts.snooze.addEventListener("click", () => {
    const minutes = camera.state.snoozed_until ? 0 : SNOOZE_MINUTES;
    act(path("api", "cameras", name, "snooze"), { minutes, seen: seen("snooze") }, t(minutes ? "snoozed" : "unsnoozed", { name }));
  });
  for (const id of ["events-camera", "what-camera", "budget-camera"])
    if (![...$(id).options].some(option => option.value === name)) $(id).append(make("option", {}, name));
  return camera;
}

function forget(name) {
  const camera = cameras.get(name);
  if (camera === watched) watch(null);
  sight.unobserve(camera.root);
  inSight.delete(camera);
  camera.root.remove();
  cameras.delete(name);
  for (const option of document.querySelectorAll("select[id$=-camera] option")) if (option.value === name) option.remove();
}

export function showCameras(state) {
  for (const name of [...cameras.keys()]) if (!(name in state.cameras)) forget(name);
  const fresh = Object.keys(state.cameras).filter(name => !cameras.has(name));
  for (const name of fresh) cameras.set(name, card(name));
  $("cards").append(...fresh.map(name => cameras.get(name).root));
  for (const [name, told] of Object.entries(state.cameras)) showState(cameras.get(name), told);
  for (const name of fresh) {
    const camera = cameras.get(name);
    if (camera.state.window) showScore(camera, camera.state);
    refreshLine(camera);
    sight.observe(camera.root);
  }
  $("no-cameras").hidden = cameras.size > 0;
}

function showState(camera, told) {
  camera.state = told;
  write(camera.badge, t(told.alarm ? "ALARM" : told.status));
  camera.badge.className = "badge" + (told.alarm || told.status === "offline" ? " bad" : told.status === "online" ? "" : " warn");
  camera.root.classList.toggle("alarm", Boolean(told.alarm));
  const away = ["offline", "disabled"].includes(told.status);
  camera.root.classList.toggle("away", away);
  if (away && camera === watched) { watch(null); say(t("no_live", { name: camera.name })); }  // its last image is not live
  write(camera.problem, [whyDisabled(told), told.problem && called("problem", told.problem), told.misfit && t("misfit", { why: told.misfit }),
    told.scheduled === false && t("off_schedule")].filter(Boolean).join(". "));
  camera.problem.hidden = !camera.problem.textContent;
  write(camera.enabled, t(told.status === "disabled" ? "enable" : "disable"));
  write(camera.snooze, t(told.snoozed_until ? "end_snooze" : "snooze"));
  write(camera.snoozed, told.snoozed_until ? t("snoozed_until", { time: time(told.snoozed_until) }) : "");
  camera.snoozed.hidden = !told.snoozed_until;
  showLearning(camera);
  drawSoon(camera);
}

function whyDisabled({ status, changes, disabled_by_mode: byMode }) {
  if (status !== "disabled") return "";
  const last = changes?.enabled;
  if (last?.value === "off") return t("disabled_by", { who: called("who", last.who || last.via), time: time(last.at) });
  return t(byMode ? "disabled_by_mode" : "disabled_in_file");
}

// The highest score of the last day, null before the first.
export function topScore({ peaks, points }) {
  const found = [...(peaks?.peaks ?? []), ...points.map(([, score]) => score)].filter(score => score !== null);
  return found.length ? Math.max(...found) : null;
}

export const isLearning = ({ state }) => state.calibration?.mode === "auto" && state.calibration.state === "learning";

function showLearning(camera) {
  const top = topScore(camera), { threshold } = camera.state;
  camera.learning.hidden = !isLearning(camera) || top === null || camera.state.status === "disabled";
  if (!camera.learning.hidden) write(camera.learning, t("learning", { top: number(top), threshold: number(threshold) }));
}

function drawSoon(camera) {
  if (document.hidden || !inSight.has(camera)) return;
  if (!toDraw.size) requestAnimationFrame(() => { const due = [...toDraw]; toDraw.clear(); due.forEach(drawLine); });
  toDraw.add(camera);
}

// Ends at the present time, so that the line of a silent camera moves on.
function drawLine(camera) {
  drawScores(camera.line, camera.points, { from: now() - LINE_SECONDS, to: now(), threshold: camera.state.threshold });
}

export async function refreshLine(camera) {
  try {
    const stored = await ask(path("api", "cameras", camera.name, "line"));
    const last = stored.length ? stored[stored.length - 1][0] : 0;
    camera.points = stored.filter(([at]) => at > now() - LINE_SECONDS).concat(camera.points.filter(([at]) => at > last));
    drawSoon(camera);
  } catch { /* new scores fill it */ }
}

function showScore(camera, { score, threshold }) {
  camera.score.textContent = t("score_now", { score: number(score), threshold: number(threshold) });
}

export function takeScore(told) {
  const camera = cameras.get(told.camera);
  if (!camera) return;
  camera.points.push([told.time, told.score]);
  while (camera.points.length && camera.points[0][0] < told.time - LINE_SECONDS) camera.points.shift();
  camera.state.threshold = told.threshold;
  showScore(camera, told);
  if (told.focus) outlineFocus(camera, told.focus);
  drawSoon(camera);
}

// One camera is watched live at a time, and only while it is on the screen: each costs the service an open connection.
function watch(camera) {
  const before = watched;
  watched = camera;
  if (before) {
    before.live.setAttribute("aria-pressed", "false");
    before.image.src = NOTHING;  // closes the connection
    refreshPicture(before);
  }
  if (!camera) return;
  camera.live.setAttribute("aria-pressed", "true");
  const image = new Image();
  image.alt = camera.image.alt;
  image.onerror = () => { if (watched === camera) { watch(null); say(t("no_live", { name: camera.name })); } };
  image.src = path("api", "cameras", camera.name, "live.mjpeg");
  camera.image.replaceWith(image);
  camera.image = image;
}

function refreshPicture(camera) {
  if (document.hidden || camera === watched || (camera.pictured && camera.state.status === "offline")) return;
  const next = new Image();
  next.alt = camera.image.alt;
  next.onload = () => { if (camera === watched) return; camera.pictured = true; camera.image.replaceWith(next); camera.image = next; };
  next.src = path("api", "cameras", camera.name, "picture.jpg") + `?${Date.now()}`;
}

async function refreshDay(camera) {
  if (camera.asking) return;
  camera.asking = true;
  try {
    camera.peaks = await ask(`/api/scores?bins=288&camera=${encodeURIComponent(camera.name)}`);
    drawDayOf(camera);
  } catch { /* requested again in a minute */ } finally { camera.asking = false; }
}

function drawDayOf(camera) {
  if (!camera.peaks || !inSight.has(camera)) return;
  drawDay(camera.day, { ...camera.peaks, threshold: camera.state.threshold ?? 1 });
}

// An alarm has begun: mark it in the last day.
export function markAlarm(event) {
  const camera = cameras.get(event.camera);
  if (event.type !== "new" || !camera?.peaks || event.label !== "anomaly" || event.test) return;
  camera.peaks.alarms.push(event.start_time);
  drawDayOf(camera);
}

export function redraw() { for (const camera of inSight) { drawLine(camera); drawDayOf(camera); } }

addEventListener("resize", redraw);
document.addEventListener("visibilitychange", () => { if (document.hidden) watch(null); });
onView("cameras", redraw);
setInterval(() => { for (const camera of inSight) refreshPicture(camera); }, PICTURE_EVERY);
setInterval(() => { for (const camera of [...inSight].slice(0, AT_ONCE)) refreshDay(camera); }, DAY_EVERY);
