// Tuning: which alarms another threshold would have raised, and a threshold for a budget of false alarms.

import { act } from "/page/alert.js";
import { cameras } from "/page/cameras.js";
import { $, ask, make, path, time } from "/page/page.js";

// The slider shows the threshold in force until somebody moves it.
export function showThreshold() {
  if (!$("what-threshold").dataset.touched && cameras.size) followThreshold();
}

function followThreshold() {
  const camera = cameras.get($("what-camera").value);
  if (camera?.state.threshold === undefined) return;
  $("what-threshold").value = camera.state.threshold;
  $("what-value").textContent = camera.state.threshold.toFixed(2);
}

const leftOut = found => found.left_out_before === null ? "" :
  `Scores before ${time(found.left_out_before)} are left out: they are from another bundle and on another scale.`;

let asking = 0, soon;
function whatIfSoon() {
  $("what-threshold").dataset.touched = "yes";
  $("what-value").textContent = Number($("what-threshold").value).toFixed(2);
  clearTimeout(soon);
  soon = setTimeout(whatIf, 200);
}

async function whatIf() {
  const mine = ++asking;
  $("what-answer").textContent = "Searching the history ...";
  try {
    const parameters = new URLSearchParams({ camera: $("what-camera").value, threshold: $("what-threshold").value,
      since: $("what-since").value });
    if ($("what-duration").value) parameters.set("min_duration", $("what-duration").value);
    const answer = await ask(`/api/what-if?${parameters}`);
    if (mine !== asking) return;
    const rate = answer.days > 0.5 ? `, ${(answer.alarms.length / answer.days).toFixed(2)} per day` : "";
    $("what-answer").textContent = `${answer.alarms.length} alarms in ${answer.days.toFixed(2)} scored days${rate} ` +
      `(minimum duration ${answer.min_duration} s${answer.alarms.length > 100 ? "; the newest 100 are shown" : ""}). ${leftOut(answer)}`;
    $("what-list").replaceChildren(...answer.alarms.slice(-100).reverse().map(a =>
      make("li", {}, `${time(a.start)}, ${a.end === null ? "open" : (a.end - a.start).toFixed(1) + " s"}, top ${a.top_score.toFixed(2)}`)));
  } catch (error) { if (mine === asking) $("what-answer").textContent = error.message; }
}

const methods = { counted: "counted in", extrapolated: "extrapolated from the highest episodes of", quiet: "from the few events of" };

async function propose(event) {
  event.preventDefault();
  const answer = $("budget-answer"), camera = $("budget-camera").value;
  $("budget-apply").hidden = true;
  answer.textContent = "Searching the history ...";
  try {
    const found = await ask(`/api/suggestion?${new URLSearchParams({ camera, per_day: $("budget-per-day").value })}`);
    const proposal = found.proposal, lines = [];
    if (found.misfit) lines.push(make("p", { class: "problem" }, `The threshold no longer fits: ${found.misfit}.`));
    if (found.left_out_before !== null) lines.push(make("p", { class: "faint" }, leftOut(found)));
    if (!proposal) lines.push(make("p", {}, `No proposal: only ${(found.days * 24).toFixed(1)} hours were scored; half a day is needed.`));
    else {
      lines.push(make("p", {}, `Threshold ${proposal.threshold} (now ${found.threshold_now.toFixed(3)}): ${proposal.per_day.toFixed(2)} false alarms per day, ` +
        `95 % interval ${proposal.low.toFixed(2)} to ${proposal.high.toFixed(2)} (${methods[proposal.method]} ${proposal.days.toFixed(1)} scored days).`));
      if (proposal.found + proposal.missed.length) lines.push(make("p", {}, `Of ${proposal.found + proposal.missed.length} alarms marked as true, ${proposal.found} are kept` +
        (proposal.missed.length ? `; missed: ${proposal.missed.map(span => time(span[0])).join(", ")}.` : ".")));
      $("budget-apply").hidden = false;
    }
    answer.replaceChildren(...lines);
  } catch (error) { answer.textContent = error.message; }
}

async function applyBudget() {
  const camera = $("budget-camera").value;
  try {
    const done = await ask(path("api", "cameras", camera, "budget"), { per_day: Number($("budget-per-day").value) });
    $("budget-answer").replaceChildren(make("p", {}, `Threshold of ${camera} set to ${done.proposal.threshold}.`));
    $("budget-apply").hidden = true;
  } catch (error) { $("budget-answer").textContent = error.message; }
}

$("what-threshold").addEventListener("input", whatIfSoon);
for (const id of ["what-since", "what-duration"]) $(id).addEventListener("change", whatIfSoon);
$("what-camera").addEventListener("change", () => { followThreshold(); whatIfSoon(); });
$("what-apply").addEventListener("click", () => act(path("api", "cameras", $("what-camera").value, "threshold"),
  { threshold: Number($("what-threshold").value) }, `Threshold of ${$("what-camera").value} set to ${$("what-value").value}.`));
$("what-if").addEventListener("submit", event => event.preventDefault());
$("budget").addEventListener("submit", propose);
$("budget-apply").addEventListener("click", applyBudget);
for (const id of ["budget-camera", "budget-per-day"]) $(id).addEventListener("input", () => { $("budget-apply").hidden = true; });
