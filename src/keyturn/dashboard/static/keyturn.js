// Only enhances: every page works without it.
"use strict";

const units = [["year", 31536e6], ["month", 2592e6], ["day", 864e5], ["hour", 36e5], ["minute", 6e4]];
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });

function ago(moment) {
  const away = moment - Date.now();
  const [unit, size] = units.find(([, size]) => Math.abs(away) >= size) ?? ["second", 1000];
  return relative.format(Math.trunc(away / size), unit);
}

// Times in the viewer's zone; the exact UTC stays in the title.
for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (time.dataset.as === "relative") time.textContent = ago(moment);
  else time.textContent = moment.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}

for (const area of document.querySelectorAll("[data-secret]")) {
  const code = area.querySelector("code");
  const secret = code.textContent;
  const kind = secret.match(/^.*_[a-z]{2}_/)[0];
  const masked = `${kind}${"•".repeat(24)}${secret.slice(-4)}`;
  const [show, copy] = ["Show", "Copy"].map((label) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.setAttribute("aria-label", `${label} ${area.dataset.secret}`);
    area.append(button);
    return button;
  });
  const display = (shown) => {
    code.textContent = shown ? secret : masked;
    area.classList.toggle("masked", !shown);
    show.textContent = shown ? "Hide" : "Show";
    show.setAttribute("aria-label", `${show.textContent} ${area.dataset.secret}`);
  };
  show.addEventListener("click", () => display(area.classList.contains("masked")));
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret);
      copy.textContent = "Copied";
    } catch {
      display(true);
      getSelection().selectAllChildren(code);
      copy.textContent = "Press Ctrl+C";
    }
    document.getElementById("said").textContent = copy.textContent;
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
  display(false);
}

// What is shown once must not come back by Back, Forward or Reload.
const once = document.querySelector("[data-once]");
if (once) {
  history.replaceState(null, "", once.dataset.once);
  addEventListener("pagehide", () => once.replaceChildren());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

for (const form of document.querySelectorAll("form[data-live]")) {
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && field.value === "") field.disabled = true;
  });
}

for (const all of document.querySelectorAll("input[data-all]")) {
  const boxes = () => [...document.querySelectorAll(`input[type=checkbox][name="${all.dataset.all}"]`)];
  const told = document.querySelector("[data-chosen]");
  const tell = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
    if (told) told.textContent = chosen ? `${chosen} chosen` : "";
  };
  all.hidden = false;
  all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; tell(); });
  document.addEventListener("change", tell);
}

document.addEventListener("submit", (event) => {
  // Twice pressed is once meant.
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
