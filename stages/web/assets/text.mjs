// What is said in words: to a screen reader, and where something goes wrong.

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** One finding: "face 1: happy 71 %", "voice: sad 40 %, uncertain". */
export function phrase(finding) {
  return `${finding.who}: ${verdict(finding)}`;
}

/** "happy 71 %", "sad 40 %, uncertain". */
export function verdict({ emotion, confidence, uncertain }) {
  return `${emotion} ${percent(confidence)}${uncertain ? ", uncertain" : ""}`;
}

/** "head 3° left, 5° down, gaze 4° right, 2° up, 1 blink", as the picture shows them. */
export function geometryText({ yaw, pitch, gaze_yaw: gazeYaw, gaze_pitch: gazePitch, blinks, uncertain }) {
  const degrees = (value, positive, negative) => `${Math.abs(Math.round(value))}° ${value > 0 ? positive : negative}`;
  const pointing = (across, up) => `${degrees(across, "right", "left")}, ${degrees(up, "up", "down")}`;
  const counted = `${blinks} ${blinks === 1 ? "blink" : "blinks"}`;
  return `head ${pointing(yaw, pitch)}, gaze ${pointing(gazeYaw, gazePitch)}, ${counted}${uncertain ? ", uncertain" : ""}`;
}

/** Everything a moment shows, as one sentence. */
export function sentence(sample) {
  if (!sample) return "No result";
  const said = [...sample.faces, sample.voice].filter(Boolean).map(phrase);
  return said.length ? said.join("; ") : "Nobody in view, nobody speaks";
}

/** Says what has changed, at a pace that can be listened to. */
export class Announcer {
  /** `say` gets the text; `pace` is the least time between two, in ms. */
  constructor(say, pace = 3000) {
    this._say = say;
    this._pace = pace;
    this._last = "";
    this._at = -Infinity;
  }

  /** Call as often as there is something new; figures alone are no news. */
  hear(sample, now) {
    if (!sample || now - this._at < this._pace) return;
    const gist = JSON.stringify([...sample.faces, sample.voice].map((f) => f && [f.who, f.emotion, f.uncertain]));
    if (gist === this._last) return;
    this._last = gist;
    this._at = now;
    this._say(sentence(sample));
  }
}

const BROWSER_ERRORS = {
  NotAllowedError: ["The browser was not allowed to use the camera or microphone.",
    "Allow both in the address bar or in the browser's settings for this site, then start again."],
  NotFoundError: ["There is no such camera or microphone.",
    "Plug one in, or choose “Camera only” or “Microphone only”."],
  NotReadableError: ["The camera or microphone is in use by another program, or did not start.",
    "Close what uses it (a call, perhaps), then start again."],
  OverconstrainedError: ["The chosen camera or microphone is no longer there.", "Choose another one."],
  Insecure: ["Browsers give cameras and microphones only to secure pages.",
    "Open this page by https, or on the server itself as http://localhost."],
  Failed: ["The connection for pictures and sound failed.",
    "The server may not be reachable from this network: a firewall may stop UDP. Try again."],
  Lost: ["The connection was lost.", "Check that the server is still running, then reconnect."],
  Unreachable: ["The server did not answer.", "Check that it is still running, then try again."],
};
BROWSER_ERRORS.AbortError = BROWSER_ERRORS.NotReadableError;
BROWSER_ERRORS.SecurityError = BROWSER_ERRORS.NotAllowedError;
BROWSER_ERRORS.DevicesNotFoundError = BROWSER_ERRORS.NotFoundError;

/** What went wrong in the browser, as {what, remedy}; `name` is a DOMException's name or one of ours. */
export function browserError(name, detail = "") {
  const [what, remedy] = BROWSER_ERRORS[name] ?? [`Something went wrong${detail ? `: ${detail}` : ""}.`, "Try again."];
  return { what, remedy };
}

/** Why the server did not take an offer, as {what, remedy}; `text` is what it said. */
export function serverError(status, text, retryAfter) {
  const said = text.trim().split("\n")[0].slice(0, 300);
  const wait = retryAfter ? `Try again in ${retryAfter} s.` : "Try again in a moment.";
  if (status === 401) return { what: said || "The server asks for a token.", remedy: "Enter the right token." };
  if (status === 403) return { what: said || "The server refused.", remedy: "Open the page by the server's own name." };
  if (status === 404) return { what: "This server takes no cameras.", remedy: "Its graph has no webrtc stage." };
  if (status === 503) return { what: said || "The server is full.", remedy: wait };
  if (status === 429) return { what: said || "Too many people are starting at once.", remedy: wait };
  return { what: said || `The server refused (${status}).`, remedy: "Try another browser, or tell whoever runs it." };
}
