import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

export interface Window {
  from: number;
  to: number;
}

/** Rows beyond those that are seen, so that a turn of the wheel meets some. */
const BEYOND = 6;

/** Which of many rows of one height are seen, while the page scrolls. Only these stand in the document. */
export function useWindow(body: RefObject<HTMLElement | null>, height: number, count: number): Window {
  const [seen, setSeen] = useState<Window>({ from: 0, to: 40 });
  useEffect(() => {
    let frame = 0;
    const look = () => {
      frame = 0;
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const first = Math.floor(Math.max(0, -top) / height);
      const last = Math.ceil(Math.max(0, innerHeight - top) / height);
      // In steps, so that not each pixel renders anew.
      const from = Math.max(0, Math.floor((first - BEYOND) / 8) * 8);
      const to = Math.ceil((last + BEYOND) / 8) * 8;
      setSeen((seen) => (seen.from === from && seen.to === to ? seen : { from, to }));
    };
    const plan = () => (frame ||= requestAnimationFrame(look));
    look();
    addEventListener("scroll", plan, { passive: true });
    addEventListener("resize", plan);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", plan);
      removeEventListener("resize", plan);
    };
  }, [height, count === 0]);
  return { from: Math.min(seen.from, Math.max(0, count - 1)), to: Math.min(seen.to, count) };
}
