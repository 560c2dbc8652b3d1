// An event in words.

import { time } from "/page/page.js";

export const verdicts = { true: "true alarm", false_alarm: "false alarm" };

// title, time and duration, verdict
export function words(event) {
  const what = event.test ? "test" : event.label === "anomaly" ? "alarm" : "camera lost";
  const lasted = event.end_time === null ? "still open" :
    `${event.end_reason === "restart" ? "at least " : ""}${(event.end_time - event.start_time).toFixed(1)} s`;
  const score = event.label === "anomaly" ? `, top score ${event.top_score.toFixed(2)} (threshold ${event.threshold_on.toFixed(2)})` : "";
  return [`${event.camera}: ${what}`, `${time(event.start_time)}, ${lasted}${score}`, verdicts[event.verdict] || (event.test ? "" : "no verdict")];
}
