// The lights in the header and the table of health.

import { say } from "/page/alert.js";
import { $, ask, make, time } from "/page/page.js";
import { onView, view } from "/page/views.js";
import { called, t } from "/page/words.js";

function ago(seconds) {
  const [size, unit] = seconds < 5400 ? [60, "minutes"] : seconds < 172800 ? [3600, "hours"] : [86400, "days"];
  return t(unit, { n: Math.round(seconds / size) });
}

export function showLights(state) {
  const lights = [[t("service"), state.loop_age < 5 ? "" : "bad"], [t(state.broker_connected ? "broker" : "broker_away"), state.broker_connected ? "" : "bad"]];
  const failed = Object.entries(state.delivery.failed).map(([topic, why]) => `${topic}: ${why}`);
  lights.push([failed[0] ?? t(state.delivery.proof), failed.length ? "bad" : state.delivery.proof === "proven" ? "" : "warn"]);
  const test = state.self_test;
  const age = test?.passed && test.age !== null ? t("ago", { age: ago(test.age) }) : "";
  if (test?.time === null) lights.push([t("self_test_due", { n: Math.ceil(test.due_in / 60) }), "idle"]);
  else if (test) lights.push([t("self_test", { said: called("self_test", test.said), age }), test.passed === null ? "warn" : test.passed ? "" : "bad"]);
  $("menu").className = lights.some(([, kind]) => kind === "bad") ? "bad" : "";
  $("lights").replaceChildren(...lights.map(([text, kind]) => make("li", { class: kind }, text)));
}

const shown = value => typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toFixed(3))) : String(value ?? "");

let latest = null;

export function showHealth(state) {
  latest = state;
  if (view() !== "health") return;
  const unknown = (now, column) => ["offline", "disabled"].includes(now.status) && ["window", "score"].includes(column);
  const columns = ["status", "fps", "window", "score", "threshold", "dropped_clips", "corrupt_frames", "reconnects", "stalls_last_hour"];
  $("health-head").replaceChildren(make("tr", {}, ...["camera", ...columns].map(c => make("th", { scope: "col" }, t(c)))));
  $("health-rows").replaceChildren(...Object.entries(state.cameras).map(([name, now]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...columns.map(c => make("td", {}, unknown(now, c) ? "" : shown(c === "status" ? t(now[c]) : now[c]))))));
  $("about").textContent = t("about", { ...state, ...state.model, hours: (state.uptime / 3600).toFixed(1), waiting: state.outbox, lost: state.events_lost });
}

async function showAudit() {
  if (document.body.classList.contains("viewer")) return;
  try {
    const changes = await ask("/api/audit");
    $("audit-head").replaceChildren(make("tr", {}, ...["when", "who", "through", "camera", "what", "value"].map(c => make("th", { scope: "col" }, t(c)))));
    $("audit-rows").replaceChildren(...changes.map(change =>
      make("tr", {}, ...[time(change.at), called("by", change.who), called("by", change.via), change.camera, t(change.what).replace(/\.$/, ""), called("value", change.value)].map(text => make("td", {}, text)))));
    $("audit-empty").hidden = changes.length > 0;
  } catch (error) { say(error.message); }
}

onView("health", () => { if (latest) showHealth(latest); showAudit(); });
