import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEPT = "longhaul-theme";
const THEMES: readonly Theme[] = ["system", "light", "dark"];
const kept = localStorage.getItem(KEPT) as Theme | null;

/** The chosen theme. It is kept in this browser. */
export const theme = signal<Theme>(kept !== null && THEMES.includes(kept) ? kept : "system");

effect(() => {
  const { value } = theme;
  localStorage.setItem(KEPT, value);
  document.documentElement.dataset.theme = value;
});

/** The next theme: a button goes round through all. */
export const nextTheme = (now: Theme): Theme => THEMES[(THEMES.indexOf(now) + 1) % THEMES.length] ?? "system";
