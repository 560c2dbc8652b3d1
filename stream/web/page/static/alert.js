// The line below the header, or on top of an open dialog: errors, what was done, and new alarms. What follows it moves
// down, so that it covers nothing.

import { $, ask } from "/page/page.js";
import { t } from "/page/words.js";

const SHOWN_FOR = 5000;
let timer;

// `show`: called by the line's "Show" button, which is hidden without it
export function say(text, { good = false, show = null } = {}) {
  $("alert-text").textContent = text;
  $("alert").hidden = !text;
  $("alert").className = good ? "good" : "";
  $("alert-show").hidden = !show;
  $("alert-show").onclick = () => { say(""); show(); };
  if (text && !document.activeElement?.matches("body, section, dialog")) document.activeElement?.scrollIntoView({ block: "nearest" });
  clearTimeout(timer);
  if (good) timer = setTimeout(() => say(""), SHOWN_FOR);
}

// Elements outside an open dialog cannot be clicked: the line moves into it and back.
export function placeAlert() {
  const dialog = document.querySelector("dialog[open]");
  if (dialog) dialog.prepend($("alert")); else $("top").append($("alert"));
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
new ResizeObserver(() => { document.documentElement.style.scrollPaddingTop = `${$("top").offsetHeight}px`; }).observe($("top"));
