// An event in words.

import { time } from "/page/page.js";

export const verdicts = { true: "true alarm", false_alarm: "false alarm" };

const quiet = {
  snooze: () => "not published: snoozed",
  hourly_cap: () => "not published: too many alarms in the last hour",
  lookalike: event => `not published: similar to ${event.resembles}, marked as a false alarm`,
};

// whether the page stays silent
export const isQuiet = event => Boolean(event.suppressed) || event.severity === "notice";

// title, time and duration, verdict and why it was not published
export function words(event) {
  const what = event.test ? "test" : event.severity === "notice" ? "notice" : event.label === "anomaly" ? "alarm" : "camera lost";
  const kind = event.kind === "unknown" ? "" : ` (${event.kind.replaceAll("_", " ")})`;
  const lasted = event.end_time === null ? "still open" :
    `${event.end_reason === "restart" ? "at least " : ""}${(event.end_time - event.start_time).toFixed(1)} s`;
  const score = event.label === "anomaly" ? `, top score ${event.top_score.toFixed(2)} (threshold ${event.threshold_on.toFixed(2)})` : "";
  const notes = [event.suppressed && quiet[event.suppressed](event), event.acknowledged && `acknowledged by ${event.acknowledged.by}`, verdicts[event.verdict] || (event.test ? "" : "no verdict")];
  return [`${event.camera}: ${what}${kind}`, `${time(event.start_time)}, ${lasted}${score}`, notes.filter(Boolean).join("; ")];
}
