import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

/** Copies a text, and says that it did. */
export function Copy({ text, children, label }: { text: string; children: ComponentChildren; label?: string }) {
  const [told, setTold] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setTold("copied");
    } catch {
      setTold("not allowed");
    }
    setTimeout(() => setTold(""), 2_000);
  };
  return (
    <button type="button" class="quiet" aria-label={label} onClick={() => void copy()}>
      {told || children}
    </button>
  );
}
