// The line at the bottom: errors, what was done, and new alarms.

import { $, ask } from "/page/page.js";
import { t } from "/page/words.js";

const SHOWN_FOR = 5000;
let timer;

// `show`: called by the line's "Show" button, which is hidden without it
export function say(text, { good = false, show = null } = {}) {
  $("alert-text").textContent = text;
  $("alert").hidePopover();
  if (text) $("alert").showPopover();  // above an open dialog, too
  $("alert").className = good ? "good" : "";
  $("alert-show").hidden = !show;
  $("alert-show").onclick = () => { say(""); show(); };
  const room = text ? `${$("alert").offsetHeight + 24}px` : "";  // everything can be scrolled clear of it
  document.body.style.paddingBottom = document.documentElement.style.scrollPaddingBottom = room;
  for (const dialog of document.querySelectorAll("dialog")) dialog.style.paddingBottom = dialog.style.scrollPaddingBottom = room;
  if (text) document.activeElement?.scrollIntoView({ block: "nearest" });
  clearTimeout(timer);
  if (good) timer = setTimeout(() => say(""), SHOWN_FOR);
}

// Elements outside an open dialog cannot be clicked: the line moves into it and back.
export function placeAlert() {
  const alert = $("alert"), shown = alert.matches(":popover-open");
  (document.querySelector("dialog[open]") ?? document.querySelector("main")).prepend(alert);
  if (shown) alert.showPopover();
}

// Sends a command and says `done`, or why it was refused; returns whether it was accepted.
export async function act(url, body, done) {
  try {
    await ask(url, body);
    say(done, { good: true });
    return true;
  } catch (error) {
    say(error.status === 409 ? t("changed_meanwhile", { why: error.message }) : error.message);
    return false;
  }
}

$("alert-close").addEventListener("click", () => say(""));
