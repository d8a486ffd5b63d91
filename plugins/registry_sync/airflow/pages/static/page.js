// Links that leave these pages (data-leaves): Airflow shows them in a frame whose sandbox forbids popups and navigation
// of the whole window. A link of the framing page, which has the same origin, may do both.
"use strict";

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-leaves]");
  if (!link || window.parent === window || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const copy = window.parent.document.createElement("a");
  copy.href = link.href;
  copy.target = link.target;
  copy.rel = link.rel;
  copy.click();
});

// Buttons that run a repository again (data-run-again: the address). Their answer appears beside them.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-run-again]");
  if (!button) return;
  const answer = document.getElementById(button.getAttribute("aria-describedby"));
  button.disabled = true;
  answer.textContent = "Starting…";
  try {
    const response = await fetch(button.dataset.runAgain, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Registry-Sync": "run-again" },
      body: JSON.stringify({ mirror: button.dataset.mirror, repository: button.dataset.repository }),
    });
    const reply = await response.json();
    if (!response.ok) {
      answer.textContent = reply.detail;
      button.disabled = false;
      return;
    }
    const link = document.createElement("a");
    link.href = reply.url;
    link.dataset.leaves = "";
    link.textContent = reply.run_id;
    answer.replaceChildren("Started ", link);
  } catch (error) {
    answer.textContent = `No answer from Airflow: ${error.message}`;
    button.disabled = false;
  }
});
