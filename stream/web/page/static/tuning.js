// Tuning: which alarms another threshold would have raised, and a threshold for a budget of false alarms.

import { act } from "/page/alert.js";
import { cameras, isLearning, topScore } from "/page/cameras.js";
import { $, ask, make, number, path, time, write } from "/page/page.js";
import { t } from "/page/words.js";

// The slider shows the threshold in force until somebody moves it.
export function showThreshold() {
  if (!$("what-threshold").dataset.touched && cameras.size) followThreshold();
}

function followThreshold() {
  const camera = cameras.get($("what-camera").value);
  if (camera?.state.threshold === undefined) return;
  const top = topScore(camera), learning = isLearning(camera) && top !== null;
  write($("learning"), learning ? t("learning_help", { top: number(top), threshold: number(camera.state.threshold), hours: number(camera.state.calibration.hours, 1) }) : "");
  $("what-threshold").value = camera.state.threshold;
  $("what-value").textContent = number(camera.state.threshold);
}

const leftOut = found => found.left_out_before === null ? "" :
  t("left_out", { time: time(found.left_out_before) });

let asking = 0, soon, seen = 0;  // `seen`: when the threshold was last changed, as somebody began to move the slider
function whatIfSoon() {
  if (!$("what-threshold").dataset.touched) seen = cameras.get($("what-camera").value)?.state.changes?.threshold?.at ?? 0;
  $("what-threshold").dataset.touched = "yes";
  $("what-value").textContent = number(Number($("what-threshold").value));
  clearTimeout(soon);
  soon = setTimeout(whatIf, 200);
}

async function whatIf() {
  const mine = ++asking;
  $("what-answer").textContent = t("searching");
  try {
    const parameters = new URLSearchParams({ camera: $("what-camera").value, threshold: $("what-threshold").value,
      since: $("what-since").value });
    if ($("what-duration").value) parameters.set("min_duration", $("what-duration").value);
    const answer = await ask(`/api/what-if?${parameters}`);
    if (mine !== asking) return;
    const rate = answer.days > 0.5 ? t("would_be_rate", { rate: (answer.alarms.length / answer.days).toFixed(2) }) : "";
    $("what-answer").textContent = [t(answer.days < 2 ? "would_be_hours" : "would_be", { count: answer.alarms.length, days: number(answer.days, 1), hours: number(answer.days * 24, 1) }) + rate +
      t("would_be_min", { seconds: answer.min_duration }), answer.alarms.length > 100 && t("newest_shown"), leftOut(answer)].filter(Boolean).join(" ");
    $("what-list").replaceChildren(...answer.alarms.slice(-100).reverse().map(a =>
      make("li", {}, t("would_line", { time: time(a.start), top: number(a.top_score),
        lasted: a.end === null ? t("still_open") : t("lasted", { seconds: (a.end - a.start).toFixed(1) }) }))));
  } catch (error) { if (mine === asking) $("what-answer").textContent = error.message; }
}

async function propose(event) {
  event.preventDefault();
  const answer = $("budget-answer"), camera = $("budget-camera").value;
  $("budget-apply").hidden = true;
  answer.textContent = t("searching");
  try {
    const found = await ask(`/api/suggestion?${new URLSearchParams({ camera, per_day: $("budget-per-day").value })}`);
    const proposal = found.proposal, lines = [];
    if (found.misfit) lines.push(make("p", { class: "problem" }, t("misfit", { why: found.misfit })));
    if (found.left_out_before !== null) lines.push(make("p", { class: "faint" }, leftOut(found)));
    if (!proposal) lines.push(make("p", {}, t("no_proposal", { hours: (found.days * 24).toFixed(1) })));
    else {
      lines.push(make("p", {}, t("proposal", { threshold: proposal.threshold, now: found.threshold_now.toFixed(3),
        rate: proposal.per_day.toFixed(2), low: proposal.low.toFixed(2), high: proposal.high.toFixed(2), method: t(proposal.method), days: proposal.days.toFixed(1) })));
      if (proposal.found + proposal.missed.length) lines.push(make("p", {}, t("kept", { all: proposal.found + proposal.missed.length, found: proposal.found }) +
        (proposal.missed.length ? " " + t("missed", { times: proposal.missed.map(span => time(span[0])).join(", ") }) : "")));
      $("budget-apply").hidden = false;
    }
    answer.replaceChildren(...lines);
  } catch (error) { answer.textContent = error.message; }
}

async function applyBudget() {
  const camera = $("budget-camera").value;
  try {
    const done = await ask(path("api", "cameras", camera, "budget"), { per_day: Number($("budget-per-day").value) });
    $("budget-answer").replaceChildren(make("p", {}, t("threshold_set", { name: camera, value: done.proposal.threshold })));
    $("budget-apply").hidden = true;
  } catch (error) { $("budget-answer").textContent = error.message; }
}

$("what-threshold").addEventListener("input", whatIfSoon);
for (const id of ["what-since", "what-duration"]) $(id).addEventListener("change", whatIfSoon);
$("what-camera").addEventListener("change", () => { delete $("what-threshold").dataset.touched; followThreshold(); whatIfSoon(); });
$("what-apply").addEventListener("click", async () => {
  const name = $("what-camera").value, value = $("what-value").value;
  await act(path("api", "cameras", name, "threshold"), { threshold: Number($("what-threshold").value), seen }, t("threshold_set", { name, value }));
  delete $("what-threshold").dataset.touched;  // from now on it shows what is in force
});
$("what-if").addEventListener("submit", event => event.preventDefault());
$("budget").addEventListener("submit", propose);
$("budget-apply").addEventListener("click", applyBudget);
for (const id of ["budget-camera", "budget-per-day"]) $(id).addEventListener("input", () => { $("budget-apply").hidden = true; });
