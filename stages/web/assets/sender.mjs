// Camera and microphone to the server, by WHIP (RFC 9725).

import { bearer } from "./feed.mjs";
import { serverError, browserError } from "./text.mjs";

const GATHERING_MS = 1000; // ms for finding our own addresses
const LOADING_S = 180; // s that a server may take to load its models
const VIDEO_CONSTRAINTS = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
// What a browser does for calls changes the voice: its level, and what it takes for noise.
const AUDIO_CONSTRAINTS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** What the person is told instead of what went wrong inside: `what` and `remedy`. */
export class UserError extends Error {
  constructor({ what, remedy }) {
    super(what);
    this.what = what;
    this.remedy = remedy;
  }
}

/** Which cameras and microphones there are; their names are empty until one was allowed. */
export async function devices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return { camera: all.filter((d) => d.kind === "videoinput"), microphone: all.filter((d) => d.kind === "audioinput") };
}

/** Ask the person for what `wanted` names: {camera, microphone}, each a device's id, "" for any, or null for none. */
export async function capture({ camera, microphone }) {
  if (!navigator.mediaDevices?.getUserMedia) throw new UserError(browserError("Insecure"));
  const exactly = (id, rest) => (id === null ? false : id ? { ...rest, deviceId: { exact: id } } : rest);
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: exactly(camera, VIDEO_CONSTRAINTS),
      audio: exactly(microphone, AUDIO_CONSTRAINTS),
    });
  } catch (error) {
    throw new UserError(browserError(error.name, error.message));
  }
}

export class Sender {
  /** `on` has `state(RTCPeerConnectionState)` and `unplugged(track)`: a device was unplugged. */
  constructor({ token, on }) {
    this._token = token;
    this._on = on;
    this._resource = null;
    this._peer = new RTCPeerConnection({ iceServers: [] });
    this._peer.onconnectionstatechange = () => this._peer && on.state(this._peer.connectionState);
  }

  /** Offer what `media` holds; returns the session's secret. */
  async start(media) {
    const peer = this._peer;
    for (const track of media.getTracks()) {
      peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
      track.onended = () => this._on.unplugged(track);
    }
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    const answer = await this._post(peer.localDescription.sdp);
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
    for (const sender of peer.getSenders()) await keepResolution(sender);
    return this._resource.pathname.split("/").pop();
  }

  /** Send another device's track in the place of the one of its kind. */
  async replace(track) {
    const sender = this._peer.getSenders().find((each) => each.track?.kind === track.kind);
    await sender?.replaceTrack(track);
    track.onended = () => this._on.unplugged(track);
  }

  /** End the session, also while the page is being left. */
  stop() {
    const peer = this._peer;
    this._peer = null;
    peer?.close();
    if (!this._resource) return;
    fetch(this._resource, { method: "DELETE", headers: bearer(this._token), keepalive: true }).catch(() => {
      // The server notices by itself, a little later.
    });
    this._resource = null;
  }

  /** The server's response, once it has loaded its models: until then it asks us to come again in a second. */
  async _offer(sdp) {
    const headers = { "Content-Type": "application/sdp", ...bearer(this._token) };
    for (let second = 0; ; second++) {
      let response;
      try {
        response = await fetch("/whip", { method: "POST", headers, body: sdp });
      } catch {
        throw new UserError(browserError("Unreachable"));
      }
      const loading = response.status === 503 && response.headers.get("Retry-After") === "1";
      if (!loading || second === LOADING_S || !this._peer) return response;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  async _post(sdp) {
    const response = await this._offer(sdp);
    const text = await response.text();
    if (response.status !== 201) {
      const error = new UserError(serverError(response.status, text, response.headers.get("Retry-After")));
      error.status = response.status;
      throw error;
    }
    this._resource = new URL(response.headers.get("Location"), window.location);
    return text;
  }
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, GATHERING_MS);
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
  });
}

/** A face needs its pixels more than every frame: without this 720p starts at a quarter of them. */
async function keepResolution(sender) {
  if (sender.track?.kind !== "video") return;
  const parameters = sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  await sender.setParameters(parameters).catch(() => {
    // Not every browser knows this; it ramps up then.
  });
}
