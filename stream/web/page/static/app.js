import { drawDay, drawScores } from "/page/charts.js";

const $ = id => document.getElementById(id);
const RETRY_AFTER = 3000, SAID_FOR = 8000, LINE_SECONDS = 120, PICTURE_EVERY = 2000, DAY_EVERY = 60000;
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
const cameras = new Map();  // name -> {card parts, points, state}
let listed = [];            // events as shown, newest first
let heard = null;           // what was told of events while the list is asked for
let latest = null;          // the program's state, as last told
let ahead = 0;              // seconds by which the program's clock is ahead of the browser's
const now = () => Date.now() / 1000 + ahead;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

const time = epoch => new Date(epoch * 1000).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
const path = (...parts) => "/" + parts.map(encodeURIComponent).join("/");

async function ask(url, body) {
  const options = body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(url, options);
  if (answer.status === 401) location.reload();
  const content = await answer.json();
  if (!answer.ok) throw new Error(typeof content.detail === "string" ? content.detail : `refused (${answer.status})`);
  return content;
}

let saying;
function say(text, { good = false, event = null } = {}) {
  $("alert-text").textContent = text;
  $("alert").hidePopover();
  if (text) $("alert").showPopover();  // over a dialog, too
  $("alert").className = good ? "good" : "";
  $("alert-show").hidden = !event;
  $("alert-show").onclick = () => detail(event);
  clearTimeout(saying);
  if (good) saying = setTimeout(() => say(""), SAID_FOR);
}

// What stands outside an open dialog cannot be clicked.
function placeAlert() {
  const alert = $("alert"), shown = alert.matches(":popover-open");
  ($("detail").open ? $("detail") : document.querySelector("main")).prepend(alert);
  if (shown) alert.showPopover();
}

// cameras

function card(name) {
  const parts = {
    badge: make("span", { class: "badge" }), score: make("span", { class: "faint" }),
    image: make("img", { src: NOTHING, alt: `What the model sees of ${name}` }),
    line: make("canvas", { class: "line", role: "img", "aria-label": `Score of ${name}, last two minutes` }),
    day: make("canvas", { class: "day" }),
    problem: make("p", { class: "problem", hidden: true }),
    enabled: make("button", { type: "button" }),
  };
  const test = make("button", { type: "button", title: "Sends a test event all the way",
    onclick: () => act(path("api", "cameras", name, "test"), {}, `A test event of ${name} is on its way.`) }, "Test");
  const past = make("button", { type: "button", class: "past", "aria-label": `Last 24 hours of ${name}: show its events`,
    onclick: () => { $("events-camera").value = name; list(); $("events").scrollIntoView(); $("events").focus({ preventScroll: true }); } }, parts.day);
  const root = make("article", { class: "card", "aria-label": name },
    make("div", {}, make("strong", {}, name), parts.badge), parts.image, parts.problem,
    make("div", {}, make("span", { class: "faint" }, "last two minutes"), parts.score), parts.line,
    make("span", { class: "faint" }, "last 24 hours, highest scores; ▼ alarms"), past, make("div", {}, parts.enabled, test));
  const camera = { ...parts, name, root, points: [], state: {}, peaks: null };
  parts.enabled.addEventListener("click", () =>
    act(path("api", "cameras", name, "enabled"), { enabled: camera.state.status === "disabled" },
      `${name} ${camera.state.status === "disabled" ? "is enabled" : "is disabled: it is not scored"}.`));
  $("cards").append(root);
  for (const id of ["events-camera", "what-camera", "budget-camera"]) $(id).append(make("option", {}, name));
  return camera;
}

async function act(url, body, done) {
  try { await ask(url, body); say(done, { good: true }); } catch (error) { say(error.message); }
}

function forget(name) {
  cameras.get(name).root.remove();
  cameras.delete(name);
  for (const option of document.querySelectorAll("select[id$=-camera] option")) if (option.value === name) option.remove();
}

function showState(state) {
  latest = state;
  ahead = state.time - Date.now() / 1000;
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
      told.scheduled === false && "Off schedule: it is scored and does not alarm"].filter(Boolean).join(". ");
    camera.problem.hidden = !camera.problem.textContent;
    camera.enabled.textContent = told.status === "disabled" ? "Enable" : "Disable";
    if (fresh && told.window) showScore(camera, told);
    if (fresh) { refreshPicture(camera); refreshDay(camera); refreshLine(camera); }
    if (!document.hidden) drawLine(camera);
  }
  const alarms = Object.values(state.cameras).filter(told => told.alarm).length;
  document.title = alarms ? `(${alarms}) ALARM · mgfn-stream` : "mgfn-stream";
  if (!$("what-threshold").dataset.touched && cameras.size) followThreshold();
  showLights(state);
  showHealth(state);
}

function ago(seconds) {
  const [size, unit] = seconds < 5400 ? [60, "min"] : seconds < 172800 ? [3600, "h"] : [86400, "days"];
  return `${Math.round(seconds / size)} ${unit}`;
}

function showLights(state) {
  const lights = [["service", state.loop_age < 5 ? "" : "bad"], ["broker", state.broker_connected ? "" : "bad"]];
  const test = state.self_test;
  const age = test?.passed && test.age !== null ? ` ${ago(test.age)} ago` : "";
  if (test) lights.push([`self-test ${test.said}${age}`, test.passed === null ? "warn" : test.passed ? "" : "bad"]);
  $("lights").replaceChildren(...lights.map(([text, kind]) => make("li", { class: kind }, text)));
}

function showHealth(state) {
  const unknown = (now, column) => ["offline", "disabled"].includes(now.status) && ["window", "score"].includes(column);
  const columns = ["status", "fps", "window", "score", "threshold", "dropped_clips", "corrupt_frames", "reconnects", "stalls_last_hour"];
  $("health-head").replaceChildren(make("tr", {}, ...["camera", ...columns].map(c => make("th", { scope: "col" }, c.replaceAll("_", " ")))));
  $("health-rows").replaceChildren(...Object.entries(state.cameras).map(([name, now]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...columns.map(c => make("td", {}, String(unknown(now, c) ? "" : now[c] ?? ""))))));
  $("about").textContent = `${state.node}, version ${state.version}, ${state.model.backend} on bundle ${state.model.bundle}, ` +
    `up ${(state.uptime / 3600).toFixed(1)} h, ${state.outbox} messages wait for the broker, ${state.events_lost} lost`;
}

// up to now, so that the line of a camera that says nothing walks off
function drawLine(camera) {
  drawScores(camera.line, camera.points, { from: now() - LINE_SECONDS, to: now(), threshold: camera.state.threshold });
}

async function refreshLine(camera) {
  try {
    const stored = await ask(path("api", "cameras", camera.name, "line"));
    const last = stored.length ? stored[stored.length - 1][0] : 0;
    camera.points = stored.filter(([at]) => at > now() - LINE_SECONDS).concat(camera.points.filter(([at]) => at > last));
    drawLine(camera);
  } catch { /* it fills by itself */ }
}

function showScore(camera, { score, threshold }) {
  camera.score.textContent = `score ${score.toFixed(2)}, threshold ${threshold.toFixed(2)}`;
}

function takeScore(told) {
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
  } catch { /* asked again in a minute */ }
}

function drawDayOf(camera) {
  if (!camera.peaks) return;
  drawDay(camera.day, { ...camera.peaks, threshold: camera.state.threshold ?? 1 });
}

// events

const verdicts = { true: "true alarm", false_alarm: "false alarm" };

function words(event) {
  const what = event.test ? "test" : event.label === "anomaly" ? "alarm" : "camera lost";
  const lasted = event.end_time === null ? "still open" :
    `${event.end_reason === "restart" ? "at least " : ""}${(event.end_time - event.start_time).toFixed(1)} s`;
  const score = event.label === "anomaly" ? `, top score ${event.top_score.toFixed(2)} (threshold ${event.threshold_on.toFixed(2)})` : "";
  return [`${event.camera}: ${what}`, `${time(event.start_time)}, ${lasted}${score}`, verdicts[event.verdict] || (event.test ? "" : "no verdict")];
}

function row(event) {
  const [title, when, verdict] = words(event);
  const image = event.snapshot ? make("img", { src: path("api", "events", event.id, "thumbnail.jpg"), alt: "", loading: "lazy" }) : make("span", { class: "faint" }, "no picture");
  return make("li", { "data-id": event.id }, make("button", { class: "event", type: "button", onclick: () => detail(event.id) },
    image, make("span", { class: "words" }, make("strong", {}, title), make("span", {}, when), make("span", { class: "faint" }, verdict))));
}

async function list(older = false) {
  if (older && heard) return;
  const told = heard = [];
  const before = older && listed.length ? `&before=${listed[listed.length - 1].start_time}` : "";
  const camera = $("events-camera").value;
  try {
    const found = await ask(`/api/events?limit=25${before}${camera ? `&camera=${encodeURIComponent(camera)}` : ""}`);
    if (told !== heard) return;  // asked again meanwhile
    listed = older ? listed.concat(found) : found;
    told.forEach(enter);  // the answer may be older than they are
    $("older").hidden = found.length < 25;
    $("event-list").replaceChildren(...listed.map(row));
    if (!listed.length) $("event-list").append(make("li", { class: "faint" }, "No events yet."));
  } catch (error) { if (told === heard) say(error.message); } finally { if (told === heard) heard = null; }
}

// Into the list: a "known" one is brought up to date, a "fresh" one comes first, and some are none of it.
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

function takeEvent(event) {
  heard?.push(event);
  const entered = enter(event);
  if (entered === "fresh") {
    if (listed.length === 1) $("event-list").replaceChildren();
    $("event-list").prepend(row(listed[0]));
  } else if (entered === "known") {
    refreshRow(listed.find(known => known.id === event.id));
    if ($("detail").open && $("detail").dataset.id === event.id && event.type !== "update") detail(event.id, true);
  }
  const rang = cameras.get(event.camera);
  if (event.type !== "new" || !rang) return;  // the self-test's camera is none of these
  say(words(event).slice(0, 2).join(", "), { event: event.id });
  if (rang.peaks && event.label === "anomaly" && !event.test) { rang.peaks.alarms.push(event.start_time); drawDayOf(rang); }
}

// the row's place in the page and the keyboard's place on it stay
function refreshRow(event) {
  const old = document.querySelector(`[data-id="${CSS.escape(event.id)}"]`);
  if (!old) return;
  const focused = old.contains(document.activeElement), fresh = row(event);
  old.replaceWith(fresh);
  if (focused) fresh.firstElementChild.focus();
}

async function detail(id, again = false) {
  let event;
  try { event = await ask(path("api", "events", id)); } catch (error) { say(error.message); return; }
  if (again && !($("detail").open && $("detail").dataset.id === id)) return;  // closed meanwhile, or another's
  const dialog = $("detail"), [title, when] = words(event), alarm = event.label === "anomaly";
  const from = event.start_time - 30, to = (event.end_time ?? now()) + 30;
  const curve = make("canvas", { class: "curve", role: "img", "aria-label": "Score around the alarm, with its threshold" });
  const shown = dialog.open && dialog.dataset.id === id && event.clip ? dialog.querySelector("video") : null;
  const video = shown?.error ? null : shown, watched = video !== null && video === document.activeElement;  // it may play
  const media = make("div", { class: "media" },
    event.snapshot ? make("img", { src: event.snapshot, alt: "Picture of the alarm" }) : null,
    event.clip ? video ?? make("video", { src: event.clip, controls: true, preload: "metadata" }) : make("p", { class: "faint" }, event.label === "anomaly" ? "The clip is not there (yet)." : "No clip."));
  const buttons = Object.entries(verdicts).map(([verdict, text]) => make("button", { type: "button", "data-verdict": verdict,
    "aria-pressed": String(event.verdict === verdict), class: event.verdict === verdict ? "chosen" : "", onclick: () => judge(id, verdict) }, text));
  const at = dialog.open && dialog.dataset.id === id ? document.activeElement?.dataset.verdict : undefined;
  $("detail-body").replaceChildren(
    make("div", { class: "head" }, make("h2", { id: "detail-title" }, title),
      make("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    make("p", {}, when), media, ...(alarm ? [
      event.test ? null : make("div", { class: "bar", role: "group", "aria-label": "Verdict" }, make("span", {}, "Was it right?"), ...buttons),
      make("h3", {}, "Score"), curve,
      make("p", { class: "faint" }, `From ${time(from)} to ${time(to)}, score 0 to 1; dashed: the threshold; shaded: the alarm`), ...(event.test ? [] : film(event))] : []).filter(part => part !== null),
    make("p", { class: "faint" }, `${event.id}, ${event.model.backend}, bundle ${event.model.bundle}`));
  dialog.dataset.id = id;
  if (!dialog.open) { dialog.showModal(); placeAlert(); }
  if (watched) video.focus();
  if (at) dialog.querySelector(`[data-verdict="${at}"]`)?.focus();
  const strip = dialog.querySelector(".strip"), heavy = strip?.querySelector(".top");  // on a phone it scrolls
  if (heavy) strip.scrollLeft = heavy.offsetLeft - strip.clientWidth / 2;
  drawScores(curve, event.curve, { from, to, threshold: event.threshold_on, gap: Math.max(5, (to - from) / 300),
    marks: [[event.start_time, event.end_time ?? to]] });
}

function film(event) {
  if (!event.clips.length) return [make("p", { class: "faint" }, "The clips that drove it are not kept for this event.")];
  const columns = event.strip_columns, rows = Math.ceil(event.clips.length / columns);
  const heaviest = Math.max(...event.clips.map(clip => clip.weight), 1e-9);
  const top = new Set(event.top_clips.map(clip => clip.start.toFixed(2)));
  const frames = event.clips.map((clip, i) => {
    const frame = make("div", { class: "frame", role: "img", "aria-label": `${(clip.start - event.start_time).toFixed(1)} s, weight ${clip.weight.toFixed(2)}` });
    frame.style.backgroundImage = `url("${path("api", "events", event.id, "strip.jpg")}")`;
    frame.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
    frame.style.backgroundPosition = `${columns > 1 ? i % columns / (columns - 1) * 100 : 0}% ${rows > 1 ? Math.floor(i / columns) / (rows - 1) * 100 : 0}%`;
    const bar = make("i");
    bar.style.width = `${clip.weight / heaviest * 100}%`;
    return make("li", { class: top.has(clip.start.toFixed(2)) ? "top" : "" }, frame, make("div", { class: "weight" }, bar),
      `${(clip.start - event.start_time).toFixed(1)} s · ${(clip.weight * 100).toFixed(0)} %`);
  });
  return [make("h3", {}, "What drove it: the clips of the window and their share of the score"), make("ol", { class: "strip", tabindex: 0, "aria-label": "Film strip" }, ...frames)];
}

async function judge(id, verdict) {
  try { await ask(path("api", "events", id, "verdict"), { verdict }); } catch (error) { say(error.message); return; }
  const known = listed.find(event => event.id === id);
  if (known) { known.verdict = verdict; refreshRow(known); }
  for (const button of $("detail").querySelectorAll("[data-verdict]")) {
    button.classList.toggle("chosen", button.dataset.verdict === verdict);
    button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
  }
}

// tuning

function followThreshold() {
  const camera = cameras.get($("what-camera").value);
  if (camera?.state.threshold === undefined) return;
  $("what-threshold").value = camera.state.threshold;
  $("what-value").textContent = camera.state.threshold.toFixed(2);
}

let asking = 0, soon;
function whatIfSoon() {
  $("what-threshold").dataset.touched = "yes";
  $("what-value").textContent = Number($("what-threshold").value).toFixed(2);
  clearTimeout(soon);
  soon = setTimeout(whatIf, 200);
}

async function whatIf() {
  const mine = ++asking;
  $("what-answer").textContent = "asking the history ...";
  try {
    const parameters = new URLSearchParams({ camera: $("what-camera").value, threshold: $("what-threshold").value,
      since: $("what-since").value });
    if ($("what-duration").value) parameters.set("min_duration", $("what-duration").value);
    const answer = await ask(`/api/what-if?${parameters}`);
    if (mine !== asking) return;
    const rate = answer.days > 0.5 ? `, ${(answer.alarms.length / answer.days).toFixed(2)} a day` : "";
    $("what-answer").textContent = `${answer.alarms.length} alarms in ${answer.days.toFixed(2)} scored days${rate} ` +
      `(at least ${answer.min_duration} s each${answer.alarms.length > 100 ? "; the newest 100:" : ""})`;
    $("what-list").replaceChildren(...answer.alarms.slice(-100).reverse().map(a =>
      make("li", {}, `${time(a.start)}, ${a.end === null ? "open" : (a.end - a.start).toFixed(1) + " s"}, top ${a.top_score.toFixed(2)}`)));
  } catch (error) { if (mine === asking) $("what-answer").textContent = error.message; }
}

const methods = { counted: "counted in", extrapolated: "extrapolated from the highest episodes of", quiet: "hardly anything happened in" };

async function propose(event) {
  event.preventDefault();
  const answer = $("budget-answer"), camera = $("budget-camera").value;
  $("budget-apply").hidden = true;
  answer.textContent = "asking the history ...";
  try {
    const found = await ask(`/api/suggestion?${new URLSearchParams({ camera, per_day: $("budget-per-day").value })}`);
    const proposal = found.proposal, lines = [];
    if (found.misfit) lines.push(make("p", { class: "problem" }, `The threshold no longer fits: ${found.misfit}.`));
    if (!proposal) lines.push(make("p", {}, `No proposal: ${(found.days * 24).toFixed(1)} hours were scored, half a day is needed.`));
    else {
      lines.push(make("p", {}, `Threshold ${proposal.threshold} (now ${found.threshold_now.toFixed(3)}): ${proposal.per_day.toFixed(2)} false alarms a day; ` +
        `95 %: ${proposal.low.toFixed(2)} to ${proposal.high.toFixed(2)} (${methods[proposal.method]} ${proposal.days.toFixed(1)} scored days).`));
      if (proposal.found + proposal.missed.length) lines.push(make("p", {}, `Of ${proposal.found + proposal.missed.length} alarms called true it keeps ${proposal.found}` +
        (proposal.missed.length ? `; missed: ${proposal.missed.map(span => time(span[0])).join(", ")}.` : ".")));
      $("budget-apply").hidden = false;
    }
    answer.replaceChildren(...lines);
  } catch (error) { answer.textContent = error.message; }
}

async function applyBudget() {
  const camera = $("budget-camera").value;
  try {
    const done = await ask(path("api", "cameras", camera, "budget"), { per_day: Number($("budget-per-day").value) });
    $("budget-answer").replaceChildren(make("p", {}, `${done.proposal.threshold} is in force for ${camera}.`));
    $("budget-apply").hidden = true;
  } catch (error) { $("budget-answer").textContent = error.message; }
}

// the stream, and the start

let lost = false;
function listen() {
  const stream = new EventSource("/api/stream");
  const on = (kind, take) => stream.addEventListener(kind, message => take(JSON.parse(message.data)));
  on("state", showState);
  on("score", takeScore);
  on("event", takeEvent);
  on("missed", () => list());
  stream.onopen = () => {
    list();  // what happened before is there, what happens from now on is told
    if (!lost) return;
    lost = false;
    say("");
    for (const camera of cameras.values()) refreshLine(camera);
  };
  stream.onerror = () => {
    lost = true;
    say("The program does not answer; trying again.");
    if (latest) showLights({ ...latest, loop_age: Infinity });
    // after an answer that is no stream (a proxy's, another token's) a browser does not try again by itself
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => ask("/api/state").catch(() => {}).finally(listen), RETRY_AFTER);
  };
}

$("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = localStorage.theme = dark ? "light" : "dark";
  redraw();
});
function redraw() { for (const camera of cameras.values()) { drawLine(camera); drawDayOf(camera); } }
if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme;
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
$("events-camera").addEventListener("change", () => list());
$("older").addEventListener("click", () => list(true));
$("what-threshold").addEventListener("input", whatIfSoon);
for (const id of ["what-since", "what-duration"]) $(id).addEventListener("change", whatIfSoon);
$("what-camera").addEventListener("change", () => { followThreshold(); whatIfSoon(); });
$("what-apply").addEventListener("click", () => act(path("api", "cameras", $("what-camera").value, "threshold"),
  { threshold: Number($("what-threshold").value) }, `${$("what-camera").value}: threshold ${$("what-value").value} is in force.`));
$("what-if").addEventListener("submit", event => event.preventDefault());
$("budget").addEventListener("submit", propose);
$("budget-apply").addEventListener("click", applyBudget);
for (const id of ["budget-camera", "budget-per-day"]) $(id).addEventListener("input", () => { $("budget-apply").hidden = true; });
$("alert-close").addEventListener("click", () => say(""));
$("detail").addEventListener("close", () => {
  $("detail-body").replaceChildren();  // a clip that plays ends, too
  placeAlert();
  document.querySelector(`[data-id="${CSS.escape($("detail").dataset.id)}"] button`)?.focus({ preventScroll: true });
});
setInterval(() => { for (const camera of cameras.values()) refreshPicture(camera); }, PICTURE_EVERY);
setInterval(() => { for (const camera of cameras.values()) refreshDay(camera); }, DAY_EVERY);
list();  // the stream may not open; once it does, the list is asked for again
ask("/api/state").then(showState).catch(error => say(error.message)).finally(listen);
