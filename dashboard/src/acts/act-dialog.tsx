import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CommandLines } from "./command-lines";
import type { Commands } from "./commands";

interface Props {
  title: string;
  verb: string;
  /** True where there is no way back: then Enter does not do it. */
  isFinal?: boolean;
  /** True while it cannot be done. */
  isBlocked?: boolean;
  commands: Commands;
  children?: ComponentChildren;
  /** Does it. An error keeps the dialog open and is shown there; nothing that was filled in is lost. */
  onDo: () => Promise<void>;
  onClose: () => void;
}

/** An action before it is done: what it will do, and the commands that do the same. */
export function ActDialog({ title, verb, isFinal = false, isBlocked = false, commands, children, onDo, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const leave = useRef<HTMLButtonElement>(null);
  const act = useRef<HTMLButtonElement>(null);
  const [isDoing, setDoing] = useState(false);
  const [trouble, setTrouble] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    (dialog.current?.querySelector<HTMLElement>("[data-first]") ?? (isFinal ? leave : act).current)?.focus();
  }, [isBlocked]);
  const doIt = async () => {
    setDoing(true);
    setTrouble("");
    try {
      await onDo();
      dialog.current?.close();
    } catch (error) {
      setTrouble((error as Error).message);
      setDoing(false);
    }
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="act-title">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!isDoing && !isBlocked) void doIt();
        }}
      >
        <h2 id="act-title">{title}</h2>
        {children}
        <CommandLines commands={commands} />
        {trouble !== "" && (
          <p class="trouble" role="alert">
            {trouble}
          </p>
        )}
        <p class="ends">
          <button type="button" ref={leave} onClick={() => dialog.current?.close()}>
            Leave it
          </button>
          <button type="submit" ref={act} class={isFinal ? "danger" : "primary"} disabled={isDoing || isBlocked}>
            {verb}
          </button>
        </p>
      </form>
    </dialog>
  );
}
