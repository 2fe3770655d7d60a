// The walk of the audit chain, told while it goes on. Without this script the button loads a page with the result.

const form = document.getElementById("verify-form");
const button = document.getElementById("verify-button");
const walk = document.getElementById("verify-progress");
const counted = document.getElementById("verify-count");
const result = document.getElementById("verify-result");
const number = new Intl.NumberFormat("en");

function line(tag, text, name) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

function progress({ done, total }) {
  const bar = walk.querySelector("progress");
  walk.hidden = false;
  bar.max = Math.max(total, 1);
  bar.value = done;
  counted.textContent = `${number.format(done)} of ${number.format(total)} records`;
}

function tell(found) {
  walk.hidden = true;
  const said = [line("p", found.said, found.ok ? "said" : "said is-bad")];
  if (found.record) {
    const link = line("a", `Look at record ${found.record}`);
    link.href = `/audit/${found.record}`;
    const about = line("p", found.why ? `The first that does not fit: ${found.why}. ` : "");
    about.append(link);
    said.push(about);
  }
  const facts = document.createElement("dl");
  facts.className = "facts";
  for (const [name, value] of Object.entries(found.facts)) facts.append(line("dt", name), line("dd", value));
  if (facts.children.length) said.push(facts);
  result.replaceChildren(...said);
}

function take(block) {
  const event = { name: "", data: "" };
  for (const row of block.split("\n")) {
    if (row.startsWith("event: ")) event.name = row.slice(7);
    if (row.startsWith("data: ")) event.data += row.slice(6);
  }
  if (event.name === "progress") progress(JSON.parse(event.data));
  if (event.name === "result") tell(JSON.parse(event.data));
  return event.name === "result";
}

async function verify() {
  const answer = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "text/event-stream", "X-CSRF-Token": form.elements.csrf.value },
    credentials: "same-origin",
  });
  if (!answer.ok || !answer.body) throw new Error(String(answer.status));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", done = false;
  for (;;) {
    const { value, done: ended } = await reader.read();
    if (ended) break;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) done = take(block) || done;
  }
  if (!done) throw new Error("it ended before the result");
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  event.stopPropagation();
  delete form.dataset.sent;
  button.disabled = true;
  result.replaceChildren();
  try {
    await verify();
  } catch (problem) {
    walk.hidden = true;
    result.replaceChildren(line("p", `The walk was cut off (${problem.message}); nothing is proved. Try again.`, "said is-bad"));
  } finally {
    button.disabled = false;
  }
});
