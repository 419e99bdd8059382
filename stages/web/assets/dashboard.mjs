// What is shown of the streams: the picture, the table of now, the time line, and how well all of it runs.

import { TimeCursor } from "./cursor.mjs";
import { element, losses, ms, showHops, showLosses, showMix, showNow } from "./findings.mjs";
import { drawOverlay } from "./overlay.mjs";
import { Palette } from "./palette.mjs";
import { begin } from "./canvas.mjs";
import { Stream } from "./stream.mjs";
import { drawTimeline } from "./timeline.mjs";
import { Announcer } from "./text.mjs";

const STALE_MS = 1500; // ms after which a box says nothing of what the camera sees
const MAX_AHEAD_S = 0.5; // s by which the time line may run on while nothing comes
const PICTURE_PERIOD_MS = 30; // ms between two drawings of what lies over the picture
const TIMELINE_PERIOD_MS = 80; // ms between two of the time line, which takes longer and moves slowly
const TEXT_PERIOD_MS = 250; // ms between two changes of what is said: figures that change faster cannot be read
const MAX_PENDING_PICTURES = 12; // pictures that wait for their results

const NOTHING = new Stream("");

const $ = (id) => document.getElementById(id);

export class Dashboard {
  constructor({ labels, others, history }) {
    this.palette = new Palette(labels, others, () => this._legend());
    this.live = false;
    this.mirrored = false;
    this.connection = "";
    this.chose = () => {};
    this.chosen = null;
    this._keep = Math.max(history, 60) * 2;
    this._streams = new Map();
    this._cursor = new TimeCursor(() => this._current, this._keep);
    this._pictures = [];
    this._status = null;
    this._said = null; // the result that picture, table and time line speak of
    this._saidOf = null; // its stream
    this._calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this._announcer = new Announcer((text) => ($("said").textContent = text));
    this._drawn = { picture: 0, line: 0, words: 0 };
    this._legend();
  }

  /** Show the streams of a sender (`live`) or an observer. */
  open({ live, pictures = true }) {
    this.live = live;
    this.mirrored = false;
    this.begin();
    $("frames").hidden = live || !pictures;
    this.blank(live || pictures ? "" : "This run sends no pictures to the page: only where the faces are.");
    $("picture-title").textContent = live ? "Your camera" : "Picture";
    if (!this._running) requestAnimationFrame((now) => this._draw(now));
    this._running = true;
  }

  /** All that was known belongs to a connection that is over. */
  begin() {
    this._streams.clear();
    this._pictures = [];
    this._status = null;
    this.chosen = null;
    this._cursor.resume();
  }

  blank(text) {
    $("blank").textContent = text;
    $("blank").hidden = !text;
  }

  /** The picture has this size: boxes lie on it only if the screen has its shape. */
  shape(width, height) {
    if (width && height) $("screen").style.aspectRatio = `${width} / ${height}`;
  }

  /** Whether every stream has ended. */
  get ended() {
    return this._streams.size > 0 && [...this._streams.values()].every((stream) => stream.ended);
  }

  take(message, now) {
    switch (message.type) {
      case "streams":
        this._keepOnly(message.streams.map(({ stream }) => stream));
        for (const { stream, ended } of message.streams) this._stream(stream).ended = ended;
        this._choose();
        break;
      case "history":
        for (const result of message.results) this._stream(result.stream).add(result);
        break;
      case "result":
        this._stream(message.stream).add(message, now);
        if (message.stream === this.chosen && this._cursor.at === null) this._announcer.hear(this._current.newest, now);
        break;
      case "gap":
        this._stream(message.stream).silence(message.pts / 1e9, now);
        break;
      case "eos":
        this._stream(message.stream).ended = true;
        this._choose();
        break;
      case "status":
        this._status = message;
        break;
    }
  }

  /** A picture of the stream that is watched; it waits for its result, so that boxes lie where they belong. */
  async picture(header, blob) {
    if (header.stream !== this.chosen) return;
    const image = await createImageBitmap(blob);
    if (header.stream !== this.chosen) return image.close(); // another one has been chosen meanwhile
    this._pictures.push({ time: header.pts / 1e9, image });
    while (this._pictures.length > MAX_PENDING_PICTURES) this._pictures.shift().image.close();
  }

  /** The server has forgotten the others: they ended long ago. */
  _keepOnly(names) {
    for (const name of this._streams.keys()) if (!names.includes(name)) this._streams.delete(name);
  }

  get _current() {
    return this._streams.get(this.chosen) ?? null;
  }

  _stream(name) {
    if (!this._streams.has(name)) {
      this._streams.set(name, new Stream(name, this._keep));
      this._choose();
    }
    const stream = this._streams.get(name);
    return stream;
  }

  // -- choosing ---------------------------------------------------------------------

  _choose(name = this.chosen) {
    const running = [...this._streams.values()].find((stream) => !stream.ended);
    const wanted = this._streams.has(name) ? name : (running?.name ?? [...this._streams.keys()].at(-1) ?? null);
    if (wanted !== this.chosen) {
      this.chosen = wanted;
      this._pictures = [];
      this._cursor.resume();
      if (wanted !== null) this.chose(wanted);
    }
    const several = this._streams.size > 1;
    $("streams").hidden = !several;
    if (!several) return;
    $("streams").replaceChildren(
      ...[...this._streams.values()].map((stream) => {
        const text = stream.ended ? `${stream.name} (ended)` : stream.name;
        const button = element("button", { type: "button", text, onclick: () => this._choose(stream.name) });
        button.setAttribute("aria-pressed", String(stream.name === this.chosen));
        return button;
      }),
    );
  }

  // -- drawing --------------------------------------------------------------------------------------------------

  _legend() {
    const swatch = (name, colour, uncertain) => {
      const mark = element("span", { className: uncertain ? "swatch uncertain" : "swatch" });
      mark.style.setProperty("--colour", colour);
      return element("li", { children: [mark, name] });
    };
    const labels = [...this.palette.values()].map(({ name, colour }) => swatch(name, colour, false));
    $("legend").replaceChildren(...labels, swatch("uncertain", "var(--muted)", true));
  }

  _draw(now) {
    requestAnimationFrame((next) => this._draw(next));
    if (now - this._drawn.picture < PICTURE_PERIOD_MS) return;
    this._drawn.picture = now;
    const stream = this._current;
    const fresh = stream && !stream.ended && now - stream.heard < STALE_MS;
    if (!this.live) this._drawPicture(stream);
    const seen = this.live ? (fresh ? stream.newest : null) : this._seen(stream);
    if (now - this._drawn.words > TEXT_PERIOD_MS || this._cursor.at !== null || stream !== this._saidOf) this._words(stream, seen, now);
    drawOverlay($("overlay"), seen, { ...this._look, said: this._cursor.at === null ? this._said : seen });
    if (now - this._drawn.line < (this._calm.matches ? 500 : TIMELINE_PERIOD_MS)) return;
    this._drawn.line = now;
    const running = fresh && !this._calm.matches ? Math.min((now - stream.heard) / 1000, MAX_AHEAD_S) : 0;
    const shown = stream ?? NOTHING;
    const { at, frozen, span } = this._cursor;
    const to = Math.max(frozen ?? shown.end + running, span);
    this._cursor.scale = drawTimeline($("timeline"), shown, { from: to - span, to, at, said: this._said, palette: this.palette });
  }

  get _look() {
    return { palette: this.palette, mirrored: this.mirrored };
  }

  /** Show the newest picture whose result is there, or the newest at all where results stay away. */
  _drawPicture(stream) {
    const known = stream?.end ?? -1;
    const ready = this._pictures.findLastIndex(({ time }) => time <= known + 1e-6);
    const chosen = ready >= 0 ? ready : this._pictures.length === MAX_PENDING_PICTURES ? 0 : -1;
    if (chosen < 0) return;
    const gone = this._pictures.splice(0, chosen + 1);
    this._shown?.image.close();
    this._shown = gone.pop();
    for (const { image } of gone) image.close();
    const { image } = this._shown;
    this.shape(image.width, image.height);
    const frames = $("frames");
    begin(frames, frames.clientWidth, frames.clientHeight)
      .drawImage(image, 0, 0, frames.clientWidth, frames.clientHeight);
  }

  /** The result of the picture that is shown; without pictures the newest. */
  _seen(stream) {
    if (!stream || stream.ended) return null;
    return stream.at(($("frames").hidden ? stream.end : (this._shown?.time ?? stream.end)) + 1e-6);
  }

  /** Say what is seen, or what was at the chosen moment: one result for the picture, the table and the time line. */
  _words(stream, seen, now) {
    this._drawn.words = now;
    this._saidOf = stream;
    this._drawn.line = -Infinity; // the time line says it, too
    this._said = this._cursor.at === null ? (seen ?? stream?.newest ?? null) : stream?.at(this._cursor.at);
    showNow($("now"), this._said, this.palette);
    showMix($("mix"), this._said, this.palette);
    const figures = stream?.figures(now);
    const found = losses(this._status, stream?.forced ?? 0);
    $("latency").textContent = ms(figures?.latency.p50);
    $("latency95").textContent = ms(figures?.latency.p95);
    $("rate").textContent = figures?.rate ? `${figures.rate.toFixed(0)} /s` : "–";
    $("lost").textContent = String(found.filter(({ kept }) => !kept).reduce((sum, { count }) => sum + count, 0));
    if (!document.querySelector("details.details").open) return;
    showHops($("hops"), figures?.hops ?? []);
    showLosses($("losses"), found);
    $("connection").textContent = this.connection || "–";
  }
}
