// The chat: answers come as they are written. Everything from the server is set as text; an address is built here only.

const talk = document.getElementById("talk");
const composer = document.getElementById("composer");
const main = document.querySelector("main.chat");
const csrf = document.querySelector("meta[name=csrf-token]")?.content ?? "";
const titles = {
  open_cycle: "Open a cycle", stop: "Throw the kill switch", start: "Lift the kill switch", rollback: "Roll back",
  cancel: "Cancel a cycle", resume: "Go on with a cycle", approve: "Approve a call", deny: "Deny a call",
  set_flag: "Set a flag", override_gate: "Override a gate",
};
let conversation = main?.dataset.conversation ?? "";
let busy = false;

function made(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

const plain = (text) => String(text ?? "").replace(/[^A-Za-z0-9_.-]/g, "");
const words = (name) => String(name).replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase());

function placeOf(cite) {
  const id = plain(cite.id), of = plain(cite.of);
  switch (cite.kind) {
    case "cycle": return `/cycles/${id}`;
    case "record": return `/audit/${id}`;
    case "approval": return `/approvals/${id}`;
    case "artifact": case "call": return of ? `/cycles/${of}/evidence` : "";
    case "flag": return "/flags";
    case "account": return "/budgets";
    case "policy": return "/policies";
    default: return "";
  }
}

function value(given) {
  if (given === null || given === undefined || given === "" || given === false) return "";
  if (given === true) return "yes";
  if (Array.isArray(given)) return given.map(value).filter(Boolean).join(", ");
  if (typeof given === "object") return Object.values(given).map(value).filter(Boolean).join(", ");
  return String(given);
}

// -- what is said -----------------------------------------------------------------------------------------------------

function turn(mine, text) {
  const article = made("article", mine ? "turn mine" : "turn waits");
  article.append(made("span", "by", mine ? "You" : "Evercrew"));
  const said = made("div", "text", text);
  article.append(said);
  talk.append(article);
  article.scrollIntoView({ block: "end" });
  return { article, said };
}

function cites(found) {
  const row = made("div", "cites");
  for (const cite of found) {
    const place = placeOf(cite);
    const link = made(place ? "a" : "span", place ? "" : "tag", cite.label || cite.id);
    if (place) link.href = place;
    row.append(link);
  }
  return row;
}

function facts(intent) {
  const list = made("dl", "facts");
  for (const [name, given] of Object.entries(intent)) {
    const said = name === "kind" ? "" : value(given);
    if (said) list.append(made("dt", "", words(name)), made("dd", "", said));
  }
  return list;
}

function proposal(event) {
  const card = made("section", "intent");
  const title = titles[event.intent.kind] ?? words(event.intent.kind);
  card.setAttribute("aria-label", `Proposed: ${title}`);
  card.dataset.proposal = event.proposal_id;
  const head = made("div", "spread");
  head.append(made("h2", "", title), made("span", "pill is-warn", "not done yet"));
  card.append(head, made("p", "", event.shown.replace(/^./, (c) => c.toUpperCase())), facts(event.intent));
  if (event.irreversible) card.append(made("p", "small warn", "This cannot simply be said the other way round afterwards."));
  const row = made("form", "row");
  row.method = "post";
  row.dataset.confirm = "";
  const yes = made("button", "button primary", "Confirm"), no = made("button", "button", "Cancel");
  yes.type = "submit";
  no.type = "button";
  no.dataset.cancel = "";
  row.append(yes, no, made("span", "small soft", "Nothing has happened yet."));
  card.append(row);
  return card;
}

function options(found) {
  const row = made("div", "row options");
  for (const option of found) {
    const button = made("button", "button small", option.said);
    button.type = "button";
    button.addEventListener("click", () => ask(option.said));
    row.append(button);
  }
  return row;
}

function refused(event) {
  const box = made("div", "said is-bad");
  const policies = event.policies?.length ? ` (${event.policies.join(", ")})` : "";
  box.append(made("strong", "", "Not done. "), `${event.reason}${policies} ${event.remedy ?? ""}`.trim());
  return box;
}

function did(event) {
  const line = made("p", "said", `${event.what} `);
  if (event.cycle_id) {
    const link = made("a", "", event.cycle_id);
    link.href = `/cycles/${plain(event.cycle_id)}`;
    line.append(link);
  }
  return line;
}

function take(event, answer) {
  switch (event.event) {
    case "said": answer.said.textContent += event.text; break;
    case "cites": answer.article.append(cites(event.cites)); break;
    case "proposes": answer.article.append(proposal(event)); break;
    case "did": answer.article.append(did(event)); break;
    case "refused": answer.article.append(refused(event)); break;
    case "asks_back": answer.article.append(made("p", "", event.question), options(event.options ?? [])); break;
    case "done": remember(event.conversation_id); break;
  }
}

function remember(identity) {
  if (!identity || identity === conversation) return;
  conversation = identity;
  history.replaceState(null, "", `/chat/${plain(identity)}`);
  for (const field of document.querySelectorAll("input[name=conversation]")) field.value = identity;
}

// -- asking -----------------------------------------------------------------------------------------------------------

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value: piece, done } = await reader.read();
    if (done) return;
    const blocks = (rest + piece).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (!data) continue;
      const event = JSON.parse(data);
      const named = lines.find((line) => line.startsWith("event:"));
      yield { event: named?.slice(6).trim(), ...event };
    }
  }
}

async function problemOf(answer) {
  try {
    const told = await answer.json();
    return `${told.detail ?? told.title}${told.remedy ? ` ${told.remedy}.` : ""}`;
  } catch {
    return `The service answered ${answer.status}.`;
  }
}

async function stream(address, body) {
  const answer = turn(false, "");
  busy = true;
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream", "X-CSRF-Token": csrf },
      credentials: "same-origin",
      body: JSON.stringify(body),
    });
    if (!response.ok || !response.body) {
      answer.article.append(refused({ reason: await problemOf(response), remedy: "" }));
      return false;
    }
    let ended = false;
    for await (const event of events(response.body)) {
      take(event, answer);
      ended ||= event.event === "done";
    }
    if (!ended) answer.article.append(refused({ reason: "The answer was cut off.", remedy: "Ask again." }));
    return ended;
  } catch {
    answer.article.append(refused({ reason: "The service does not answer.", remedy: "Try again in a moment." }));
    return false;
  } finally {
    busy = false;
    answer.article.classList.remove("waits");
    if (!answer.said.textContent) answer.said.remove();
    answer.article.scrollIntoView({ block: "end", behavior: "smooth" });
  }
}

async function ask(text) {
  if (busy || !text.trim()) return;
  document.getElementById("starters")?.remove();
  document.getElementById("earlier")?.closest("section").remove();
  turn(true, text);
  await stream("/api/v1/chat", conversation ? { text, conversation_id: conversation } : { text });
  composer.elements.text.focus();
}

async function confirmed(card) {
  const row = card.querySelector("form");
  row.remove();
  card.classList.add("over");
  const done = await stream(`/api/v1/chat/${plain(conversation)}/confirm`, { proposal_id: card.dataset.proposal });
  const pill = card.querySelector(".pill");
  pill.className = done ? "pill is-good" : "pill";
  pill.textContent = done ? "confirmed" : "not confirmed";
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form[data-ask]")) {
    event.preventDefault();
    delete form.dataset.sent;
    const text = event.submitter?.name === "text" ? event.submitter.value : form.elements.text?.value ?? "";
    if (busy) return;
    if (form === composer) composer.elements.text.value = "";
    ask(text);
  } else if (form.matches("form[data-confirm]")) {
    event.preventDefault();
    delete form.dataset.sent;
    if (!busy) confirmed(form.closest(".intent"));
  }
});
document.addEventListener("click", (event) => {
  const cancel = event.target.closest?.("[data-cancel]");
  if (!cancel) return;
  const card = cancel.closest(".intent");
  card.querySelector("form").remove();
  card.classList.add("over");
  card.querySelector(".pill").className = "pill";
  card.querySelector(".pill").textContent = "left alone";
});
composer?.elements.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    composer.requestSubmit();
  }
});
talk?.lastElementChild?.scrollIntoView({ block: "end" });
