import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { theme } from "../theme";

export interface Line {
  label: string;
  /** The name of its colour in the style. */
  colour: string;
  values: number[];
}

interface Props {
  label: string;
  /** Seconds since 1970, ascending. */
  times: number[];
  lines: Line[];
}

const HEIGHT = 220;

/** Lines over time. The library comes when the first chart is shown. */
export function Chart({ label, times, lines }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = [times, ...lines.map(({ values }) => values)] as uPlot.AlignedData;
  const newest = useRef(data);
  newest.current = data;
  const shape = `${lines.map(({ label }) => label).join()} ${theme.value}`;
  useEffect(() => {
    let isOver = false;
    const element = box.current;
    if (element === null) return;
    const fit = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    void import("./plot").then(({ draw }) => {
      if (isOver) return;
      plot.current = draw(element, HEIGHT, lines, newest.current);
      fit.observe(element);
    });
    return () => {
      isOver = true;
      fit.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [data]);
  return <div ref={box} class="chart" role="img" aria-label={label} />;
}
