import { useLayoutEffect } from "preact/hooks";

type Keys = Record<string, (event: KeyboardEvent) => void>;

/** The keys of what is shown, by one letter or by two, as `g j`; what was shown last goes first. */
const shown: Keys[] = [];
/** The letter that waits for a second one, and since when. */
let first = { key: "", at: 0 };
const WAIT = 1_000;

/** True where letters are what somebody writes, or a dialog is open. */
function isTaken(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return true;
  const target = event.target as HTMLElement;
  // Links and buttons have an Enter of their own.
  if (event.key === "Enter" && target.closest("a, button, summary") !== null) return true;
  return target.closest("input:not([type=checkbox]), textarea, select, dialog") !== null || document.querySelector("dialog[open]") !== null;
}

addEventListener("keydown", (event) => {
  if (isTaken(event)) return;
  const begun = event.timeStamp - first.at < WAIT ? first.key : "";
  const name = begun === "" ? event.key : `${begun} ${event.key}`;
  first = { key: "", at: 0 };
  const act = shown.findLast((keys) => name in keys)?.[name];
  if (act !== undefined) {
    event.preventDefault();
    act(event);
  } else if (shown.some((keys) => Object.keys(keys).some((two) => two.startsWith(`${event.key} `)))) {
    first = { key: event.key, at: event.timeStamp };
  }
});

/** Keys that act while the component is shown. */
export function useKeys(keys: Keys): void {
  // Not `useEffect`, which waits for a frame: a key that is pressed as soon as the component is seen would be lost.
  useLayoutEffect(() => {
    shown.push(keys);
    return () => void shown.splice(shown.indexOf(keys), 1);
  });
}
