import { signal } from "@preact/signals";

/** What was done last. It stays for a while, and is read aloud. */
const notice = signal("");
let timer: ReturnType<typeof setTimeout> | undefined;

export function notify(words: string): void {
  notice.value = words;
  clearTimeout(timer);
  timer = setTimeout(() => (notice.value = ""), 8_000);
}

export function Notices() {
  return (
    <output class="notice" aria-live="polite">
      {notice.value !== "" && <span>{notice.value}</span>}
    </output>
  );
}
