import { isRounded, written } from "../api/json";
import { Copy } from "./copy";

/** JSON as text, with integers of any size as they were written. Nothing in it is executed or coloured. */
export function JsonText({ value, label }: { value: unknown; label: string }) {
  const text = written(value);
  return (
    <>
      <Rounded text={text} />
      <div class="text">
        <pre tabIndex={0} role="region" aria-label={label}>
          {text}
        </pre>
        <Copy text={text} label={`Copy ${label.toLowerCase()}`}>
          copy
        </Copy>
      </div>
    </>
  );
}

/** Says so where digits may be lost. */
export function Rounded({ text }: { text: string }) {
  return isRounded(text) ? <p class="error">This browser is too old to show integers of more than 15 digits: their last ones may be wrong here.</p> : null;
}
