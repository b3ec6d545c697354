/** Counts over time as bars, for one glance. */
export function Sparkline({ values, label, class: name = "" }: { values: number[]; label: string; class?: string }) {
  const most = Math.max(1, ...values);
  return (
    <svg class={`sparkline ${name}`} role="img" aria-label={label} viewBox={`0 0 ${values.length * 4} 20`} preserveAspectRatio="none">
      {values.map((value, at) => {
        const height = value === 0 ? 0.75 : Math.max(2, (value / most) * 20);
        return <rect key={at} x={at * 4} y={20 - height} width="3" height={height} class={value === 0 ? "none" : ""} />;
      })}
    </svg>
  );
}
