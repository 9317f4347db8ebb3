// The player: buttons, keys, modes.

const order = ["forward", "backward", "update"];

function go(position) {
  const next = Math.min(Math.max(position, 0), frames.length - 1);
  if (next === state.position) return;
  state.position = next;
  state.revealed.clear();
  render();
  byId("status").textContent = spoken();
}

function spoken() {
  const frame = current();
  const title = byId("step-title").textContent;
  const record = frame.phase === "backward" ? frame.node.gradient_formula
    : frame.phase === "forward" ? frame.node.formula : null;
  return `${PHASES[frame.phase]}, step ${state.position} of ${frames.length - 1}: ${title}. `
    + (record ? record.text : "");
}

function render() {
  const frame = current();
  document.body.dataset.phase = frame.phase;
  byId("step").replaceChildren(...card(frame).filter(Boolean));
  if (document.querySelector("#step .blank")) byId("step").append(revealButton());
  byId("grad-table").replaceChildren(gradTable());
  const now = byId("grad-table").querySelector("[aria-current]");
  if (now) {
    const box = now.closest(".scroll");
    box.scrollTop = now.offsetTop - box.clientHeight / 2;
  }
  const panel = byId("connection");
  if (panel) {
    panel.hidden = levelShown() !== "neurons";
    panel.replaceChildren(...connectionPanel());
  }
  drawPictures();
  drawTwin();
  drawControls(frame);
}

function drawTwin() {
  const twin = byId("twin");
  if (twin && twin.open) byId("twin-tables").replaceChildren(...twins[levelShown()]());
}

function drawControls(frame) {
  const slider = byId("slider");
  slider.max = frames.length - 1;
  slider.value = state.position;
  slider.setAttribute("aria-valuetext",
    `${PHASES[frame.phase]}, step ${state.position} of ${frames.length - 1}`);
  byId("count").textContent = `${state.position} / ${frames.length - 1}`;
  byId("back").disabled = state.position === 0;
  byId("next").disabled = state.position === frames.length - 1;
  for (const phase of order) {
    const button = byId(phase);
    button.disabled = !frames.some((one) => one.phase === phase);
    button.setAttribute("aria-pressed", String(frame.phase === phase));
  }
  byId("everything").checked = state.everything;
}

function revealButton() {
  return make("button", { type: "button", class: "reveal", onclick: () => reveal(
    [...document.querySelectorAll("#step .blank")].map((blank) => blank.dataset.key)) },
  "Reveal the answers of this step");
}

// Shows hidden numbers; the one that was asked for keeps the focus.
function reveal(keys) {
  for (const key of keys) state.revealed.add(key);
  render();
  const first = document.querySelector(`#step [data-key="${keys[0]}"]`);
  if (first) {
    first.tabIndex = -1;
    first.focus({ preventScroll: true });
  }
}

function setMode(name, on) {
  document.documentElement.classList.toggle(name, on);
  byId(name).setAttribute("aria-pressed", String(on));
}

function toggle(name) {
  return byId(name).getAttribute("aria-pressed") !== "true";
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.matches("input[type=range], select")) return;
  // A clicker of a lecture hall sends the keys of pages; a table with the focus scrolls by them.
  const moves = { ArrowRight: 1, ArrowLeft: -1, PageDown: 1, PageUp: -1,
    " ": event.shiftKey ? -1 : 1 };
  const own = { " ": "button, input, summary, a, [role=button], .scroll",
    PageDown: ".scroll", PageUp: ".scroll" }[event.key];
  if (own && event.target.matches(own)) return;
  const presenting = document.documentElement.classList.contains("presentation");
  if (event.key === "Escape" && presenting) setMode("presentation", false);
  else if (event.key in moves) go(state.position + moves[event.key]);
  else if (event.key === "Home") go(0);
  else if (event.key === "End") go(frames.length - 1);
  else return;
  event.preventDefault();
}

function start() {
  byId("back").addEventListener("click", () => go(state.position - 1));
  byId("next").addEventListener("click", () => go(state.position + 1));
  for (const phase of order) {
    byId(phase).addEventListener("click", () =>
      go(frames.findIndex((frame) => frame.phase === phase)));
  }
  byId("slider").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("everything").addEventListener("change", (event) => {
    chooseFrames(event.target.checked);
    render();
  });
  byId("hide").addEventListener("click", () => {
    state.hidden = toggle("hide");
    state.revealed.clear();
    setMode("hide", state.hidden);
    render();
  });
  byId("presentation").addEventListener("click", () =>
    setMode("presentation", toggle("presentation")));
  const row = byId("row");
  if (row) {
    row.addEventListener("change", () => {
      state.row = Number(row.value);
      render();
    });
  }
  if (byId("twin")) byId("twin").addEventListener("toggle", drawTwin);
  document.addEventListener("keydown", onKey);
  setUpPictures();
  render();
}

start();
