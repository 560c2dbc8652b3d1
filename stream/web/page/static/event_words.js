// An event in words.

import { time } from "/page/page.js";
import { t } from "/page/words.js";

export const verdicts = ["true", "false_alarm"];

// whether the page stays silent
export const isQuiet = event => Boolean(event.suppressed) || event.severity === "notice";

// an alarm that was published, and is not a test
export const isAlarm = event => event.label === "anomaly" && !event.test && !isQuiet(event);
export const isUnanswered = event => isAlarm(event) && !event.acknowledged && !event.verdict;

export const kindOf = event => event.test ? "test" : event.label === "anomaly" ? event.kind : event.label;

function lasted(event) {
  if (event.end_time === null) return t("still_open");
  return t(event.end_reason === "restart" ? "at_least" : "lasted", { seconds: (event.end_time - event.start_time).toFixed(1) });
}

// title, time and duration, verdict and why it was not published
export function words(event) {
  const what = t(event.test ? "test" : event.severity === "notice" ? "notice" : event.label === "anomaly" ? "alarm" : "camera_lost");
  const kind = event.kind === "unknown" ? "" : ` (${t(event.kind)})`;
  const score = event.label === "anomaly" ? `, ${t("top_score", { top: event.top_score.toFixed(2), threshold: event.threshold_on.toFixed(2) })}` : "";
  const notes = [event.suppressed && t(`quiet_${event.suppressed}`, { id: event.resembles }), event.acknowledged && t("answered_by", event.acknowledged),
    event.verdict ? t(event.verdict) : event.test ? "" : t("no_verdict")];
  return [`${event.camera}: ${what}${kind}`, `${time(event.start_time)}, ${lasted(event)}${score}`, notes.filter(Boolean).join("; ")];
}
