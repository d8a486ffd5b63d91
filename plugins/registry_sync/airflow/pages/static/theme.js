// Airflow keeps its theme ("light", "dark" or "system") in this origin's storage. Without one, the browser's counts.
"use strict";

function useAirflowTheme() {
  let theme = null;
  try {
    theme = window.localStorage.getItem("theme");
  } catch {
    // Storage is blocked: the browser's theme counts.
  }
  document.documentElement.classList.toggle("dark", theme === "dark");
  document.documentElement.classList.toggle("light", theme === "light");
}

useAirflowTheme();
window.addEventListener("storage", useAirflowTheme);
