import { useEffect, useState } from "preact/hooks";

const narrow = matchMedia("(max-width: 44rem)");

/** True where rows stand as cards, because the window is too narrow for columns. */
export function useNarrow(): boolean {
  const [is, setIs] = useState(narrow.matches);
  useEffect(() => {
    const look = () => setIs(narrow.matches);
    narrow.addEventListener("change", look);
    return () => narrow.removeEventListener("change", look);
  }, []);
  return is;
}
