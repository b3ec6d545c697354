import { useEffect, useRef, useState } from "preact/hooks";
import { completions, type Completion, type Known, wordAt } from "./completions";

interface Props {
  /** The search that is shown. */
  text: string;
  known: Known;
  onSearch: (text: string) => void;
}

/** One box for all there is to search by, with completion of qualifiers and of their values. */
export function SearchBox({ text, known, onSearch }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const [offered, setOffered] = useState<Completion[]>([]);
  const [at, setAt] = useState(-1);
  useEffect(() => {
    if (input.current !== null) input.current.value = text;
  }, [text]);

  const offer = () => {
    const box = input.current;
    if (box === null) return;
    setOffered(completions(box.value, box.selectionStart ?? box.value.length, known));
    setAt(-1);
  };
  const close = () => setOffered([]);
  const take = (completion: Completion) => {
    const box = input.current;
    if (box === null) return;
    const { from, to } = wordAt(box.value, box.selectionStart ?? box.value.length);
    const before = box.value.slice(0, from) + completion.text + (completion.isOpen ? "" : " ");
    box.value = before + box.value.slice(to).trimStart();
    box.setSelectionRange(before.length, before.length);
    box.focus();
    offer();
  };
  const search = () => {
    close();
    onSearch(input.current?.value.trim() ?? "");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && offered.length > 0) {
      event.preventDefault();
      setAt((at) => (at + step + offered.length + (at < 0 && step < 0 ? 1 : 0)) % offered.length);
    } else if ((event.key === "Enter" || event.key === "Tab") && offered[at] !== undefined) {
      event.preventDefault();
      take(offered[at]);
    } else if (event.key === "Escape") {
      if (offered.length === 0) input.current?.blur();
      close();
    }
  };
  return (
    <search>
      <form
        class="search-box"
        onSubmit={(event) => {
          event.preventDefault();
          search();
        }}
      >
        <input
          ref={input}
          type="text"
          role="combobox"
          aria-label="Search"
          aria-autocomplete="list"
          aria-expanded={offered.length > 0}
          aria-controls="completions"
          aria-activedescendant={at >= 0 ? `completion-${at}` : undefined}
          data-search
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder="state:failed queue:mail label.tenant:7 any words"
          defaultValue={text}
          onInput={offer}
          onClick={offer}
          onFocus={offer}
          onBlur={close}
          onKeyDown={onKeyDown}
        />
        {text !== "" && (
          <button type="button" class="quiet" onClick={() => onSearch("")}>
            Clear
          </button>
        )}
        <button type="submit">Search</button>
        <ul id="completions" role="listbox" aria-label="Completions" hidden={offered.length === 0}>
          {offered.map((completion, index) => (
            <li
              key={completion.text}
              id={`completion-${index}`}
              role="option"
              aria-selected={index === at}
              // The box keeps the focus.
              onMouseDown={(event) => {
                event.preventDefault();
                take(completion);
              }}
            >
              <code>{completion.text}</code> <small>{completion.about}</small>
            </li>
          ))}
        </ul>
      </form>
    </search>
  );
}
