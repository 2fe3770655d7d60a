// What the pages of approvals, the kill switch and access do with a script; every form works without it.

// -- how long there is left -------------------------------------------------------------------------------------------

function left(seconds) {
  if (seconds <= 0) return "expired";
  const days = Math.floor(seconds / 86400), hours = Math.floor((seconds % 86400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (days) return `expires in ${days} d ${hours} h`;
  return hours ? `expires in ${hours} h ${minutes} min` : `expires in ${minutes} min ${Math.floor(seconds % 60)} s`;
}

function count() {
  for (const each of document.querySelectorAll("[data-until]")) {
    const at = Date.parse(each.dataset.until);
    if (!Number.isNaN(at)) each.textContent = left((at - Date.now()) / 1000);
  }
}
if (document.querySelector("[data-until]")) {
  count();
  setInterval(count, 1000);
}

// -- fields that are asked for with one choice only, and the word to type ---------------------------------------------

const scopes = document.querySelectorAll("#throw-form input[name=scope]");
function narrow() {
  const chosen = document.querySelector("#throw-form input[name=scope]:checked")?.value;
  for (const field of document.querySelectorAll("#throw-form [data-when]")) field.hidden = field.dataset.when !== chosen;
}
for (const scope of scopes) scope.addEventListener("change", narrow);
if (scopes.length) narrow();

function ready(input) {
  const send = input.form.querySelector("button[type=submit]");
  send.disabled = input.value.trim() !== input.dataset.must;
}
for (const chooser of document.querySelectorAll("[data-must-for]")) {
  const input = document.getElementById(chooser.dataset.mustFor);
  chooser.addEventListener("change", () => {
    input.dataset.must = chooser.value;
    const named = input.form.querySelector("[data-must-name]");
    if (named) named.textContent = chooser.value;
    ready(input);
  });
  ready(input);
}

// -- a secret that is shown once --------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    }
  });
}

// A download leaves the page where it is: its form may be sent again.
for (const form of document.querySelectorAll("form[data-download]")) {
  form.addEventListener("submit", () => setTimeout(() => delete form.dataset.sent, 1500));
}

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
