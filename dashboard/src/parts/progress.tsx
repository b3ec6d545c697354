/** Progress as a bar and a number. */
export function Progress({ percent, label }: { percent: number; label: string }) {
  return (
    <span class="progress">
      <progress max={100} value={percent} aria-label={label} />
      <span class="number">{Math.round(percent)} %</span>
    </span>
  );
}
