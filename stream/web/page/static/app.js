// Starts the page: loads its parts, requests the state and the list, and follows the event stream.

import { say } from "/page/alert.js";
import { announce, cameras, refreshLine, showCameras, takeScore } from "/page/cameras.js";
import { list, takeEvent } from "/page/events.js";
import "/page/find.js";
import { showHealth, showLights } from "/page/health.js";
import { showMode } from "/page/mode.js";
import { ask, setClock } from "/page/page.js";
import { showThreshold } from "/page/tuning.js";
import "/page/theme.js";

const RETRY_AFTER = 3000;
let latest = null;  // the newest state
let lost = false;   // the stream has failed

function showState(state) {
  latest = state;
  setClock(state.time);
  showCameras(state);
  showMode(state.mode);
  showThreshold();
  showLights(state);
  showHealth(state);
}

function listen() {
  const stream = new EventSource("/api/stream");
  const on = (kind, take) => stream.addEventListener(kind, message => take(JSON.parse(message.data)));
  on("state", showState);
  on("score", takeScore);
  on("event", event => { takeEvent(event); announce(event); });
  on("missed", () => list());
  stream.onopen = () => {
    list();  // the list has the past, the stream what follows
    if (!lost) return;
    lost = false;
    say("");
    for (const camera of cameras.values()) refreshLine(camera);
  };
  stream.onerror = () => {
    lost = true;
    say("Connection lost; trying again.");
    if (latest) showLights({ ...latest, loop_age: Infinity });
    // after an error response (from a proxy, for another token) a browser does not retry by itself
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => ask("/api/state").catch(() => {}).finally(listen), RETRY_AFTER);
  };
}

list();  // the stream may not open; once it does, the list is requested again
ask("/api/state").then(showState).catch(error => say(error.message)).finally(listen);
