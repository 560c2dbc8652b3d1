// An event in words.

import { number, time } from "/page/page.js";
import { called, t } from "/page/words.js";

export const verdicts = ["true", "false_alarm"];

// whether the page stays silent
export const isQuiet = event => Boolean(event.suppressed) || event.severity === "notice";

// an alarm that was published, or a test: it asks for an answer
export const isAlarm = event => event.label === "anomaly" && !isQuiet(event);
export const isUnanswered = event => isAlarm(event) && !event.acknowledged && !event.verdict;
// a test is no incident: there is nothing to judge
export const isUnjudged = event => isAlarm(event) && !event.test && !event.verdict;

export const kindOf = event => event.test ? "test" : event.label === "anomaly" ? event.kind : event.label;

function lasted(event) {
  if (event.end_time === null) return t("still_open");
  return t(event.end_reason === "restart" ? "at_least" : "lasted", { seconds: number(event.end_time - event.start_time, 1) });
}

// title, time and duration, verdict and why it was not published
export function words(event) {
  const what = t(event.test ? "is_test" : event.severity === "notice" ? "notice" : event.label === "anomaly" ? "alarm" : "camera_lost");
  const kind = event.kind === "unknown" ? "" : ` (${t(event.kind)})`;
  const score = event.label === "anomaly" ? `, ${t("top_score", { top: number(event.top_score), threshold: number(event.threshold_on) })}` : "";
  const notes = [event.suppressed && t(`quiet_${event.suppressed}`, { id: event.resembles }), event.acknowledged && t("answered_by", { by: called("who", event.acknowledged.by) }),
    event.verdict ? t(event.verdict) : t(event.test ? "test_no_verdict" : "no_verdict")];
  return [`${event.camera}: ${what}${kind}`, `${time(event.start_time)}, ${lasted(event)}${score}`, notes.filter(Boolean).join("; ")];
}
