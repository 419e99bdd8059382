// The page: starting, sending, watching, and what is shown meanwhile.

import { Dashboard } from "./dashboard.mjs";
import { bearer, Feed, keepToken, token } from "./feed.mjs";
import { Sender, UserError, capture, devices } from "./sender.mjs";
import { serverError, browserError } from "./text.mjs";

const $ = (id) => document.getElementById(id);
const observing = new URL(window.location).searchParams.has("observe");

let about;
let dashboard;
let key = token();
let sender = null;
let media = null;
let feed = null;
let over = null; // why a session has ended, if it has

function showState(kind, text) {
  if ($("state").textContent === text) return;
  $("state").dataset.kind = kind;
  $("state").textContent = text;
}

function showError({ what, remedy }, again = null) {
  $("what").textContent = what;
  $("remedy").textContent = remedy;
  $("again").hidden = !again;
  $("again").onclick = again;
  $("alert").hidden = false;
}

function show(id) {
  for (const each of ["asking", "start", "view"]) $(each).hidden = each !== id;
}

// -- a token ----------------------------------------------------------------------------------------------------

/** Ask until the person has entered something. */
function askForToken() {
  show("asking");
  showState("idle", "Waiting for a token");
  $("token").focus();
  return new Promise((resolve) => {
    $("asking").onsubmit = (event) => {
      event.preventDefault();
      keepToken((key = $("token").value.trim()));
      $("token").value = "";
      $("alert").hidden = true;
      resolve();
    };
  });
}

// -- sending ----------------------------------------------------------------------------------------------------

function chosen() {
  const send = new FormData($("starting")).get("send");
  return {
    camera: send === "microphone" ? null : $("camera").value,
    microphone: send === "camera" ? null : $("microphone").value,
  };
}

async function start() {
  $("alert").hidden = true;
  $("go").disabled = true;
  showState("busy", "Waiting for your permission …");
  try {
    media = await capture(chosen());
    showState("busy", "Connecting …");
    over = null;
    const made = (sender = new Sender({ token: key, on: { state: (state) => made === sender && moved(state), unplugged } }));
    const session = await sender.start(media);
    dashboard.open({ live: true });
    showMedia();
    show("view");
    $("main").focus();
    feed = new Feed({ session, token: key, on: listeners(() => sender !== null) });
    await listDevices();
  } catch (error) {
    stop();
    show("start");
    showState("idle", "Not connected");
    if (error.status === 401) {
      showError(error);
      await askForToken();
      await start();
    } else {
      showError(error instanceof UserError ? error : browserError(error.name, error.message));
    }
  } finally {
    $("go").disabled = false;
  }
}

function showMedia() {
  const [camera] = media.getVideoTracks();
  const [microphone] = media.getAudioTracks();
  const video = $("video");
  video.srcObject = camera ? media : null;
  video.hidden = !camera;
  const mirrored = camera?.getSettings().facingMode !== "environment";
  video.classList.toggle("mirrored", mirrored);
  video.onresize = () => dashboard.shape(video.videoWidth, video.videoHeight);
  dashboard.mirrored = Boolean(camera) && mirrored;
  dashboard.blank(camera ? "" : "Microphone only: your voice is on the time line below.");
  $("camera").parentElement.hidden = !camera;
  $("microphone").parentElement.hidden = !microphone;
  $("controls").hidden = false;
}

function stop() {
  feed?.close();
  sender?.stop();
  for (const track of media?.getTracks() ?? []) track.stop();
  feed = sender = media = null;
  $("video").srcObject = null;
  $("controls").hidden = true;
}

function moved(state) {
  dashboard.connection = `Pictures and sound: ${state}`;
  if (state === "connected") showState("busy", "Connected, waiting for results …");
  if (state === "failed") lost("Failed");
  if (state === "disconnected") showState("bad", "The connection is interrupted …");
}

function lost(name) {
  const reason = over ? { what: over, remedy: "" } : browserError(name);
  stop();
  showState("bad", "Not connected");
  showError(reason, start);
}

function unplugged(track) {
  if (!sender) return;
  const what = track.kind === "video" ? "The camera was unplugged." : "The microphone was unplugged.";
  showError({ what, remedy: "Plug it in again, or choose another one below." });
  listDevices();
}

async function listDevices() {
  const found = await devices();
  for (const kind of ["camera", "microphone"]) {
    const select = $(kind);
    const track = kind === "camera" ? media?.getVideoTracks()[0] : media?.getAudioTracks()[0];
    const current = track?.getSettings().deviceId ?? select.value;
    select.replaceChildren(...found[kind].map((each, n) => new Option(each.label || `${kind} ${n + 1}`, each.deviceId)));
    select.value = current;
  }
}

async function change(kind) {
  try {
    const wanted = { camera: null, microphone: null, [kind]: $(kind).value };
    const [track] = (await capture(wanted)).getTracks();
    if (!media) return track.stop(); // meanwhile the person has stopped
    for (const old of media.getTracks().filter((each) => each.kind === track.kind)) {
      old.stop();
      media.removeTrack(old);
    }
    media.addTrack(track);
    await sender.replace(track);
    $("alert").hidden = true;
    showMedia();
  } catch (error) {
    showError(error instanceof UserError ? error : browserError(error.name, error.message));
  }
}

// -- watching ---------------------------------------------------------------------------------------------------

async function observe() {
  const answer = await fetch("/streams", { headers: bearer(key) }).catch(() => null);
  if (!answer) return showError(browserError("Unreachable"), () => window.location.reload());
  if (answer.status === 401) {
    if (key) showError(serverError(401, await answer.text()));
    await askForToken();
    return observe();
  }
  if (!answer.ok) return showError(serverError(answer.status, await answer.text()));
  dashboard.open({ live: false, pictures: about.pictures });
  show("view");
  feed = new Feed({ token: key, on: listeners(() => true) });
  dashboard.chose = (stream) => feed.watch(stream);
  if (!observing) setTimeout(lookAgain, 2000);
}

/** A server that is still starting may take cameras in a moment. */
async function lookAgain() {
  if (dashboard.chosen !== null) return;
  const again = await fetch("/about.json").then((answer) => answer.json(), () => about);
  if (again.senders) window.location.reload();
  else setTimeout(lookAgain, 2000);
}

// -- results ----------------------------------------------------------------------------------------------------

function listeners(wanted) {
  return {
    state: (state) => {
      if (!wanted()) return;
      if (state === "open") {
        dashboard.begin();
        if (!dashboard.live) showState("busy", "Waiting for results …");
      }
      if (state === "lost" && dashboard.live && over) lost("Lost");
      else if (state === "lost" && !dashboard.ended) showState("bad", "The connection to the server was lost; trying again …");
      if (!dashboard.live) dashboard.connection = state === "open" ? "Results arrive" : "No connection to the server";
    },
    message: (message) => {
      if (message.type === "notice") {
        if (message.last) over = message.text;
        showError({ what: message.text, remedy: "" });
        return;
      }
      dashboard.take(message, performance.now());
      if (message.type === "result") showState("live", dashboard.live ? "Live" : `Watching: ${dashboard.chosen}`);
      if (message.type === "eos") ended();
    },
    picture: (header, blob) => dashboard.picture(header, blob),
  };
}

function ended() {
  if (!dashboard.ended) return;
  if (dashboard.live) lost("Lost");
  else showState("idle", `Ended: ${dashboard.chosen}`);
}

// -- beginning --------------------------------------------------------------------------------------------------

async function begin() {
  $("starting").onsubmit = (event) => {
    event.preventDefault();
    start();
  };
  $("starting").onchange = () => {
    const words = { both: "camera and microphone", camera: "camera", microphone: "microphone" };
    $("go").textContent = `Start ${words[new FormData($("starting")).get("send")]}`;
  };
  $("stop").onclick = () => {
    stop();
    show("start");
    showState("idle", "Stopped: nothing is sent");
    $("go").focus();
  };
  $("camera").onchange = () => change("camera");
  $("microphone").onchange = () => change("microphone");
  window.addEventListener("pagehide", stop);
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
  try {
    about = await (await fetch("/about.json")).json();
  } catch {
    showState("bad", "No server");
    showError(browserError("Unreachable"), () => window.location.reload());
    return;
  }
  dashboard = new Dashboard(about);
  $("notice").textContent = about.notice;
  $("instead").hidden = !about.observers;
  if (observing || !about.senders) {
    await observe();
    return;
  }
  show("start");
  showState("idle", "Not connected");
  if (!window.isSecureContext || !navigator.mediaDevices) showError(browserError("Insecure"));
}

begin();
