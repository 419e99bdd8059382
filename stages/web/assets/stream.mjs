// What is known of one stream: the newest results as samples, and how fast and how old they have lately been.

import { percentile } from "./geometry.mjs";

const RECENT_MS = 5000; // ms that rates and latencies are taken over
const HOLD_S = 0.6; // s that a sample stands for, if nothing follows it
const MAX_SAMPLES = 6000; // samples
const MIN_JUMP_S = 1; // s

/** The likeliest label of a distribution, with its probability. */
export function likeliest(probabilities) {
  const [emotion, confidence] = Object.entries(probabilities).reduce((best, each) => (each[1] > best[1] ? each : best));
  return { emotion, confidence };
}

/** What one half says by itself: {emotion, confidence, uncertain, probabilities}. */
function alone({ probabilities, uncertain }) {
  return { ...likeliest(probabilities), uncertain, probabilities };
}

/** A result of the server as the page shows it: who (`face 3`, `voice`, `face 3 + voice`), where, and what they express. */
export function sample(result) {
  const { voice } = result;
  const spoken = result.alone ?? voice;
  return {
    time: result.time,
    forced: result.forced,
    faces: result.faces.map((face) => {
      const together = voice !== null && face.face.weight < 1;
      return {
        who: together ? `face ${face.id} + voice` : `face ${face.id}`,
        lane: `face ${face.id}`,
        box: face.box,
        emotion: face.emotion,
        confidence: face.confidence,
        uncertain: face.uncertain,
        probabilities: face.probabilities,
        alone: together ? alone(face.face) : null,
        geometry: face.geometry ?? null,
      };
    }),
    voice: spoken && { who: "voice", lane: "voice", ...alone(spoken) },
  };
}

export class Stream {
  /** `span`: how many seconds of samples are kept. */
  constructor(name, span = 150) {
    this.name = name;
    this.ended = false;
    this.samples = [];
    this.heard = -Infinity; // when (ms) the newest result came
    this.forced = 0;
    this._span = span;
    this._voiceAlone = { voice: null, until: -Infinity }; // the voice while no face is in view
    this._recent = []; // {at, timing}
  }

  /** Take a result in; `now` in ms of a clock that never goes back. Those of the past come without it. */
  add(result, now) {
    const added = sample(result);
    // Frames without a face know nothing of the voice; its own results hold until the next is due.
    if (result.source === "voice") this._voiceAlone = { voice: added.voice, until: result.time + result.duration / 1e9 };
    else if (!added.faces.length && added.time <= this._voiceAlone.until) added.voice ??= this._voiceAlone.voice;
    if (added.time < this.end - MIN_JUMP_S) this.samples = []; // its time has jumped back
    this.samples.push(added);
    const from = added.time - this._span;
    if (this.samples.length > MAX_SAMPLES || this.samples[0].time < from - this._span / 4) {
      this.samples = this.samples.filter((each) => each.time >= from).slice(-MAX_SAMPLES);
    }
    if (now === undefined) return;
    this.heard = now;
    this.forced += added.forced;
    this._recent.push({ at: now, timing: result.timing });
    this._forget(now);
  }

  /** Silence until `time`. Where frames come as well they say more; alone it moves the time line on. */
  silence(time, now) {
    if (time < this.end + HOLD_S) return;
    this.samples.push({ time, forced: false, faces: [], voice: null });
    this.heard = now;
  }

  /** The newest time, in s. */
  get end() {
    return this.samples.length ? this.samples[this.samples.length - 1].time : 0;
  }

  get newest() {
    return this.samples[this.samples.length - 1] ?? null;
  }

  /** The sample that holds at `time`, if one does. */
  at(time) {
    const index = this._before(time);
    return index >= 0 && time - this.samples[index].time <= HOLD_S ? this.samples[index] : null;
  }

  /** The time of the next sample in a direction (1 or -1) that is at least `step` s away, or of the outermost. */
  next(time, direction, step = 0.1) {
    const later = this.samples.filter((each) => (each.time - time) * direction >= step);
    const found = direction > 0 ? later[0] : later[later.length - 1];
    const outermost = direction > 0 ? this.end : this.samples[0]?.time;
    return found?.time ?? outermost ?? time;
  }

  /** Faces and voice seen between two times, each with its spans: {from, to, emotion, confidence, …}. */
  lanes(from, to) {
    const lanes = new Map();
    const first = Math.max(0, this._before(from));
    for (let index = first; index < this.samples.length && this.samples[index].time <= to; index++) {
      const each = this.samples[index];
      const until = Math.min(this.samples[index + 1]?.time ?? Infinity, each.time + HOLD_S);
      for (const finding of [...each.faces, each.voice]) {
        if (!finding) continue;
        if (!lanes.has(finding.lane)) lanes.set(finding.lane, []);
        lanes.get(finding.lane).push({ from: each.time, to: until, ...finding });
      }
    }
    const faces = [...lanes.keys()].filter((who) => who !== "voice");
    return new Map([...faces, ...(lanes.has("voice") ? ["voice"] : [])].map((who) => [who, lanes.get(who)]));
  }

  /** Results a second, the latency from capture to the server's page stage, and that of each hop (ms), lately. */
  figures(now) {
    this._forget(now);
    const timings = this._recent.map((each) => each.timing);
    const spread = (values) => ({ p50: percentile(values, 50), p95: percentile(values, 95) });
    const hops = new Map();
    for (const timing of timings) {
      for (const hop of timing.hops) {
        if (!hops.has(hop.stage)) hops.set(hop.stage, { queued: [], working: [] });
        hops.get(hop.stage).queued.push(hop.queued_ms);
        hops.get(hop.stage).working.push(hop.working_ms);
      }
    }
    const last = timings[0]?.hops.at(-1)?.stage; // the page's own, whatever way a result took
    const since = this._recent.length ? Math.max(now - this._recent[0].at, 1000) : 1000;
    return {
      rate: (this._recent.length * 1000) / since,
      latency: spread(timings.map((timing) => timing.total_ms)),
      hops: [...hops].sort((one, other) => (one[0] === last) - (other[0] === last)).map(([stage, hop]) => ({ stage, queued: spread(hop.queued), working: spread(hop.working) })),
    };
  }

  _before(time) {
    let low = 0;
    let high = this.samples.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.samples[middle].time <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  _forget(now) {
    while (this._recent.length && this._recent[0].at < now - RECENT_MS) this._recent.shift();
  }
}

/** Neighbouring spans that say the same, joined: {emotion, uncertain, spans}. */
export function runs(spans) {
  const joined = [];
  for (const span of spans) {
    const last = joined[joined.length - 1];
    const follows = last && span.from - last.spans[last.spans.length - 1].to < 0.05;
    if (follows && last.emotion === span.emotion && last.uncertain === span.uncertain) last.spans.push(span);
    else joined.push({ emotion: span.emotion, uncertain: span.uncertain, spans: [span] });
  }
  return joined;
}
