// The first view: alarms that wait for an answer, then those that were answered; and the bell.

import { say } from "/page/alert.js";
import { EventList } from "/page/event_list.js";
import { isAlarm, isQuiet, isUnanswered, words } from "/page/event_words.js";
import { detail } from "/page/detail.js";
import { $, hour } from "/page/page.js";
import { onView } from "/page/views.js";
import { t } from "/page/words.js";

const BEEP_HZ = 880, BEEP_SECONDS = 0.35;
let audio = null;  // exists once somebody has asked for sound: browsers want a click first

const unanswered = new EventList($("alarm-list"), { query: () => ({ answered: false }), belongs: isUnanswered, empty: "no_unanswered", shown: count });
const answered = new EventList($("answered-list"), { query: () => ({ answered: true }), belongs: event => isAlarm(event) && !isUnanswered(event), empty: "no_answered" });

function count({ events, more }) {
  $("waiting").textContent = events.length ? `${events.length}${more ? "+" : ""}` : "";
  document.title = (events.length ? `(${events.length}${more ? "+" : ""}) ` : "") + "mgfn-stream";
}

export function listAlarms() { unanswered.list(); answered.list(); }

// News of an event; one that was answered moves from one list to the other.
export function takeAlarm(event) {
  const known = unanswered.events.some(each => each.id === event.id), whole = unanswered.take(event);
  answered.take(known ? { ...whole, moved: true } : event);
}

// An event has begun: say so, and ring.
export function announce(event) {
  if (event.type !== "new" || isQuiet(event)) return;
  say(`${words(event)[0]}, ${hour(event.start_time)}`, { show: () => detail(event.id) });
  if (!audio) return;
  const tone = audio.createOscillator(), volume = audio.createGain();
  tone.frequency.value = BEEP_HZ;
  volume.gain.value = 0.2;
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + BEEP_SECONDS);
}

$("sound").addEventListener("click", () => {
  if (audio) { audio.close(); audio = null; } else audio = new AudioContext();
  $("sound").textContent = t(audio ? "sound_on" : "sound_off");
  $("sound").setAttribute("aria-pressed", String(audio !== null));
});
onView("event", id => detail(id));
