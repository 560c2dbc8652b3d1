// What every part of the page uses: elements, requests, times.

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

let ahead = 0;  // seconds by which the program's clock is ahead of the browser's
export function setClock(epoch) { ahead = epoch - Date.now() / 1000; }
export const now = () => Date.now() / 1000 + ahead;

export const time = epoch => new Date(epoch * 1000).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
export const path = (...parts) => "/" + parts.map(encodeURIComponent).join("/");

export async function ask(url, body) {
  const options = body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(url, options);
  if (answer.status === 401) location.reload();
  const content = await answer.json();
  if (!answer.ok) throw new Error(typeof content.detail === "string" ? content.detail : `refused (${answer.status})`);
  return content;
}
