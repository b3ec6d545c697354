import { type RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** Keeps the end of a box in view while more comes to it, unless somebody has scrolled away from it. */
export function useEnd<T extends HTMLElement>(told: unknown): { ref: RefObject<T | null>; onScroll: () => void } {
  const ref = useRef<T>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (isAtEnd.current && ref.current !== null) ref.current.scrollTop = ref.current.scrollHeight;
  }, [told]);
  const onScroll = () => {
    const box = ref.current;
    if (box !== null) isAtEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  };
  return { ref, onScroll };
}
