// What every part of the page uses: elements, requests, times in the site's time zone.

import { refused } from "/page/refusals.js";
import { locale } from "/page/words.js";

export const $ = id => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

// With the decimal sign of the language.
export const number = (value, digits = 2) => value.toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });

// Sets a text only if it is another one: an unchanged element is not laid out again.
export function write(element, text) { if (element.textContent !== text) element.textContent = text; }

let ahead = 0;  // seconds by which the program's clock is ahead of the browser's
let zone, long, clock, parts;
export function setClock(epoch, timeZone) {
  ahead = epoch - Date.now() / 1000;
  if (timeZone !== zone) inZone(timeZone);
}

function inZone(timeZone) {
  zone = timeZone;
  const made = options => {
    try { return new Intl.DateTimeFormat(locale, { timeZone, ...options }); } catch { return new Intl.DateTimeFormat(locale, options); }
  };
  long = made({ dateStyle: "short", timeStyle: "medium" });
  clock = made({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  parts = made({ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", hourCycle: "h23" });
}
inZone(undefined);

export const now = () => Date.now() / 1000 + ahead;
export const time = epoch => long.format(epoch * 1000);
export const hour = epoch => clock.format(epoch * 1000);  // "06:00"
export const path = (...parts) => "/" + parts.map(encodeURIComponent).join("/");

// The epoch time at which a day ("2026-11-29") begins in the site's time zone.
export function midnight(day) {
  const utc = Date.parse(`${day}T00:00:00Z`);
  let found = utc;
  for (let i = 0; i < 2; i++) {  // the second time corrects for a change of summer time
    const at = Object.fromEntries(parts.formatToParts(found).map(part => [part.type, Number(part.value)]));
    found += utc - Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute);
  }
  return found / 1000;
}

export class Refused extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

const thisPage = Math.random().toString(36).slice(2);

export async function ask(url, body) {
  const options = body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json", "X-Page": thisPage }, body: JSON.stringify(body) };
  const answer = await fetch(url, options);
  if (answer.status === 401) location.reload();
  const content = await answer.json();
  if (!answer.ok) throw new Refused(refused(typeof content.detail === "string" ? content.detail : `refused (${answer.status})`), answer.status);
  return content;
}
