// The console's script: theme, times, typed confirmations, and pages that refresh themselves.
// Reading needs none of it. It fetches from its own origin only and writes no markup from events.

const root = document.documentElement;
root.classList.add("js");

// What the server drew, by part: times are rewritten below, and a part is exchanged only where the server says other.
const drawn = new Map([...document.querySelectorAll("[id][data-part]")].map((part) => [part.id, part.outerHTML]));

// -- theme ------------------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-theme-choice]")) {
  button.addEventListener("click", () => {
    const choice = button.dataset.themeChoice;
    const age = choice === "auto" ? 0 : 31536000;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `evercrew_theme=${choice}; path=/; max-age=${age}; samesite=lax${secure}`;
    if (choice === "auto") delete root.dataset.theme;
    else root.dataset.theme = choice;
    for (const other of document.querySelectorAll("[data-theme-choice]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
  });
}

// -- times ------------------------------------------------------------------------------------------------------------

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

function ago(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = local.format(at);
    if ("ago" in time.dataset) {
      const seconds = (Date.now() - at.getTime()) / 1000;
      if (seconds >= 0) time.textContent = ago(seconds);
    }
  }
}
tellTimes();
setInterval(tellTimes, 15000);

// -- confirmations ----------------------------------------------------------------------------------------------------

function typed(input) {
  const send = input.form?.querySelector("button[type=submit]");
  if (send) send.disabled = input.value.trim() !== input.dataset.must;
}
document.addEventListener("input", (event) => {
  if (event.target.matches?.("input[data-must]")) typed(event.target);
});
document.addEventListener("toggle", (event) => {
  const opened = event.target;
  if (!opened.matches?.("details.confirm") || !opened.open) return;
  for (const other of document.querySelectorAll("details.confirm[open]")) if (other !== opened) other.open = false;
  opened.querySelectorAll("input[data-must]").forEach(typed);
  opened.querySelector("form input:not([type=hidden]), form textarea")?.focus();
}, true);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const opened = document.activeElement?.closest("details.confirm[open]");
  if (opened) {
    opened.open = false;
    opened.querySelector("summary").focus();
  }
});
document.addEventListener("submit", (event) => {
  // A second click sends nothing twice.
  if (event.target.dataset.sent) event.preventDefault();
  else if (event.target.method === "post") event.target.dataset.sent = "1";
});

// -- what just happened -----------------------------------------------------------------------------------------------

const toast = document.getElementById("toast");
let hiding = 0;

export function tell(text) {
  if (!toast || !text) return;
  toast.textContent = text;
  toast.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => toast.classList.remove("shown"), 5000);
}

// -- refreshing -------------------------------------------------------------------------------------------------------
// The page is fetched again and its parts (`id` and `data-part`) are exchanged where they differ. What somebody has
// opened, typed into or scrolled stays: a part that holds a form somebody is filling in waits.

const LEAST_MS = 1200;
let last = 0;
let waiting = 0;
let fetching = false;

const filling = (part) =>
  part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select") ||
  part.querySelector("details.confirm[open]") !== null;

function exchange(part, fresh) {
  const opened = [...part.querySelectorAll("details[id][open]")].map((d) => d.id);
  const scrolled = [...part.querySelectorAll(".table-wrap, pre, .stages, .chart")].map((e) => [e.scrollLeft, e.scrollTop]);
  const known = new Set([...part.querySelectorAll("tr[id]")].map((r) => r.id));
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.replaceWith(fresh);
  for (const id of opened) {
    const again = document.getElementById(id);
    if (again) again.open = true;
  }
  fresh.querySelectorAll(".table-wrap, pre, .stages, .chart").forEach((e, k) => {
    if (scrolled[k]) [e.scrollLeft, e.scrollTop] = scrolled[k];
  });
  if (known.size) fresh.querySelectorAll("tr[id]").forEach((r) => r.classList.toggle("fresh", !known.has(r.id)));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function refresh() {
  if (fetching) return;
  fetching = true;
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (answer.redirected && new URL(answer.url).pathname === "/login") return location.reload();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[id][data-part]")) {
      const fresh = page.getElementById(part.id);
      if (!fresh || fresh.outerHTML === drawn.get(part.id) || filling(part)) continue;
      drawn.set(part.id, fresh.outerHTML);
      exchange(part, fresh);
    }
    document.title = page.title || document.title;
    tellTimes();
    again();
  } catch {
    // The next event, or the next minute, asks again.
  } finally {
    fetching = false;
  }
}

export function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, Math.max(250, LEAST_MS - (Date.now() - last)));
}

// What the server is still asked for is fetched a moment later, and a few times only.
let tries = 0;

function again() {
  if (document.querySelector("[data-soon]") && tries++ < 20) setTimeout(soon, 1500);
}
again();

// -- live -------------------------------------------------------------------------------------------------------------

const live = document.querySelector("[data-live]");
const state = document.getElementById("live-state");

function say(text) {
  if (state && state.textContent !== text) state.textContent = text;
}

if (live && "EventSource" in window) {
  let source;
  let seen = Number(live.dataset.lastEvent) || 0;
  let retry = 0;
  const start = () => {
    // EventSource itself sends Last-Event-ID when it comes back; a new one begins where this page was drawn.
    const from = new URL(live.dataset.live, location.href);
    from.searchParams.set("after", String(seen));
    source = new EventSource(from);
    source.addEventListener("open", () => {
      if (retry) soon();
      retry = 0;
      say("Live");
    });
    source.addEventListener("item", (event) => {
      seen = Math.max(seen, Number(event.lastEventId) || 0);
      let item = {};
      try {
        item = JSON.parse(event.data);
      } catch {
        return;
      }
      if (item.loud) tell(item.said);
      document.dispatchEvent(new CustomEvent("evercrew:item", { detail: item }));
      soon();
    });
    source.addEventListener("error", () => {
      say("Connection lost, trying again");
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused for good (e.g. too many listeners): a slower start of our own.
      retry = Math.min(retry + 1, 6);
      setTimeout(start, 1000 * 2 ** retry);
    });
  };
  start();
  setInterval(() => Date.now() - last > 60000 && !document.hidden && soon(), 15000);
  document.addEventListener("visibilitychange", () => document.hidden || soon());
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => event.persisted && start());
}

// What is current is in view, in rows that are wider than a phone.
for (const current of document.querySelectorAll(".nav [aria-current], .stages [aria-current]")) {
  const row = current.parentElement;
  row.scrollLeft = current.offsetLeft - row.offsetLeft - (row.clientWidth - current.clientWidth) / 2;
}
