// Shows a face and lets a voice begin when told to, and says when that was by the browser's clock.

const START_S = 0.05; // from being told to the voice, so that it begins when it is to
const SETTLED_MS = 300; // after which the loudspeaker's clock is asked
const [button, face, problem] = ["begin", "face", "problem"].map((id) => document.getElementById(id));

const frame = () => new Promise(requestAnimationFrame);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await begin();
  } catch (error) {
    problem.textContent = `This browser cannot show the stimuli: ${error.message}`;
  }
});

async function begin() {
  const audio = new AudioContext({ latencyHint: "interactive" }); // a click allows its sound
  const voice = await audio.decodeAudioData(await (await fetch("voice.wav")).arrayBuffer());
  await face.decode();
  await document.documentElement.requestFullscreen?.().catch(() => {}); // a window will do
  document.body.className = "running";
  const address = new URL("stimuli", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  socket.addEventListener("message", async ({ data }) => {
    const { ping, show } = JSON.parse(data);
    if (ping !== undefined) {
      socket.send(JSON.stringify({ type: "pong", sent: ping, at: performance.now() }));
    } else {
      socket.send(JSON.stringify({ type: "shown", ...(await stimulus(audio, voice, show)) }));
    }
  });
  socket.addEventListener("close", () => {
    document.body.className = "";
    document.exitFullscreen?.().catch(() => {});
    problem.textContent = "The stimuli are over. What was measured is in the terminal.";
  });
}

/** Show the face for so many ms, and say the voice; when each was handed to screen and loudspeaker. */
async function stimulus(audio, voice, shown) {
  const source = new AudioBufferSourceNode(audio, { buffer: voice });
  source.connect(audio.destination);
  await frame();
  document.body.className = "running shown";
  const when = audio.currentTime + START_S;
  source.start(when);
  const light = await frame(); // when the next picture begins, the one with the face is on its way to the screen
  setTimeout(() => (document.body.className = "running"), shown);
  await sleep(SETTLED_MS);
  const { contextTime, performanceTime } = audio.getOutputTimestamp();
  return { light, sound: performanceTime + (when - contextTime) * 1000 };
}
