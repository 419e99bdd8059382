// The moment that is looked at, by pointer or by keyboard, and whether the time line stands still for it.

import { clock } from "./geometry.mjs";
import { sentence } from "./text.mjs";

const $ = (id) => document.getElementById(id);

export class TimeCursor {
  /** `current()` is the stream that is shown, or null; `keep` is how many seconds of it are there to look at. */
  constructor(current, keep) {
    this.at = null; // s; null: now
    this.frozen = null; // the end of the time line while it is paused, in s
    this.span = 30; // the time line's length, in s
    this.scale = null; // its mapping of pixels to times
    this._current = current;
    this._keep = keep;
    this._listen();
  }

  pause() {
    const stream = this._current();
    if (stream && this.frozen === null) this.frozen = stream.end;
    this._tell();
  }

  resume() {
    this.frozen = null;
    this.at = null;
    this._tell();
  }

  _listen() {
    const line = $("timeline");
    line.addEventListener("pointermove", (event) => this._point(event));
    line.addEventListener("pointerdown", (event) => {
      this.pause();
      this._point(event);
    });
    line.addEventListener("pointerleave", () => {
      if (this.frozen !== null) return;
      this.at = null;
      this._say();
    });
    line.addEventListener("keydown", (event) => this._key(event));
    $("pause").onclick = () => this._toggle();
    for (const button of document.querySelectorAll(".span")) {
      button.onclick = () => this._zoom(Number(button.dataset.span));
    }
    this._zoom(this.span);
  }

  _point(event) {
    if (!this.scale || !this._current()) return;
    const time = this.scale.time(event.clientX - $("timeline").getBoundingClientRect().left);
    this.at = Math.min(Math.max(time, this.scale.from), this.scale.to);
    this._say();
  }

  _key(event) {
    const stream = this._current();
    if (!stream || event.altKey || event.ctrlKey || event.metaKey) return;
    const from = this.at ?? stream.end;
    const moments = {
      ArrowLeft: () => stream.next(from, -1),
      ArrowDown: () => stream.next(from, -1),
      ArrowRight: () => stream.next(from, 1),
      ArrowUp: () => stream.next(from, 1),
      PageUp: () => stream.next(from, 1, 2),
      PageDown: () => stream.next(from, -1, 2),
      Home: () => this.scale?.from ?? from,
      End: () => stream.end,
    };
    if (event.key === "Escape") {
      this.resume();
    } else if (event.key === " ") {
      this._toggle();
    } else if (event.key in moments) {
      this.pause();
      this.at = moments[event.key]();
      this.frozen = Math.max(this.at, Math.min(this.frozen, this.at + this.span)); // it stays in view
      this._say();
    } else {
      return;
    }
    event.preventDefault();
  }

  _toggle() {
    if (this.frozen === null) this.pause();
    else this.resume();
  }

  _zoom(span) {
    this.span = span;
    for (const button of document.querySelectorAll(".span")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.span) === span));
    }
  }

  _tell() {
    $("pause").setAttribute("aria-pressed", String(this.frozen !== null));
    $("pause").textContent = this.frozen === null ? "Pause" : "Back to now";
    this._say();
  }

  /** What the slider stands at, for those who hear it. */
  _say() {
    const line = $("timeline");
    const stream = this._current();
    const end = stream?.end ?? 0;
    const at = this.at ?? end;
    line.setAttribute("aria-valuemin", Math.max(0, end - this._keep).toFixed(1));
    line.setAttribute("aria-valuemax", end.toFixed(1));
    line.setAttribute("aria-valuenow", at.toFixed(1));
    line.setAttribute("aria-valuetext", this.at === null ? "now" : `${clock(at, true)}: ${sentence(stream?.at(at))}`);
    $("now-title").textContent = this.at === null ? "Now" : `At ${clock(at, true)}`;
  }
}
