import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

/** Copies a text, and says that it did. */
export function Copy({ text, children, label }: { text: string; children: ComponentChildren; label?: string }) {
  const [told, setTold] = useState("");
  const copy = async (button: HTMLElement) => {
    setTold((await copied(text, button)) ? "copied" : "not allowed");
    setTimeout(() => setTold(""), 2_000);
  };
  return (
    <button type="button" class="quiet" aria-label={label} onClick={({ currentTarget }) => void copy(currentTarget)}>
      {told || children}
    </button>
  );
}

/** Browsers give no clipboard to a page that came over plain HTTP; there the text is selected and copied, within the same dialog. */
async function copied(text: string, button: HTMLElement): Promise<boolean> {
  if (navigator.clipboard !== undefined) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const box = document.createElement("textarea");
  box.value = text;
  box.className = "copied";
  button.after(box);
  box.select();
  const isDone = document.execCommand("copy");
  box.remove();
  button.focus();
  return isDone;
}
