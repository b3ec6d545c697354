import { written } from "../api/json";
import { Copy } from "./copy";

/** JSON as text, with integers of any size as they were written. Nothing in it is executed or coloured. */
export function JsonText({ value, label }: { value: unknown; label: string }) {
  const text = written(value);
  return (
    <div class="text">
      <pre tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
      <Copy text={text} label={`Copy ${label.toLowerCase()}`}>
        copy
      </Copy>
    </div>
  );
}
