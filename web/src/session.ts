/** What the browser keeps: the key until its tab is closed, the theme for good. */

const KEY = "functions-key";
const THEME = "theme";

export function getKey(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setKey(key: string): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export type Theme = "system" | "light" | "dark";

export function getTheme(): Theme {
  const kept = localStorage.getItem(THEME);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function setTheme(theme: Theme): void {
  if (theme === "system") localStorage.removeItem(THEME);
  else localStorage.setItem(THEME, theme);
  applyTheme();
}

/** Marks the document, and tells what is drawn by scripts. */
export function applyTheme(): void {
  const theme = getTheme();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new Event("themechange"));
}

/** Calls back when colours change, by the toggle or by the system. */
export function onThemeChange(listener: () => void): () => void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", listener);
  document.addEventListener("themechange", listener);
  return () => {
    dark.removeEventListener("change", listener);
    document.removeEventListener("themechange", listener);
  };
}

/** The colour that a custom property has now, as a canvas takes it. */
export function colour(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
