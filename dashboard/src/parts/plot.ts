import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Line } from "./chart";
import { count } from "../words";

/** Draws lines over time in the style's colours. */
export function draw(element: HTMLElement, height: number, lines: Line[], data: uPlot.AlignedData): uPlot {
  const colour = (name: string) => {
    const probe = element.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  };
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1, size: 4 }, font: "12px system-ui, sans-serif" };
  const options: uPlot.Options = {
    width: element.clientWidth,
    height,
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.08)] } },
    axes: [
      { ...axis, size: 32, values: times },
      { ...axis, size: 48, values: (_, values) => values.map((value) => (Number.isInteger(value) ? count(value) : "")) },
    ],
    series: [
      { label: "Time", value: (_, at) => (at == null ? "—" : new Date(at * 1_000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" })) },
      ...lines.map(
        ({ label, colour: name }): uPlot.Series => ({
          label,
          stroke: colour(name),
          width: 1.75,
          points: { show: false },
          value: (_, value) => (value == null ? "—" : count(value)),
        }),
      ),
    ],
  };
  return new uPlot(options, data, element);
}

const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });

/** Hours and minutes, and the day where it begins or where days are all there is room for. */
const times: uPlot.Axis.DynamicValues = (_, splits, __, ___, step) =>
  splits.map((at) => {
    const date = new Date(at * 1_000);
    const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
    return step >= 86_400 || isMidnight ? day.format(date) : clock.format(date);
  });
