// The page's pure modules: geometry, streams, words. Run by tests/end_to_end/test_browser.py with `node --test`.

import assert from "node:assert/strict";
import test from "node:test";

import { clock, percentile, placed, plate, scale, ticks } from "../../../stages/web/assets/geometry.mjs";
import { Stream, runs, sample } from "../../../stages/web/assets/stream.mjs";
import { Announcer, geometryText, phrase, serverError, sentence, browserError } from "../../../stages/web/assets/text.mjs";
import { losses } from "../../../stages/web/assets/findings.mjs";

const LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
const over = (label, share) =>
  Object.fromEntries(LABELS.map((each) => [each, each === label ? share : (1 - share) / (LABELS.length - 1)]));

function face(id, emotion, confidence = 0.7, uncertain = false) {
  const probabilities = over(emotion, confidence);
  return { id, box: [0.25, 0.1, 0.5, 0.5], emotion, confidence, probabilities, uncertain,
    face: { probabilities: over("sad", 0.6), weight: 1, age: 0, uncertain: false } };
}

function result(time, faces, { voice = null, alone = null, source = "face", duration = 33_333_333 } = {}) {
  return { stream: "a", time, duration, source, faces, voice, alone, forced: false,
    timing: { total_ms: 40 + time, hops: [{ stage: "faces", queued_ms: 1, working_ms: 2 }] } };
}

test("a scale goes both ways", () => {
  const { x, time } = scale(10, 40, 600);
  assert.equal(x(10), 0);
  assert.equal(x(40), 600);
  assert.equal(time(x(17.5)), 17.5);
});

test("ticks are round, inside and not too close", () => {
  for (const width of [200, 390, 1000]) {
    for (const [from, to] of [[0, 30], [12.4, 42.4], [95, 155]]) {
      const found = ticks({ from, to, width });
      assert.ok(found.length >= 2);
      assert.ok(found.every((each) => each >= from && each <= to && Number.isInteger(each)));
      assert.ok(((found[1] - found[0]) * width) / (to - from) >= 64);
    }
  }
});

test("times are read as minutes and seconds", () => {
  assert.deepEqual([0, 5, 59.99, 75, 600].map((each) => clock(each)), ["0:00", "0:05", "0:59", "1:15", "10:00"]);
  assert.deepEqual([0, 12.34, 59.96, 75.5].map((each) => clock(each, true)), ["0:00.0", "0:12.3", "1:00.0", "1:15.5"]);
});

test("a mirrored box lies on the other side and keeps its size", () => {
  const picture = { width: 200, height: 100 };
  assert.deepEqual(placed([0.1, 0.2, 0.3, 0.4], picture, false), { x: 20, y: 20, width: 60, height: 40 });
  const mirrored = placed([0.1, 0.2, 0.3, 0.4], picture, true);
  assert.ok(Math.abs(mirrored.x - 120) < 1e-9);
  assert.equal(mirrored.width, 60);
});

test("a plate stays in the picture", () => {
  const picture = { width: 200, height: 100 };
  const size = { width: 90, height: 20 };
  for (const box of [{ x: -20, y: -10, width: 50, height: 50 }, { x: 180, y: 60, width: 40, height: 60 },
    { x: 0, y: 0, width: 200, height: 100 }]) {
    const { x, y } = plate(box, size, picture);
    assert.ok(x >= 0 && x + size.width <= picture.width);
    assert.ok(y >= 0 && y + size.height <= picture.height);
  }
});

test("percentiles", () => {
  assert.equal(percentile([3, 1, 2, 4], 50), 2);
  assert.equal(percentile([3, 1, 2, 4], 95), 4);
  assert.ok(Number.isNaN(percentile([], 50)));
});

test("a result becomes who, what, how sure and whether uncertain", () => {
  const heard = { probabilities: over("angry", 0.8), uncertain: true, weight: 0.2 };
  const both = face(3, "happy", 0.41, true);
  both.face.weight = 0.8;
  const made = sample(result(1, [both], { voice: heard }));
  assert.deepEqual([made.faces[0].who, made.faces[0].uncertain], ["face 3 + voice", true]);
  assert.deepEqual([made.faces[0].alone.emotion, made.faces[0].alone.uncertain], ["sad", false]);
  assert.deepEqual([made.voice.who, made.voice.emotion, made.voice.confidence, made.voice.uncertain], ["voice", "angry", 0.8, true]);
  const alone = sample(result(1, [face(3, "happy")]));
  assert.deepEqual([alone.faces[0].who, alone.faces[0].alone, alone.voice], ["face 3", null, null]);
});

test("a stream knows what held at a time, and for how long", () => {
  const stream = new Stream("a");
  for (let n = 0; n < 30; n++) stream.add(result(n / 10, [face(1, n < 15 ? "happy" : "sad")]), 100 * n);
  assert.equal(stream.at(1.45).faces[0].emotion, "happy");
  assert.equal(stream.at(1.5).faces[0].emotion, "sad");
  assert.equal(stream.at(-1), null);
  assert.ok(stream.at(3.3));
  assert.equal(stream.at(4), null);
  assert.ok(Math.abs(stream.next(1.0, 1) - 1.1) < 1e-9);
  assert.ok(Math.abs(stream.next(1.0, -1, 0.5) - 0.5) < 1e-9);
  assert.equal(stream.next(2.9, 1), 2.9);
  assert.equal(stream.next(0, -1), 0);
});

test("lanes end where nothing follows, and voices come last", () => {
  const stream = new Stream("a");
  const voice = { probabilities: over("sad", 0.5), weight: 0.5 };
  stream.add(result(0, [face(1, "happy")], { voice }));
  stream.add(result(0.1, [face(1, "happy"), face(2, "fear")]));
  stream.add(result(5, [face(2, "fear")]));
  const lanes = stream.lanes(0, 6);
  assert.deepEqual([...lanes.keys()], ["face 1", "face 2", "voice"]);
  assert.equal(lanes.get("face 1")[1].to, 0.1 + 0.6);
  assert.equal(lanes.get("voice")[0].to, 0.1);
});

test("a voice without a face holds until its next result is due, whatever frames come between", () => {
  const stream = new Stream("a");
  const alone = { emotion: "angry", confidence: 0.8, uncertain: false, probabilities: over("angry", 0.8) };
  stream.add(result(1, [], { alone, source: "voice", duration: 500_000_000 }));
  stream.add(result(1.2, []));
  assert.equal(stream.newest.voice.emotion, "angry");
  stream.add(result(1.9, []));
  assert.equal(stream.newest.voice, null);
});

test("a stream is bounded, and begins anew where time jumps back", () => {
  const stream = new Stream("a", 60);
  for (let n = 0; n < 20_000; n++) stream.add(result(n / 30, [face(1, "happy")]), (n * 1000) / 30);
  assert.ok(stream.samples.length < 60 * 30 * 1.3);
  assert.ok(stream._recent.length <= 5 * 30 + 1);
  stream.add(result(0, [face(1, "sad")]), 1e6);
  assert.equal(stream.samples.length, 1);
});

test("silence moves time on only where nothing else does", () => {
  const stream = new Stream("a");
  stream.add(result(1, [face(1, "happy")]), 0);
  stream.silence(1.2, 0);
  assert.equal(stream.newest.faces.length, 1);
  stream.silence(2, 0);
  assert.deepEqual([stream.end, stream.newest.faces.length], [2, 0]);
});

test("rates and latencies are those of the last seconds", () => {
  const stream = new Stream("a");
  for (let n = 0; n < 300; n++) stream.add(result(n / 30, []), (n * 1000) / 30);
  const { rate, latency, hops } = stream.figures(9967);
  assert.ok(Math.abs(rate - 30) < 1);
  assert.ok(latency.p50 > 46 && latency.p95 <= 50);
  assert.deepEqual(hops[0], { stage: "faces", queued: { p50: 1, p95: 1 }, working: { p50: 2, p95: 2 } });
  assert.equal(stream.figures(60_000).rate, 0);
});

test("spans that say the same are one run", () => {
  const span = (from, to, emotion, uncertain = false) => ({ from, to, emotion, uncertain });
  const found = runs([span(0, 1, "happy"), span(1, 2, "happy"), span(2, 3, "happy", true), span(3, 4, "sad"), span(5, 6, "sad")]);
  assert.deepEqual(found.map((each) => [each.emotion, each.uncertain, each.spans.length]),
    [["happy", false, 2], ["happy", true, 1], ["sad", false, 1], ["sad", false, 1]]);
});

test("findings are said as one would", () => {
  const made = sample(result(1, [face(1, "happy", 0.714)], { voice: { probabilities: over("neutral", 0.4), weight: 0.2 } }));
  made.voice.uncertain = true;
  assert.equal(sentence(made), "face 1: happy 71 %; voice: neutral 40 %, uncertain");
  assert.equal(sentence(sample(result(1, []))), "Nobody in view, nobody speaks");
  assert.equal(phrase({ who: "voice", emotion: "sad", confidence: 0.5 }), "voice: sad 50 %");
});

test("where a head and its eyes point is said as the picture shows it", () => {
  const held = { yaw: -3.4, pitch: -5.2, gaze_yaw: 4, gaze_pitch: 1.6, blinks: 1, uncertain: false };
  assert.equal(geometryText(held), "head 3° left, 5° down, gaze 4° right, 2° up, 1 blink");
  assert.match(geometryText({ ...held, blinks: 2, uncertain: true }), /2 blinks, uncertain$/);
  const measured = { ...face(1, "happy"), geometry: held };
  assert.deepEqual(sample(result(1, [measured, face(2, "sad")])).faces.map(({ geometry }) => geometry), [held, null]);
});

test("the announcer says changes of what is shown, not of figures, and not too often", () => {
  const said = [];
  const announcer = new Announcer((text) => said.push(text), 3000);
  const hear = (emotion, confidence, now) => announcer.hear(sample(result(1, [face(1, emotion, confidence)])), now);
  hear("happy", 0.7, 0);
  hear("happy", 0.9, 4000);
  hear("sad", 0.6, 5000);
  hear("fear", 0.6, 6000);
  hear("fear", 0.8, 8100);
  assert.deepEqual(said, ["face 1: happy 70 %", "face 1: sad 60 %", "face 1: fear 80 %"]);
});

test("everything that goes wrong comes with a remedy", () => {
  for (const name of ["NotAllowedError", "NotFoundError", "NotReadableError", "OverconstrainedError", "AbortError",
    "SecurityError", "Insecure", "Failed", "Lost", "Unreachable", "SomethingNew"]) {
    const { what, remedy } = browserError(name, "detail");
    assert.ok(what.length > 10 && remedy.length > 5, name);
  }
  assert.match(serverError(503, "All 8 places are taken; try again later.", "5").remedy, /5 s/);
  assert.match(serverError(401, "", null).remedy, /token/);
  assert.equal(serverError(422, "There is no video.\nmore", null).what, "There is no video.");
});

test("what was left out is counted once each, and forced results are not lost ones", () => {
  const status = { lost: 2, drops: [{ link: "a>b.c", reason: "oldest", count: 3 }], counters: { camera: { frames: 9, skipped: 4 } } };
  const found = losses(status, 5);
  assert.deepEqual(found.map(({ count, kept }) => [count, Boolean(kept)]), [[4, false], [3, false], [2, false], [5, true]]);
  assert.deepEqual(losses(null, 0), []);
});
