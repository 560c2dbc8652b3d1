// An event in words.

import { time } from "/page/page.js";

export const verdicts = { true: "true alarm", false_alarm: "false alarm" };

const quiet = {
  snooze: () => "not told: snoozed",
  hourly_cap: () => "not told: too many alarms in the hour before",
  lookalike: event => `not told: like ${event.resembles}, which was called a false alarm`,
};

// whether nobody is to be alerted
export const isQuiet = event => Boolean(event.suppressed) || event.severity === "notice";

// title, time and duration, verdict and why nobody was told
export function words(event) {
  const what = event.test ? "test" : event.severity === "notice" ? "notice" : event.label === "anomaly" ? "alarm" : "camera lost";
  const lasted = event.end_time === null ? "still open" :
    `${event.end_reason === "restart" ? "at least " : ""}${(event.end_time - event.start_time).toFixed(1)} s`;
  const score = event.label === "anomaly" ? `, top score ${event.top_score.toFixed(2)} (threshold ${event.threshold_on.toFixed(2)})` : "";
  const notes = [event.suppressed && quiet[event.suppressed](event), verdicts[event.verdict] || (event.test ? "" : "no verdict")];
  return [`${event.camera}: ${what}`, `${time(event.start_time)}, ${lasted}${score}`, notes.filter(Boolean).join("; ")];
}
