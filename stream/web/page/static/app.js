// Starts the page: loads its parts, requests the state and the lists, and follows the event stream.

import { announce, listAlarms, takeAlarm } from "/page/alarms.js";
import { say } from "/page/alert.js";
import { cameras, markAlarm, refreshLine, showCameras, takeScore } from "/page/cameras.js";
import { detail } from "/page/detail.js";
import { isQuiet } from "/page/event_words.js";
import "/page/find.js";
import { showHealth, showLights } from "/page/health.js";
import { showMode } from "/page/mode.js";
import "/page/modes.js";
import { $, ask, setClock, write } from "/page/page.js";
import { listPast, takePast } from "/page/past.js";
import { showThreshold } from "/page/tuning.js";
import { startViews } from "/page/views.js";
import { switchLanguage, t, translate } from "/page/words.js";
import "/page/keys.js";
import "/page/theme.js";

const RETRY_AFTER = 3000;
let latest = null;  // the newest state
let lost = false;   // the stream has failed

function showState(state) {
  latest = state;
  setClock(state.time, state.time_zone ?? undefined);
  showYou(state.you);
  showCameras(state);
  showMode(state.mode);
  showThreshold();
  showLights(state);
  showHealth(state);
}

function showYou(you) {
  document.body.classList.toggle("viewer", !you.operator);
  document.body.classList.toggle("bound", !you.all_cameras);
  write(document.querySelector(".keys"), t(you.operator ? "keys" : "keys_viewer"));
  $("log-out").hidden = you.name === "page";
  $("log-out").textContent = t("log_out", you);
}

function takeEvent(event) {
  if (event.camera === "self-test") return;  // nobody's alarm
  takeAlarm(event);
  takePast(event);
  if ($("detail").open && $("detail").dataset.id === event.id && ["end", "media", "ack", "escalated"].includes(event.type)) detail(event.id, true);
  if (!cameras.has(event.camera)) return;
  announce(event);
  if (!isQuiet(event)) markAlarm(event);
}

function takeVerdict({ id, verdict }) { takeAlarm({ id, verdict }); takePast({ id, verdict }); }

function listen() {
  const stream = new EventSource("/api/stream");
  const on = (kind, take) => stream.addEventListener(kind, message => take(JSON.parse(message.data)));
  on("state", showState);
  on("score", takeScore);
  on("event", takeEvent);
  on("verdict", takeVerdict);
  on("missed", list);
  stream.onopen = () => {
    list();  // the lists have the past, the stream what follows
    if (!lost) return;
    lost = false;
    say("");
    for (const camera of cameras.values()) refreshLine(camera);
  };
  stream.onerror = () => {
    lost = true;
    say(t("lost"));
    if (latest) showLights({ ...latest, loop_age: Infinity });
    // after an error response (from a proxy, for another token) a browser does not retry by itself
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => ask("/api/state").catch(() => {}).finally(listen), RETRY_AFTER);
  };
}

function list() { listAlarms(); listPast(); }

translate(document);
document.addEventListener("verdict", ({ detail: said }) => takeVerdict(said));
$("language").addEventListener("click", switchLanguage);
$("menu").addEventListener("click", () => $("menu").setAttribute("aria-expanded", String(document.querySelector("header").classList.toggle("open"))));
$("log-out").addEventListener("click", () => fetch("/logout", { method: "POST" }).finally(() => location.reload()));
listAlarms();  // the stream may not open; once it does, the lists are requested again
ask("/api/state").then(state => { showState(state); startViews(); }).catch(error => { startViews(); say(error.message); }).finally(listen);
