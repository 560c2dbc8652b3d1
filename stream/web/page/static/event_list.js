// A list of events, newest first: requested in pages, and kept up to date from the stream. Each page is a list element
// of its own, so that a browser does not lay out thousands of events to add some.

import { say } from "/page/alert.js";
import { acknowledge, detail, judge } from "/page/detail.js";
import { isQuiet, isUnanswered, isUnjudged, verdicts, words } from "/page/event_words.js";
import { ask, make, path } from "/page/page.js";
import { t } from "/page/words.js";

const PAGE = 30;

function row(event) {
  const [title, when, verdict] = words(event);
  const image = event.snapshot ? make("img", { src: path("api", "events", event.id, "thumbnail.jpg"), alt: "", loading: "lazy", decoding: "async" }) :
    make("span", { class: "faint" }, t("no_image"));
  const open = make("button", { class: isQuiet(event) ? "event quiet" : "event", type: "button", onclick: () => detail(event.id) },
    image, make("span", { class: "words" }, make("strong", {}, title), make("span", {}, when), make("span", { class: "faint" }, verdict)));
  const answers = [
    ...(isUnanswered(event) ? [make("button", { type: "button", onclick: () => acknowledge(event.id) }, t("acknowledge"))] : []),
    ...(isUnjudged(event) ? verdicts.map(said => make("button", { type: "button", onclick: () => judge(event.id, said) }, t(said))) : []),
  ];
  return make("li", { "data-id": event.id }, open, answers.length ? make("div", { class: "answers operators" }, ...answers) : null);
}

export class EventList {
  // `query`: parameters of /api/events; `belongs`: whether an event is one of them; `empty`: key of what is said if none is
  constructor(element, { query, belongs, empty, shown = () => {} }) {
    element.append(make("ol"));
    Object.assign(this, { element, query, belongs, empty, shown, events: [], heard: null, more: false });
  }

  async list(older = false) {
    if (older && this.heard) return;
    const told = this.heard = [];
    const before = older && this.events.length ? { before: this.events.at(-1).start_time } : {};
    try {
      const found = await ask(`/api/events?${new URLSearchParams({ ...this.query(), limit: PAGE, ...before })}`);
      if (told !== this.heard) return;  // a newer request is under way
      const page = make("ol", {}, ...found.map(row));
      const focused = older || !this.element.contains(document.activeElement) ? null : document.activeElement.closest("li").dataset.id;
      if (older) this.element.append(page); else this.element.replaceChildren(page);
      if (focused) this.row(focused)?.firstElementChild.focus();
      this.events = older ? this.events.concat(found) : found;
      this.more = found.length === PAGE;
      this.heard = null;
      told.forEach(event => this.take(event));  // the answer may be older than these
      this.say();
    } catch (error) { if (told === this.heard) say(error.message); } finally { if (told === this.heard) this.heard = null; }
  }

  // News of an event: it is entered, drawn again or removed.
  take(event) {
    this.heard?.push(event);
    const at = this.events.findIndex(known => known.id === event.id);
    const whole = { verdict: null, ...this.events[at], ...event };
    if (at >= 0 && this.belongs(whole)) {
      this.events[at] = whole;
      this.redraw(whole);
    } else if (at >= 0) {
      this.remove(at);
      if (this.more && this.events.length < PAGE / 2 && !this.heard) {
        this.list();
        this.heard.push(event);  // the answer may be older than it
      }
    } else if (this.belongs(whole) && (event.type === "new" || whole.moved)) {
      this.enter(whole);
    }
    this.say();
    return whole;
  }

  enter(event) {
    const found = this.events.findIndex(known => known.start_time < event.start_time), at = found < 0 ? this.events.length : found;
    this.events.splice(at, 0, event);
    const fresh = row(event), next = this.rows()[at];
    if (next) next.before(fresh); else this.element.lastElementChild.append(fresh);
  }

  // The keyboard focus goes on to the next row.
  remove(at) {
    const rows = this.rows(), focused = rows[at].contains(document.activeElement);
    this.events.splice(at, 1);
    rows[at].remove();
    if (focused) (rows[at + 1] ?? rows[at - 1])?.firstElementChild.focus();
  }

  // Its place in the list and the keyboard focus stay.
  redraw(event) {
    const old = this.row(event.id);
    const focused = old.contains(document.activeElement), fresh = row(event);
    old.replaceWith(fresh);
    if (focused) fresh.firstElementChild.focus();
  }

  row(id) { return this.element.querySelector(`[data-id="${CSS.escape(id)}"]`); }

  rows() { return this.element.querySelectorAll("li[data-id]"); }

  say() {
    this.element.querySelector("p")?.remove();
    if (!this.events.length && !this.more) this.element.prepend(make("p", { class: "faint" }, t(this.empty)));
    this.shown(this);
  }
}
