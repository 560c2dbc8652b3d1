// The lights in the header and the table of health.

import { $, make } from "/page/page.js";

function ago(seconds) {
  const [size, unit] = seconds < 5400 ? [60, "min"] : seconds < 172800 ? [3600, "h"] : [86400, "days"];
  return `${Math.round(seconds / size)} ${unit}`;
}

export function showLights(state) {
  const lights = [["service", state.loop_age < 5 ? "" : "bad"], ["broker", state.broker_connected ? "" : "bad"]];
  const failed = Object.entries(state.delivery.failed).map(([topic, why]) => `${topic}: ${why}`);
  const words = { waiting: "delivery not proven yet", unproven: "delivery unproven", proven: "delivery" };
  lights.push([failed[0] ?? words[state.delivery.proof], failed.length ? "bad" : state.delivery.proof === "proven" ? "" : "warn"]);
  const test = state.self_test;
  const age = test?.passed && test.age !== null ? ` ${ago(test.age)} ago` : "";
  if (test) lights.push([`self-test ${test.said}${age}`, test.passed === null ? "warn" : test.passed ? "" : "bad"]);
  $("lights").replaceChildren(...lights.map(([text, kind]) => make("li", { class: kind }, text)));
}

export function showHealth(state) {
  const unknown = (now, column) => ["offline", "disabled"].includes(now.status) && ["window", "score"].includes(column);
  const columns = ["status", "fps", "window", "score", "threshold", "dropped_clips", "corrupt_frames", "reconnects", "stalls_last_hour"];
  $("health-head").replaceChildren(make("tr", {}, ...["camera", ...columns].map(c => make("th", { scope: "col" }, c.replaceAll("_", " ")))));
  $("health-rows").replaceChildren(...Object.entries(state.cameras).map(([name, now]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...columns.map(c => make("td", {}, String(unknown(now, c) ? "" : now[c] ?? ""))))));
  $("about").textContent = `${state.node}, version ${state.version}, ${state.model.backend} on bundle ${state.model.bundle}, ` +
    `up ${(state.uptime / 3600).toFixed(1)} h, ${state.outbox} messages waiting for the broker, ${state.events_lost} lost`;
}
