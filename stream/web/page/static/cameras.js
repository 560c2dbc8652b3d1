// The cards of the cameras: picture, state, scores of the last two minutes, peaks of the last day.

import { act, say } from "/page/alert.js";
import { drawDay, drawScores } from "/page/charts.js";
import { draw } from "/page/draw.js";
import { detail } from "/page/detail.js";
import { isQuiet, words } from "/page/event_words.js";
import { listCamera } from "/page/events.js";
import { $, ask, make, now, path, time } from "/page/page.js";

const LINE_SECONDS = 120, PICTURE_EVERY = 2000, DAY_EVERY = 60000, SNOOZE_MINUTES = 60;
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
export const cameras = new Map();  // name -> {card parts, points, state}

function card(name) {
  const parts = {
    badge: make("span", { class: "badge" }), score: make("span", { class: "faint" }),
    image: make("img", { src: NOTHING, alt: `What the model sees of ${name}` }),
    line: make("canvas", { class: "line", role: "img", "aria-label": `Score of ${name}, last two minutes` }),
    day: make("canvas", { class: "day" }),
    problem: make("p", { class: "problem", hidden: true }),
    enabled: make("button", { type: "button" }),
    snooze: make("button", { type: "button", class: "snooze" }),
    snoozed: make("p", { class: "snoozed", hidden: true }),
  };
  const test = make("button", { type: "button", title: "Send a test event to the broker and all recipients",
    onclick: () => act(path("api", "cameras", name, "test"), {}, `Sending a test event for ${name}.`) }, "Test");
  const drawing = make("button", { type: "button", title: "Draw masks, zones and the region on the picture", onclick: () => draw(name) }, "Draw");
  const past = make("button", { type: "button", class: "past", "aria-label": `Last 24 hours of ${name}: show its events`,
    onclick: () => listCamera(name) }, parts.day);
  const root = make("article", { class: "card", "aria-label": name },
    make("div", {}, make("strong", {}, name), parts.badge), parts.image, parts.snoozed, parts.problem,
    make("div", {}, make("span", { class: "faint" }, "last two minutes"), parts.score), parts.line,
    make("span", { class: "faint" }, "last 24 hours: highest scores, ▼ alarms"), past, make("div", {}, parts.enabled, parts.snooze, drawing, test));
  const camera = { ...parts, name, root, points: [], state: {}, peaks: null };
  parts.enabled.addEventListener("click", () =>
    act(path("api", "cameras", name, "enabled"), { enabled: camera.state.status === "disabled" },
      `${name} ${camera.state.status === "disabled" ? "is enabled" : "is disabled and not scored"}.`));
  parts.snooze.addEventListener("click", () => {
    const minutes = camera.state.snoozed_until ? 0 : SNOOZE_MINUTES;
    act(path("api", "cameras", name, "snooze"), { minutes }, minutes ? `${name}: alarms are not published for an hour.` : `${name}: alarms are published again.`);
  });
  $("cards").append(root);
  for (const id of ["events-camera", "what-camera", "budget-camera"]) $(id).append(make("option", {}, name));
  return camera;
}

function forget(name) {
  cameras.get(name).root.remove();
  cameras.delete(name);
  for (const option of document.querySelectorAll("select[id$=-camera] option")) if (option.value === name) option.remove();
}

export function showCameras(state) {
  for (const name of [...cameras.keys()]) if (!(name in state.cameras)) forget(name);
  for (const [name, told] of Object.entries(state.cameras)) {
    const fresh = !cameras.has(name);
    if (fresh) cameras.set(name, card(name));
    const camera = cameras.get(name);
    camera.state = told;
    camera.badge.textContent = told.alarm ? "ALARM" : told.status;
    camera.badge.className = "badge" + (told.alarm || told.status === "offline" ? " bad" : told.status === "online" ? "" : " warn");
    camera.root.classList.toggle("alarm", told.alarm);
    camera.root.classList.toggle("away", ["offline", "disabled"].includes(told.status));
    camera.problem.textContent = [told.problem, told.misfit && `The threshold no longer fits: ${told.misfit}`,
      told.scheduled === false && "Off schedule: scored, but no alarms are raised"].filter(Boolean).join(". ");
    camera.problem.hidden = !camera.problem.textContent;
    camera.enabled.textContent = told.status === "disabled" ? "Enable" : "Disable";
    camera.snooze.textContent = told.snoozed_until ? "End snooze" : "Snooze 1 h";
    camera.snoozed.textContent = told.snoozed_until ? `Snoozed until ${time(told.snoozed_until)}: alarms are listed, but not published` : "";
    camera.snoozed.hidden = !told.snoozed_until;
    if (fresh && told.window) showScore(camera, told);
    if (fresh) { refreshPicture(camera); refreshDay(camera); refreshLine(camera); }
    if (!document.hidden) drawLine(camera);
  }
  const alarms = Object.values(state.cameras).filter(told => told.alarm).length;
  document.title = alarms ? `(${alarms}) ALARM · mgfn-stream` : "mgfn-stream";
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
    drawLine(camera);
  } catch { /* new scores fill it */ }
}

function showScore(camera, { score, threshold }) {
  camera.score.textContent = `score ${score.toFixed(2)}, threshold ${threshold.toFixed(2)}`;
}

export function takeScore(told) {
  const camera = cameras.get(told.camera);
  if (!camera) return;
  camera.points.push([told.time, told.score]);
  while (camera.points.length && camera.points[0][0] < told.time - LINE_SECONDS) camera.points.shift();
  camera.state.threshold = told.threshold;
  showScore(camera, told);
  if (!document.hidden) requestAnimationFrame(() => drawLine(camera));
}

function refreshPicture(camera) {
  if (document.hidden) return;
  const next = new Image();
  next.alt = camera.image.alt;
  next.onload = () => { camera.image.replaceWith(next); camera.image = next; };
  if (camera.state.window) next.src = path("api", "cameras", camera.name, "picture.jpg") + `?${Date.now()}`;
}

async function refreshDay(camera) {
  try {
    camera.peaks = await ask(`/api/scores?bins=288&camera=${encodeURIComponent(camera.name)}`);
    drawDayOf(camera);
  } catch { /* requested again in a minute */ }
}

function drawDayOf(camera) {
  if (!camera.peaks) return;
  drawDay(camera.day, { ...camera.peaks, threshold: camera.state.threshold ?? 1 });
}

// An event has begun: say so, and mark it in the last day.
export function announce(event) {
  const camera = cameras.get(event.camera);
  if (event.type !== "new" || !camera || isQuiet(event)) return;  // the self-test's hidden camera has no card
  say(words(event).slice(0, 2).join(", "), { show: () => detail(event.id) });
  if (!camera.peaks || event.label !== "anomaly" || event.test) return;
  camera.peaks.alarms.push(event.start_time);
  drawDayOf(camera);
}

export function redraw() { for (const camera of cameras.values()) { drawLine(camera); drawDayOf(camera); } }

addEventListener("resize", redraw);
setInterval(() => { for (const camera of cameras.values()) refreshPicture(camera); }, PICTURE_EVERY);
setInterval(() => { for (const camera of cameras.values()) refreshDay(camera); }, DAY_EVERY);
