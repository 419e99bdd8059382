// The page: starting, sending, watching, and what is shown meanwhile.

import { Board } from "./board.mjs";
import { bearer, Feed, keepToken, token } from "./feed.mjs";
import { Sender, Trouble, capture, devices } from "./sender.mjs";
import { refusal, trouble } from "./words.mjs";

const $ = (id) => document.getElementById(id);
const observing = new URL(window.location).searchParams.has("observe");

let about;
let board;
let key = token();
let sender = null;
let media = null;
let feed = null;
let over = null; // why a session has ended, if it has

function say(kind, text) {
  if ($("state").textContent === text) return;
  $("state").dataset.kind = kind;
  $("state").textContent = text;
}

function alarm({ what, remedy }, again = null) {
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
  say("idle", "Waiting for a token");
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
  say("busy", "Waiting for your permission …");
  try {
    media = await capture(chosen());
    say("busy", "Connecting …");
    over = null;
    const made = (sender = new Sender({ token: key, on: { state: (state) => made === sender && moved(state), gone } }));
    const session = await sender.start(media);
    board.open({ live: true });
    showMedia();
    show("view");
    $("main").focus();
    feed = new Feed({ session, token: key, on: listeners(() => sender !== null) });
    await listDevices();
  } catch (error) {
    stop();
    show("start");
    say("idle", "Not connected");
    if (error.status === 401) {
      alarm(error);
      await askForToken();
      await start();
    } else {
      alarm(error instanceof Trouble ? error : trouble(error.name, error.message));
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
  video.onresize = () => board.shape(video.videoWidth, video.videoHeight);
  board.mirrored = Boolean(camera) && mirrored;
  board.blank(camera ? "" : "Microphone only: your voice is on the time line below.");
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
  board.connection = `Pictures and sound: ${state}`;
  if (state === "connected") say("busy", "Connected, waiting for results …");
  if (state === "failed") lost("Failed");
  if (state === "disconnected") say("bad", "The connection is interrupted …");
}

function lost(name) {
  const reason = over ? { what: over, remedy: "" } : trouble(name);
  stop();
  say("bad", "Not connected");
  alarm(reason, start);
}

function gone(track) {
  if (!sender) return;
  const what = track.kind === "video" ? "The camera was unplugged." : "The microphone was unplugged.";
  alarm({ what, remedy: "Plug it in again, or choose another one below." });
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
    alarm(error instanceof Trouble ? error : trouble(error.name, error.message));
  }
}

// -- watching ---------------------------------------------------------------------------------------------------

async function observe() {
  const answer = await fetch("/streams", { headers: bearer(key) }).catch(() => null);
  if (!answer) return alarm(trouble("Unreachable"), () => window.location.reload());
  if (answer.status === 401) {
    if (key) alarm(refusal(401, await answer.text()));
    await askForToken();
    return observe();
  }
  if (!answer.ok) return alarm(refusal(answer.status, await answer.text()));
  board.open({ live: false, pictures: about.pictures });
  show("view");
  feed = new Feed({ token: key, on: listeners(() => true) });
  board.chose = (stream) => feed.watch(stream);
  if (!observing) setTimeout(lookAgain, 2000);
}

/** A server that is still starting may take cameras in a moment. */
async function lookAgain() {
  if (board.chosen !== null) return;
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
        board.begin();
        if (!board.live) say("busy", "Waiting for results …");
      }
      if (state === "lost" && board.live && over) lost("Lost");
      else if (state === "lost" && !board.ended) say("bad", "The connection to the server was lost; trying again …");
      if (!board.live) board.connection = state === "open" ? "Results arrive" : "No connection to the server";
    },
    message: (message) => {
      if (message.type === "notice") {
        if (message.last) over = message.text;
        alarm({ what: message.text, remedy: "" });
        return;
      }
      board.take(message, performance.now());
      if (message.type === "result") say("live", board.live ? "Live" : `Watching: ${board.chosen}`);
      if (message.type === "eos") ended();
    },
    picture: (header, blob) => board.picture(header, blob),
  };
}

function ended() {
  if (!board.ended) return;
  if (board.live) lost("Lost");
  else say("idle", `Ended: ${board.chosen}`);
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
    say("idle", "Stopped: nothing is sent");
    $("go").focus();
  };
  $("camera").onchange = () => change("camera");
  $("microphone").onchange = () => change("microphone");
  window.addEventListener("pagehide", stop);
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
  try {
    about = await (await fetch("/about.json")).json();
  } catch {
    say("bad", "No server");
    alarm(trouble("Unreachable"), () => window.location.reload());
    return;
  }
  board = new Board(about);
  $("notice").textContent = about.notice;
  $("instead").hidden = !about.observers;
  if (observing || !about.senders) {
    await observe();
    return;
  }
  show("start");
  say("idle", "Not connected");
  if (!window.isSecureContext || !navigator.mediaDevices) alarm(trouble("Insecure"));
}

begin();
