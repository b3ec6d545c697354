import { type RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** Keeps the end of a box in view while more comes to it, unless somebody has scrolled away from it. */
export function useEnd<T extends HTMLElement>(told: unknown): { ref: RefObject<T | null>; onScroll: () => void } {
  const ref = useRef<T>(null);
  const isAtEnd = useRef(true);
  const top = useRef(0);
  useLayoutEffect(() => {
    const box = ref.current;
    if (!isAtEnd.current || box === null) return;
    box.scrollTop = box.scrollHeight;
    top.current = box.scrollTop;
  }, [told]);
  const onScroll = () => {
    const box = ref.current;
    if (box === null) return;
    // The event comes late: more may have come to the box by then. Only whoever scrolls back wants to leave the end.
    if (box.scrollHeight - box.scrollTop - box.clientHeight < 24) isAtEnd.current = true;
    else if (box.scrollTop < top.current) isAtEnd.current = false;
    top.current = box.scrollTop;
  };
  return { ref, onScroll };
}
