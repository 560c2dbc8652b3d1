// The desk: every node on the broker, its cameras, and the alarms of all of them; unanswered ones first.

import { $, ask, make, time } from "/page/page.js";
import { switchLanguage, t, translate } from "/page/words.js";

const LOOK_EVERY = 2000;
let shown = "";  // what is drawn now: it is drawn again only if it has changed

const isOpen = alarm => alarm.label === "anomaly" && !alarm.test && !alarm.acknowledged;

function alarm(event) {
  const what = t(event.test ? "test" : event.label === "anomaly" ? "alarm" : "camera_lost");
  const kind = !event.kind || event.kind === "unknown" ? "" : ` (${t(event.kind)})`;
  const title = `${event.node}, ${event.camera}: ${what}${kind}`;
  const lasted = event.end_time === null ? t("still_open") : t("lasted", { seconds: (event.end_time - event.start_time).toFixed(1) });
  const answer = !isOpen(event) ? null : make("div", { class: "answers" },
    make("button", { type: "button", onclick: () => acknowledge(event) }, t("acknowledge")));
  return make("li", { "data-id": event.id }, make("div", { class: isOpen(event) ? "card alarm" : "card" },
    make("strong", {}, event.page ? make("a", { href: `${event.page}#event/${event.id}`, rel: "noreferrer" }, title) : title), make("span", {}, `${time(event.start_time)}, ${lasted}`),
    event.acknowledged ? make("span", { class: "faint" }, t("answered_by", { by: event.acknowledged.by })) : null), answer);
}

// Why a camera is where it is: which choice of it its worker is, what it needs, where it goes.
function why(camera) {
  return [camera.choice && t(camera.choice === 1 ? "first_choice" : "later_choice", { choice: camera.choice, of: camera.of }),
    camera.needs && t("needs_labels", { labels: camera.needs.join(", ") }),
    camera.moves_to && t("moves_to", { worker: camera.moves_to })].filter(Boolean).join(", ");
}

function owner(camera, workers) {
  if (!workers.length) return null;
  if (!camera.worker) return make("span", { class: "problem" }, ` ${t("nobody_watches")}`);
  const page = workers.find(each => each.name === camera.worker)?.page;
  const name = page ? make("a", { href: page, rel: "noreferrer" }, camera.worker) : camera.worker;
  return make("span", { class: "faint" }, " ", name, `, ${[t("lease", { fence: camera.fence }), why(camera)].filter(Boolean).join(": ")}`);
}

const WORKER_STATES = { up: ["", "worker_up"], draining: ["warn", "worker_draining"], down: ["bad", "worker_down"] };

function worker(found) {
  const [shade, word] = WORKER_STATES[found.state];
  const name = found.page ? make("a", { href: found.page, rel: "noreferrer" }, found.name) : found.name;
  const notes = [found.host, t("has_cameras", { count: found.cameras }), found.capacity && t("has_capacity", { count: found.capacity }), ...found.labels].filter(Boolean);
  return make("li", {}, name, " ", make("span", { class: `badge ${shade}` }, t(word)),
    make("span", { class: "faint" }, ` ${notes.join(", ")}`));
}

function node(found) {
  const online = found.up;
  const title = found.page ? make("a", { href: found.page, rel: "noreferrer" }, found.name) : found.name;
  const rows = found.cameras.map(camera => {
    const status = camera.anomaly === "ON" ? "ALARM" : camera.owned ? camera.status ?? "offline" : "offline";
    const notes = [camera.problem, camera.snooze && camera.snooze !== "off" && t("snoozed_until", { time: time(Date.parse(camera.snooze) / 1000) })].filter(Boolean).join(". ");
    return make("li", {}, make("span", {}, camera.name), " ",
      make("span", { class: `badge ${["ALARM", "offline"].includes(status) ? "bad" : status === "online" ? "" : "warn"}` }, t(status)),
      owner(camera, found.workers), notes ? make("span", { class: "problem" }, ` ${notes}`) : null);
  });
  const alarmed = online && found.cameras.some(camera => camera.anomaly === "ON");
  return make("article", { class: `card${alarmed ? " alarm" : ""}`, "aria-label": found.name },
    make("div", {}, make("strong", {}, title), make("span", { class: `badge${online ? "" : " bad"}` }, t(online ? "online" : "offline"))),
    make("span", { class: "faint" }, [found.prefix, found.version, found.mode && found.mode !== "none" && `${t("mode")}: ${found.mode}`].filter(Boolean).join(", ")),
    found.workers.length ? make("ol", { "aria-label": t("desk_workers") }, ...found.workers.map(worker)) : null,
    make("ol", {}, ...rows));
}

function show(state) {
  $("broker").textContent = state.problem ? `${state.broker}: ${state.problem}` : state.broker;
  $("broker").className = state.problem ? "bad" : "";
  const text = JSON.stringify([state.nodes, state.alarms]);
  if (text === shown) return;
  shown = text;
  const alarms = [...state.alarms.filter(isOpen), ...state.alarms.filter(event => !isOpen(event))], open = alarms.filter(isOpen).length;
  document.title = `${open ? `(${open}) ` : ""}mgfn-stream desk`;
  $("alarms").replaceChildren(...alarms.map(alarm));
  $("nodes").replaceChildren(...state.nodes.map(node));
  $("no-alarms").hidden = alarms.length > 0;
  $("no-nodes").hidden = state.nodes.length > 0;
}

async function acknowledge({ prefix, camera, id }) {
  try { await ask("/api/desk/ack", { prefix, camera, id }); $("said").textContent = ""; } catch (error) { $("said").textContent = error.message; }
}

async function look() {
  try { show(await ask("/api/desk")); } catch { $("broker").textContent = t("lost"); $("broker").className = "bad"; }
  setTimeout(look, LOOK_EVERY);
}

translate(document);
$("language").addEventListener("click", switchLanguage);
look();
