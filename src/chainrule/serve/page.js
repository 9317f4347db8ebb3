// The form's row goes to the server; its prediction is shown.
const form = document.querySelector("form");
const answer = document.querySelector("#answer");

function read(input) {
  if (input.value === "") return null;
  return input.type === "number" ? Number(input.value) : input.value;
}

function typedRow() {
  const whole = document.querySelector("textarea");
  if (whole) return JSON.parse(whole.value);
  // Not form.elements: a field of this name would stand for it.
  const inputs = document.querySelectorAll("form [name]");
  return Object.fromEntries(Array.from(inputs, (input) => [input.name, read(input)]));
}

function say(kind, text, isFault = false) {
  answer.className = isFault ? "fault" : "";
  answer.replaceChildren(Object.assign(document.createElement(kind), { textContent: text }));
}

function show(found) {
  say("strong", String(found.predictions[0]));
  if (!found.classes) return;
  const table = document.createElement("table");
  const shares = found.classes.map((name, i) => [name, found.probabilities[0][i]]);
  for (const [name, share] of shares.sort((a, b) => b[1] - a[1]).slice(0, 10)) {
    const line = table.insertRow();
    line.insertCell().textContent = name;
    line.insertCell().textContent = (100 * share).toFixed(1) + " %";
    line.insertCell().append(Object.assign(document.createElement("meter"), { value: share }));
  }
  answer.append(table);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  let row;
  try {
    row = typedRow();
  } catch (error) {
    return say("p", "This is no JSON: " + error.message, true);
  }
  try {
    const body = JSON.stringify({ rows: [row] });
    const response = await fetch("predict", { method: "POST", body });
    const found = await response.json();
    if (response.ok) show(found);
    else say("p", found.detail, true);
  } catch (error) {
    say("p", "The server does not answer: " + error.message, true);
  }
});
